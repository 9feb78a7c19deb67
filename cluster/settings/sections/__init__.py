"""The sections of a stack file, a topic a module; ``cluster.settings.model`` puts them together."""
