"""Runs of backup jobs, and drills, to test with."""

from __future__ import annotations

from typing import Any

from tests.collector.support import NOW
from wire.report import BackupRun, Drill

HOUR = 3600.0
DAY = 24 * HOUR


def run(job: str = "web", *, ended: float = NOW - HOUR, **fields: Any) -> BackupRun:
    """A daily run of ten minutes that went well, was verified, and ended an hour ago."""
    usual: dict[str, Any] = {
        "job": job,
        "source": "files",
        "repository": "/srv/backup",
        "started": ended - 600,
        "finished": ended,
        "outcome": "done",
        "snapshot": "5d" * 32,
        "files": 100,
        "bytes": 1 << 30,
        "bytes_read": 1 << 20,
        "bytes_added": 1 << 19,
        "verified": True,
        "next": ended - 600 + DAY,
        "last_success": ended,
        "last_verified": ended - 600,
    }
    return BackupRun(**{**usual, **fields})


def failed(job: str = "web", *, ended: float = NOW - HOUR, **fields: Any) -> BackupRun:
    """A run that made no snapshot, a day after one that did."""
    usual: dict[str, Any] = {
        "outcome": "failed",
        "snapshot": "",
        "bytes": 0,
        "files": 0,
        "verified": False,
        "message": "no such host",
        "last_success": ended - DAY,
        "last_verified": ended - DAY - 600,
    }
    return run(job, ended=ended, **{**usual, **fields})


def drill(name: str = "weekly", *, ended: float = NOW - HOUR, **fields: Any) -> Drill:
    """A weekly sample of the job `web` that held and met its targets, an hour ago."""
    usual: dict[str, Any] = {
        "name": name,
        "job": "web",
        "kind": "sample",
        "repository": "/srv/backup",
        "started": ended - 60,
        "finished": ended,
        "outcome": "done",
        "snapshot": "5d" * 32,
        "snapshot_time": ended - 2 * HOUR,
        "files": 20,
        "bytes": 1 << 20,
        "total_bytes": 1 << 30,
        "recovery_point": 2 * HOUR,
        "recovery_time": 900.0,
        "estimated": True,
        "rpo": 30 * HOUR,
        "rto": HOUR,
        "next": ended + 7 * DAY,
    }
    return Drill(**{**usual, **fields})
