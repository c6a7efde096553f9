"""Benchmarks of neurosim, one module per question; `python -m benchmarks` runs them (docs/benchmarks.md)."""
