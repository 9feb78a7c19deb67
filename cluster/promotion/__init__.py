"""A model's next version, brought into service: checked, tried, compared with the running one, and taken back if worse.

``gate`` and ``plan`` decide and touch nothing; ``ports`` says what acting needs; ``registry`` (MLflow) and ``probe``
(HTTP) are two of the three ports, the third is the cluster's (``cloudctl.promoting``); ``run`` carries a plan out, and
``journal`` remembers how far it is.
"""
