"""The command line: looks at a stack and its hosts, and wraps the Pulumi calls that need preparation."""
