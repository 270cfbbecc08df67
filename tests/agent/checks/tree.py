"""A host made of files, and checks run on it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.contract import Check, Context, Sample
from agent.paths import System

NOW = 1_800_000_000.0


def tree(root: Path, files: Mapping[str, str]) -> System:
    """A System whose files hold these texts; a name that ends in a slash is an empty folder."""
    for name, text in files.items():
        path = root / name
        if name.endswith("/"):
            path.mkdir(parents=True, exist_ok=True)
        else:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
    return System(root)


def collect(
    check: Check[Any], system: System | None = None, *, after: Sample | None = None, elapsed: float = 10
) -> Sample:
    """One sample; `after` is the one before, `elapsed` seconds ago, as it comes back from where it was stored."""
    if after is None:
        return check.collect(Context(system=system or System(), now=NOW))
    previous = msgspec.msgpack.decode(msgspec.msgpack.encode(after.memory))
    return check.collect(Context(system=system or System(), now=NOW, previous=previous, elapsed=elapsed))


def values(sample: Sample) -> dict[str, float]:
    """`disk_used_percent /var` and so on, to the value: a reading's name and the values of its labels."""
    return {" ".join([m.name, *m.labels.values()]): m.value for m in sample.measurements}


def said(sample: Sample) -> list[tuple[str, str]]:
    """State and message of each finding."""
    return [(finding.state, finding.message) for finding in sample.findings]
