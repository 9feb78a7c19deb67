"""Whether the stack's services answer by their own APIs: asked (``ask``), then judged (``judge``)."""
