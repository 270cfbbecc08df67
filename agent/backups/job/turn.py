"""No two runs at once on a repository, whoever starts them: a lock of this host, beside the repository's own.

The repository's lock lets several hosts save at once; it does not let one job remove old snapshots while another
saves. Who waits here does so before it asks anything of the repository. Of runs on the timetable the agent holds the
lock: root's half may not even see the state folder.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

from agent.backups.places import folder, known_file, new_file
from agent.config.repositories import same_place

_FOLDER = ".turns"


@contextmanager
def turn(state: Path, places: Iterable[str], on_wait: Callable[[], None]) -> Iterator[None]:
    """Hold all `places`, waiting for whoever has one of them; `on_wait` is called once before that.

    Nobody waits in a circle: all take them in one order. Raises OSError where the state folder cannot be used.
    """
    told = False
    with ExitStack() as held:
        for descriptor in _locks(state, places, held):
            if _take(descriptor):
                continue
            if not told:
                told = True
                on_wait()
            fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield


def try_turn(state: Path, places: Iterable[str]) -> Callable[[], None] | None:
    """Hold all `places` without waiting: what gives them back, or None where somebody has one of them.

    Raises OSError where the state folder cannot be used.
    """
    with ExitStack() as held:
        if all(_take(descriptor) for descriptor in _locks(state, places, held)):
            return held.pop_all().close
    return None


def _locks(state: Path, places: Iterable[str], held: ExitStack) -> Iterator[int]:
    """The descriptor of each place's file, which `held` closes."""
    for name in sorted({hashlib.sha256(same_place(place).encode()).hexdigest()[:16] for place in places}):
        descriptor = _open(state, name)
        held.callback(os.close, descriptor)
        yield descriptor


def _take(descriptor: int) -> bool:
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _open(state: Path, name: str) -> int:
    with folder(state, "backups", _FOLDER, make=True) as here:
        try:
            return new_file(here, name)
        except FileExistsError:
            return known_file(here, name)
