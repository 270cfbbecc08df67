"""Where the data of a backup job comes from: one file for each source; `registry.py` names them, by text."""
