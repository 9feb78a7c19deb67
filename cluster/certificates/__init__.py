"""Certificates of a stack: which there are, until when, and whether that is soon."""
