"""What runs in the pods of models before their servers start."""
