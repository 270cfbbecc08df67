"""`make demo`, run for real."""
