"""Runbook pages, carried out in the lab step by step: ``python -m lab runbook docs/runbooks/losses/gpu-worker.md``.

``page`` reads its marks, ``stage`` lays out a rehearsal in which its commands work as they stand, ``play`` runs them.
"""
