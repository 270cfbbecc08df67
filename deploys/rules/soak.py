"""Whether a host's checks are worse than before. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from fnmatch import fnmatchcase

from wire.report import SEVERITY, State


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
