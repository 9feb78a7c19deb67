"""Backups of a stack: parts that are copied, the place that keeps them encrypted, rehearsals of their restore."""
