"""A collector and an agent that watches this very machine: `make demo`."""
