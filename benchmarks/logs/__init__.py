"""Rotation beside logrotate: the same logs, the same minutes, whole processes."""

from benchmarks.logs.run import run as run
