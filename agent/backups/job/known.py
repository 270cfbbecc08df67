"""The repositories in which a job's runs have been.

One of them that is gone is not made anew by a run: a disk that is not mounted looks just like that, and what lies on
it would be missed only when it is needed.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

import msgspec

from agent.config.repositories import same_place
from kit.files import read_regular, write_durably

_NAME = "repositories.json"
_MOST = 1 << 20
_decoder = msgspec.json.Decoder(set[str])


def is_known(folder: Path, repository: str) -> bool:
    """Whether a run has been there. `folder` is the job's own; not known where nothing of it can be read."""
    return same_place(repository) in _known(folder)


def remember(folder: Path, repository: str, places: Iterable[str]) -> None:
    """A run is there. Others than `places`, which the job has now, are forgotten. Raises OSError."""
    before = _known(folder)
    after = before & {same_place(place) for place in places} | {same_place(repository)}
    if after == before:
        return
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    write_durably(folder / _NAME, msgspec.json.encode(sorted(after)), mode=0o600)


def _known(folder: Path) -> set[str]:
    with suppress(OSError, msgspec.MsgspecError, UnicodeDecodeError):
        return _decoder.decode(read_regular(folder / _NAME, _MOST))
    return set()
