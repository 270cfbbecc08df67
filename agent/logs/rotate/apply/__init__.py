"""Doing what was planned: one file per kind of doing. All that changes anything goes through `operations.py`."""
