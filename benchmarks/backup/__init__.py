"""Backups beside restic and borg: the same files, the same minutes, whole processes."""

from benchmarks.backup.run import run as run
