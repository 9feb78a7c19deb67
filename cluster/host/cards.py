"""NVIDIA cards by PCI id, for what only a bound NVIDIA driver could tell: a card that a VM holds is bound to vfio-pci.

Source of ids: the public PCI id list; of compute capability: NVIDIA's table of CUDA GPUs. Memory in MiB is what the
card carries by its data sheet; the driver shows a little less on cards with ECC.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True)
class Card:
    """What is known of a kind of card: its name, its compute capability, its memory in MiB."""

    model: str
    compute_capability: str
    memory_mib: int


def _card(model: str, compute_capability: str, gib: int) -> Card:
    return Card(model, compute_capability, gib * 1024)


CARDS: Mapping[str, Card] = {
    "10de:1b80": _card("NVIDIA GeForce GTX 1080", "6.1", 8),
    "10de:1b06": _card("NVIDIA GeForce GTX 1080 Ti", "6.1", 11),
    "10de:1b38": _card("NVIDIA Tesla P40", "6.1", 24),
    "10de:1db1": _card("NVIDIA Tesla V100-SXM2-16GB", "7.0", 16),
    "10de:1db4": _card("NVIDIA Tesla V100-PCIE-16GB", "7.0", 16),
    "10de:1db6": _card("NVIDIA Tesla V100-PCIE-32GB", "7.0", 32),
    "10de:1eb8": _card("NVIDIA Tesla T4", "7.5", 16),
    "10de:20f1": _card("NVIDIA A100-PCIE-40GB", "8.0", 40),
    "10de:20b5": _card("NVIDIA A100 80GB PCIe", "8.0", 80),
    "10de:2204": _card("NVIDIA GeForce RTX 3090", "8.6", 24),
    "10de:2230": _card("NVIDIA RTX A6000", "8.6", 48),
    "10de:2231": _card("NVIDIA RTX A5000", "8.6", 24),
    "10de:2236": _card("NVIDIA A10", "8.6", 24),
    "10de:24b0": _card("NVIDIA RTX A4000", "8.6", 16),
    "10de:2684": _card("NVIDIA GeForce RTX 4090", "8.9", 24),
    "10de:26b1": _card("NVIDIA RTX 6000 Ada Generation", "8.9", 48),
    "10de:26b5": _card("NVIDIA L40", "8.9", 48),
    "10de:26b9": _card("NVIDIA L40S", "8.9", 48),
    "10de:27b8": _card("NVIDIA L4", "8.9", 24),
    "10de:2331": _card("NVIDIA H100 PCIe", "9.0", 80),
    "10de:2330": _card("NVIDIA H100 80GB HBM3", "9.0", 80),
    "10de:2b85": _card("NVIDIA GeForce RTX 5090", "12.0", 32),
}
