"""Pages that are made from the program, each by a pure function of what the program has."""
