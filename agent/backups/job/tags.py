"""By which the snapshots of a job are known among those of others in the same repository."""

from __future__ import annotations


def tag_of(job: str) -> str:
    """The tag that each of them has besides those that the job's table names."""
    return f"job:{job}"
