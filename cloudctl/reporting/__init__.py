"""``cloudctl report``: one page of a stack. ``gather`` asks, ``timeline`` and ``hosts`` judge, the rest draws."""
