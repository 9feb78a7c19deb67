"""What a command shows, as plain data: built by pure functions, printed as a table or as JSON."""
