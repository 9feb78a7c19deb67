"""The container that checks CUDA."""

from __future__ import annotations

# renovate: datasource=docker
CUDA_SAMPLE = "nvcr.io/nvidia/k8s/cuda-sample:vectoradd-cuda12.5.0-ubuntu22.04"
"""NVIDIA's vectorAdd. The same image and tag as in NVIDIA/gpu-operator's own tests/gpu-pod.yaml at v26.7.0."""

CUDA_SAMPLE_DRIVER = "525.60.13"
"""The oldest driver that runs CUDA 12.x (NVIDIA's CUDA compatibility guide, minor version compatibility)."""

PASSED = "Test PASSED"
"""What vectorAdd prints once the cards' sums are right."""
