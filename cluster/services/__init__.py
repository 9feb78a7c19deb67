"""The stack's own services as clients see them: where they answer, who may use them, how they do."""
