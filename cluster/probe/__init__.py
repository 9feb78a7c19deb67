"""Nodes asked about themselves and their ways to each other: which ports, what they said, what could not be asked."""

from cluster.probe.model import Facts, Node, Pair, nodes
from cluster.probe.ports import Port, needed

__all__ = ["Facts", "Node", "Pair", "Port", "needed", "nodes"]
