"""Which databases or volumes are meant. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from fnmatch import fnmatchcase

from agent.backups.sources.contract import SourceError
from kit.terminal import clean


def chosen(names: Iterable[str], wanted: Sequence[str], exclude: Sequence[str], *, what: str) -> list[str]:
    """Those of `names` that fit one of `wanted` and none of `exclude`, sorted; `what` they are called.

    Raises SourceError where one of `wanted` fits nothing: what was renamed or dropped is not to be missed for months.
    """
    there = sorted(names)
    for pattern in wanted:
        if pattern != "*" and not any(fnmatchcase(name, pattern) for name in there):
            raise SourceError(f"there is no {what} {clean(pattern)}")
    return [
        name
        for name in there
        if any(fnmatchcase(name, pattern) for pattern in wanted)
        and not any(fnmatchcase(name, pattern) for pattern in exclude)
    ]
