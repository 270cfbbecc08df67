"""Where repositories lie: one contract, one file per kind of place, wrappers for retry, bandwidth and cache."""
