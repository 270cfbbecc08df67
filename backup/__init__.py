"""Backups: repositories in restic's format, version 2, written, read, checked, pruned and restored."""
