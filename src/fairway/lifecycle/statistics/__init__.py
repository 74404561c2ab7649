"""Metrics with intervals, and paired comparisons: NumPy and the standard library, no model, no registry.

The formulas and where they come from are in `docs/explanation/checks.md`.
"""
