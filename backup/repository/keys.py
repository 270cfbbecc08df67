"""The passwords of a repository: each has a key file of its own that holds the same master key."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from threading import Thread

from backup.errors import DamagedError, RepositoryError, WrongPasswordError
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.keyfile import (
    Cost,
    KeyFile,
    derive,
    encode_key_file,
    new_key_file,
    open_key_file,
    parse_key_file,
)
from backup.repository.files import content_of, name_of
from backup.scrypt import fastest
from backup.stores.contract import FileKind, FileMissingError, Store, StoreError

Meanwhile = Callable[[Callable[[], bool]], object]

_MOST = 20
"""Keys that a password is tried on, as restic does: each costs a third of a second."""
_SECONDS = 0.35
"""What trying one password should cost whoever guesses them."""
_LEAST = 3
"""At N=32768, r=8 (OWASP, "Password Storage Cheat Sheet"), however slow this host is."""


def read_keys(store: Store, on_damaged: Callable[[str, DamagedError], None]) -> Iterator[tuple[str, KeyFile]]:
    """(name, content) of every key file, sorted by name. One that is damaged goes to `on_damaged`."""
    for name in sorted(name for name, _ in store.list(FileKind.KEY)):
        try:
            yield name, parse_key_file(content_of(store, FileKind.KEY, name))
        except FileMissingError:
            continue  # removed just now
        except DamagedError as error:
            on_damaged(name, error)


def search_key(
    store: Store,
    password: bytes,
    *,
    hint: str = "",
    fits: Callable[[MasterKey], bool] = lambda _: True,
    meanwhile: Meanwhile | None = None,
) -> tuple[str, MasterKey]:
    """(name, master key) of the key file that opens with the password; those that begin with `hint` come first, then
    those that cost least: who can write to the place may leave any, and must keep nobody waiting for what they cost.

    `meanwhile` is called while the password is tried on the first one, by another thread, for a third of a second or
    more. It is given what says whether that is done, and no more need be done meanwhile.
    Raises WrongPasswordError. A key file that is damaged only counts when none opens, nor does one that opens but
    whose master key does not fit.
    """

    def hinted(name: str) -> bool:
        return bool(hint) and name.startswith(hint)

    names = sorted((name for name, _ in store.list(FileKind.KEY)), key=lambda name: not hinted(name))
    files: list[tuple[str, KeyFile]] = []
    damaged: DamagedError | None = None
    for name in names[:_MOST]:
        try:
            files.append((name, parse_key_file(content_of(store, FileKind.KEY, name))))
        except FileMissingError:  # removed just now
            continue
        except DamagedError as error:
            damaged = error
    for name, file in sorted(files, key=lambda found: (not hinted(found[0]), found[1].cost.work)):
        try:
            if meanwhile is None:
                master = open_key_file(file, password)
            else:
                other, meanwhile = meanwhile, None
                master = _open_beside(file, password, other)
        except WrongPasswordError:
            continue
        except DamagedError as error:
            damaged = error
        else:
            if fits(master):
                return name, master
            damaged = DamagedError(f"the config of {store.location} does not open with the repository's key")
    if damaged is not None:
        raise damaged
    if not names:
        raise DamagedError(f"the repository {store.location} has no key file; without one nobody can open it")
    if len(names) > _MOST:
        raise WrongPasswordError(
            f"wrong password for the first {_MOST} of {len(names)} keys; --key-hint names another"
        )
    none = f"none of its {len(names)} keys opens" if len(names) > 1 else "its only key does not open"
    raise WrongPasswordError(f"wrong password for {store.location}: {none} with it")


def _open_beside(file: KeyFile, password: bytes, meanwhile: Meanwhile) -> MasterKey:
    """`open_key_file`, by another thread."""
    opened: list[MasterKey | Exception] = []

    def work() -> None:
        try:
            opened.append(open_key_file(file, password))
        except Exception as error:
            opened.append(error)

    fastest()  # found out before there are two threads, where each call would wait for the interpreter's lock
    # Not by concurrent.futures, which loads logging, and nothing but this waits for.
    thread = Thread(target=work)
    try:
        thread.start()
    except RuntimeError:  # the user may have no more processes: then one after the other
        return open_key_file(file, password)
    try:
        meanwhile(lambda: bool(opened))
    finally:
        thread.join()
    if isinstance(opened[0], Exception):
        raise opened[0]
    return opened[0]


def add_key(
    store: Store,
    master: MasterKey,
    password: bytes,
    *,
    username: str = "",
    hostname: str = "",
    cost: Cost | None = None,
    now: int | None = None,
) -> str:
    """Make another password open the repository; returns the name of its key file. What fails leaves none.

    `now` in nanoseconds since 1970.
    """
    from backup.repository.locks import who  # with what draws lots, which opening a repository need not wait for

    file = new_key_file(
        master,
        password,
        created=Moment(time.time_ns() if now is None else now, time.localtime().tm_gmtoff),
        username=username or who()[0],
        hostname=hostname or socket.gethostname(),
        cost=cost or calibrated_cost(),
        random=os.urandom,
    )
    data = encode_key_file(file)
    name = name_of(data)
    try:
        store.save(FileKind.KEY, name, data)
        # What cannot be opened again would be found out only when it is the last one.
        if open_key_file(parse_key_file(content_of(store, FileKind.KEY, name)), password) != master:
            raise DamagedError(f"the new key {name[:8]} does not open as it should; the old ones work")
    except BaseException:
        with suppress(StoreError):
            store.remove(FileKind.KEY, name)
        raise
    return name


def remove_key(store: Store, name: str, *, current: str) -> None:
    """Remove a password's key file. Raises RepositoryError for the one that the repository was opened with.

    So does what may be the last: the one in use may have been removed before the caller had its lock.
    """
    if name == current:
        raise RepositoryError(f"key {name[:8]} is the one in use; open the repository by another to remove it")
    if not any(found == current for found, _ in store.list(FileKind.KEY)):
        raise RepositoryError(f"key {current[:8]}, the one in use, was removed meanwhile; {name[:8]} may be the last")
    store.remove(FileKind.KEY, name)


def calibrated_cost() -> Cost:
    """Parameters that take about a third of a second and 32 MiB here."""
    one = Cost(32768, 8, 1)
    started = time.process_time()
    derive(b"", bytes(64), one)
    taken = max(time.process_time() - started, 1e-3)
    return one._replace(p=max(_LEAST, min(16, round(_SECONDS / taken))))
