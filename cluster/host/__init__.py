"""A host and what it can carry: collected (touches the machine), parsed (text in, facts out), modelled."""
