"""The formats of logs: each in a file of its own, which turns a line into an `Entry` (pure)."""
