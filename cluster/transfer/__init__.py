"""Trained models from a folder into the object store and the registry: found, sent, checked, registered."""
