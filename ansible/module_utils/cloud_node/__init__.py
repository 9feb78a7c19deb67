"""What a node is asked by preflight, the check and ``cloudctl net check``: run there, by Ansible or by itself.

Needs Python 3.9 and its standard library. It collects and judges nothing; ``cluster.probe`` reads what it says.
"""
