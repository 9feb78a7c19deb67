"""Names of the InferenceServices that stand beside a model's own."""

from __future__ import annotations


def candidate_name(name: str) -> str:
    """Return the name of the InferenceService that tries a model's next version."""
    return f"{name}-candidate"


def standby_name(name: str) -> str:
    """Return the name of the InferenceService that stands by for a model, on the CPU."""
    return f"{name}-standby"


def predictor(service: str) -> str:
    """Return the name of an InferenceService's Kubernetes Service and Deployment."""
    return f"{service}-predictor"
