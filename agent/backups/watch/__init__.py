"""Watching the folders of a backup, so that a run scans only those in which something changed."""
