"""Servers to throw away, in which a dump is tried: one file for each kind; `registry.py` names them, by text."""
