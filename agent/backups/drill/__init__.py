"""Drills: a snapshot is restored into a place that is thrown away, compared, measured and judged."""
