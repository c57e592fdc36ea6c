"""Faults that are injected into a whole installation, and what became of every sample: `python -m tests.faults`."""
