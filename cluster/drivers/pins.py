"""What the container that checks CUDA needs, and how it says that all is well. Its image: ``cuda-sample`` in
``versions.IMAGES``."""

from __future__ import annotations

CUDA_SAMPLE_DRIVER = "525.60.13"
"""The oldest driver that runs CUDA 12.x (NVIDIA's CUDA compatibility guide, minor version compatibility)."""

PASSED = "Test PASSED"
"""What vectorAdd prints once the cards' sums are right."""
