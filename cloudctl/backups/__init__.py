"""What the backups of a stack are made of here: its settings, its passwords, and the ways to what is copied."""
