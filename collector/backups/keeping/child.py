"""The process that works on one repository, and ends with whoever started it: `python -m …keeping.child`.

It reads one line with an Order, does it, and writes a line for each Answer.
"""

from __future__ import annotations

import os
import sys

import msgspec

from backup.errors import DamagedError, LockedError, NoRepositoryError
from backup.repository.opening import open_repository
from backup.stores.registry import open_store
from backup.stores.retry import RetryingStore
from collector.backups.child import limit, receive
from collector.backups.keeping import work
from collector.backups.keeping.messages import (
    Access,
    Answer,
    Changed,
    Failed,
    Look,
    Order,
    Remove,
    Task,
)
from collector.backups.keeping.recorder import Recorder
from kit.errors import HostwardError


def main() -> int:
    """Do what standard input says. Returns 0 whatever came of it: the answers say that."""
    order = receive(Order)
    limit(order.limits)
    for answer in answers(order.access, order.task):
        sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
        sys.stdout.buffer.flush()
    return 0


def answers(access: Access, task: Task) -> list[Answer]:
    """Do it: what was changed, where the store could be opened, and what came of it."""
    store = None
    answer: Answer
    try:
        store = Recorder(RetryingStore(open_store(access.location, {**os.environ, **access.environment})))
        answer = _do(store, access, task)
    except HostwardError as error:
        answer = Failed(
            message=str(error),
            locked=isinstance(error, LockedError),
            damaged=isinstance(error, DamagedError),
            absent=isinstance(error, NoRepositoryError),
        )
    except MemoryError:
        answer = Failed(message="it took more memory than home gives (memory_max)")
    return [answer] if store is None else [_changed(store), answer]


def _changed(store: Recorder) -> Changed:
    return Changed(
        added={kind.value: files for kind, files in store.added.items()},
        removed={kind.value: tuple(names) for kind, names in store.removed.items()},
    )


def _do(store: Recorder, access: Access, task: Task) -> Answer:
    repository = None
    if access.password is not None:
        repository = open_repository(store, access.password.encode())
    if isinstance(task, Look):
        return work.look(store, repository, task)
    if isinstance(task, Remove):
        return work.remove(store, repository, task)
    if repository is None:
        raise HostwardError("home has no password of this repository, so it cannot verify it")
    return work.verify(repository, task)


if __name__ == "__main__":
    sys.exit(main())
