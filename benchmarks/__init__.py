"""Measures what Hostward costs, beside its peers and its budgets. `python -m benchmarks` runs all."""
