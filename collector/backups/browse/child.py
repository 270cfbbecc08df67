"""The process that looks into one repository for one request: `python -m collector.backups.browse.child`.

It reads one line with an Order, writes a line with the Answer and, after a Content, the bytes. It ends with the
process that started it, at the end of its input, and with 1 where what was announced was not written as a whole.
"""

from __future__ import annotations

import os
import sys

import msgspec

from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.registry import open_store
from backup.stores.retry import RetryingStore
from collector.backups.browse import look
from collector.backups.browse.messages import Answer, Failed, Fetch, ListFolder, Order
from collector.backups.child import limit, receive
from kit.errors import HostwardError

TOO_LARGE = "it takes more memory than home gives to look into it"


def main() -> int:
    """Do what standard input says."""
    order = receive(Order)
    limit(order.limits)
    try:
        repository = _open(order)
        task = order.task
        if isinstance(task, Fetch):
            return _fetch(repository, task)
        if isinstance(task, ListFolder):
            _say(look.folder(repository, task.snapshot, task.path, task.start))
        else:
            _say(look.snapshots(repository, task.start))
    except HostwardError as error:
        _say(Failed(message=str(error)))
    except MemoryError:
        _say(Failed(message=TOO_LARGE))
    return 0


def _open(order: Order) -> Repository:
    access = order.access
    if access.password is None:
        raise HostwardError("home has no password of this repository, so it cannot look into it")
    store = RetryingStore(open_store(access.location, {**os.environ, **access.environment}))
    return open_repository(store, access.password.encode())


def _fetch(repository: Repository, task: Fetch) -> int:
    content, tree = look.content_of(repository, task.snapshot, task.path)
    _say(content)
    try:
        look.write(repository, tree, task.path, sys.stdout.buffer)
        sys.stdout.buffer.flush()
    except (HostwardError, MemoryError) as error:
        sys.stderr.write(f"{error}\n" if isinstance(error, HostwardError) else f"{TOO_LARGE}\n")
        return 1
    except BrokenPipeError:  # nobody wants it any more
        os._exit(1)
    return 0


def _say(answer: Answer) -> None:
    sys.stdout.buffer.write(msgspec.json.encode(answer) + b"\n")
    sys.stdout.buffer.flush()


if __name__ == "__main__":
    sys.exit(main())
