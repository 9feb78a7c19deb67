"""The steps that make a VM a node and the nodes a cluster: ``python -m cluster.steps STEP``.

Each step is a command resource of ``components.kubernetes`` and may be run again at any time: it asks the nodes what is
there and does what is missing.
"""
