"""The parts of a backup: each knows how it is copied, rehearsed, and put back."""
