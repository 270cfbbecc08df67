"""Logs of the host: following files and the journal, and counting what is in them."""
