"""Runs of backup jobs: what they do, and what is kept of them."""
