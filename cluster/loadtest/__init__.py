"""Performance of served models: what they are asked, by which load, against which targets, and what to change.

Collecting (``drive``, ``gpu``, ``replicas``, ``trace``), reading (``samples``, ``servermetrics``), judging (``judge``)
and advising (``recommend``, ``breakdown``) stand apart, so that a kept report can be judged again.
"""
