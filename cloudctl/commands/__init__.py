"""One module per command group; each reads options, calls a view, prints it. Heavy imports happen inside commands."""
