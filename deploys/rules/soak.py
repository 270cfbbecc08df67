"""Whether a host's checks are worse than before, and have been looked at since. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase

from wire import status
from wire.report import SEVERITY, State
from wire.status import Check


def unseen(checks: Iterable[Check], since: float, limit: float, ignored: Sequence[str] = ()) -> list[str]:
    """The checks whose results are of before `since`, and that may be expected to run within `limit` seconds."""
    return [
        name
        for name in status.unseen(checks, since, limit)
        if not any(fnmatchcase(name, pattern) for pattern in ignored)
    ]


def worse(before: Mapping[str, State], after: Mapping[str, State], ignored: Sequence[str] = ()) -> list[str]:
    """What got worse, in words, by name: `web: ok to critical`.

    A check that was not there before counts as ok then; one that is gone is passed over. `ignored` are names as
    patterns of the shell.
    """
    found = []
    for name, state in sorted(after.items()):
        was = before.get(name, "ok")
        if any(fnmatchcase(name, pattern) for pattern in ignored):
            continue
        if SEVERITY.index(state) > SEVERITY.index(was):
            found.append(f"{name}: {was} to {state}")
    return found
