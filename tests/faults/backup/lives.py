"""What the children of a zygote do: short lives of `hostward backup`, each of which may meet a fault at any operation
of a store. A child that is killed is really killed, and so it leaves what a killed process leaves."""

from __future__ import annotations

import ctypes
import inspect
import json
import os
import signal
import socket
import sys
import tempfile
import time
from importlib import import_module
from pathlib import Path
from typing import Any, NoReturn

import msgspec

from agent.cli.backup import access
from agent.cli.main import main
from backup.format.keyfile import Cost
from backup.repository import keys, locks
from backup.stores import retry
from backup.stores.cache import CachedStore
from backup.stores.contract import FileKind, SpooledFile, Store
from backup.stores.registry import open_store
from backup.stores.spool import open_spool
from backup.stores.wrapper import Wrapper
from tests.backup.faulty import Fault, FaultyStore

_PR_SET_DUMPABLE = 4
CHEAP = Cost(1024, 1, 1)
SETTLE = 0.005
"""Seconds for which a lock waits for others where there are none."""


class Circumstances(msgspec.Struct, frozen=True):
    """What is different in a life."""

    faulty: str = ""
    """The location of the store that meets the fault, and counts what it is asked for."""
    fault: tuple[str, int, str] | None = None
    """Operation, which of its calls, and what happens."""
    alone: bool = True
    """Nobody else works on the repository: locks need not wait for them."""
    remote: bool = False
    """Nothing can be spooled in the store, so that it is in TMPDIR."""
    patience: float = 900.0
    """Seconds for which what fails is tried again."""
    cuts: str = ""
    """A socket on which is asked for the connection to be cut, before each operation of the faulty store."""
    cached: bool = False
    """The store says that it is far away, so that there is a cache before it."""
    cache_dies: int = 0
    """Which file of the cache the process is killed in the middle of writing."""
    ahead: float = 0.0
    """Seconds by which the wall clock is wrong."""
    jump: float = 0.0
    """Seconds by which it jumps at each look at it, there and back again."""
    set_after: int = 0
    """The look at it after which it is set, by `set_by`."""
    set_by: float = 0.0
    user: int = 0
    """Who runs it. Other processes of that user may look into it until it forbids that."""
    breaks: str = ""
    """`module:function` that raises an error that nobody expects."""


class Mortal(FaultyStore):
    """A store of a process that can be killed."""

    def _die(self) -> NoReturn:
        die()


def die() -> NoReturn:
    """Be killed."""
    while True:
        os.kill(os.getpid(), signal.SIGKILL)
        signal.pause()  # the signal may take a moment, and nothing must happen in it


class Cut(FaultyStore):
    """A store that may lose its connections within each of its operations."""

    def __init__(self, inner: Store, cuts: str) -> None:
        super().__init__(inner)
        self._cuts = cuts

    def _before(self, operation: str, kind: FileKind | None) -> None:
        super()._before(operation, kind)
        with socket.socket(socket.AF_UNIX) as asking:
            asking.connect(self._cuts)
            asking.recv(1)


class Remote(Wrapper):
    """A store to which files cannot be moved."""

    def spool_folder(self) -> None:
        return None


def live(words: list[str], environment: dict[str, str], said: str, given: dict[str, object]) -> None:
    """`hostward backup WORDS…` under `given` Circumstances; ends with its exit code.

    What it prints goes into the file `said`; what the faulty store was asked for, to one beside it, unless the
    process ends before.
    """
    circumstances = msgspec.convert(given, Circumstances)
    output = os.open(said, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    os.dup2(output, 1)
    os.dup2(output, 2)
    os.environ.update(environment)
    tempfile.tempdir = None
    keys.calibrated_cost = lambda: CHEAP
    retry.BASE = 0.0
    defaults = retry.RetryingStore.__init__.__kwdefaults__
    assert defaults is not None
    defaults["patience"] = circumstances.patience
    if circumstances.alone:
        locks.SETTLE = SETTLE
    _set_clock(circumstances)
    if circumstances.breaks:
        _break(circumstances.breaks)
    if circumstances.user:
        os.setgroups([])
        os.setgid(circumstances.user)
        os.setuid(circumstances.user)
        ctypes.CDLL(None).prctl(_PR_SET_DUMPABLE, 1, 0, 0, 0)
    if circumstances.cache_dies:
        _die_in_cache(circumstances.cache_dies)
    stores: list[FaultyStore] = []

    def opened(location: str, *more: Any) -> Store:
        store = open_store(location, *more)
        store.is_remote |= circumstances.cached
        if circumstances.remote:
            store = Remote(store)
        if circumstances.cuts and location == circumstances.faulty:
            store = Cut(store, circumstances.cuts)
            stores.append(store)
        elif location == circumstances.faulty:
            store = Mortal(store, Fault(*circumstances.fault) if circumstances.fault else None)
            stores.append(store)
        return store

    access.open_store = opened  # type: ignore[assignment, attr-defined]
    try:
        code = main(["backup", *words])
    except SystemExit as end:
        code = int(end.code or 0)
    sys.stdout.flush()
    sys.stderr.flush()
    calls = [[operation, kind and kind.value] for store in stores for operation, kind in store.calls]
    met = any(store.met for store in stores)
    Path(f"{said}.json").write_text(json.dumps({"calls": calls, "met": met}))
    os._exit(code)


def _die_in_cache(which: int) -> None:
    written = 0
    spool = CachedStore._spool

    def spooled(self: CachedStore, content: bytes | SpooledFile) -> Path:
        nonlocal written
        written += 1
        if written < which:
            return spool(self, content)
        file, _ = open_spool(self._folder)
        with file:
            whole = content.path.read_bytes() if isinstance(content, SpooledFile) else content
            file.write(whole[: len(whole) // 2])
        die()

    CachedStore._spool = spooled  # type: ignore[method-assign]


def _set_clock(circumstances: Circumstances) -> None:
    if not (circumstances.ahead or circumstances.jump or circumstances.set_by):
        return
    now, looks = time.time_ns, 0

    def time_ns() -> int:
        nonlocal looks
        looks += 1
        wrong = circumstances.ahead + (circumstances.jump if looks % 2 else 0.0)
        if looks > circumstances.set_after:
            wrong += circumstances.set_by
        return now() + int(wrong * 1e9)

    for locking in (locks.Held.__init__, inspect.unwrap(locks.locked)):
        assert locking.__kwdefaults__ is not None
        locking.__kwdefaults__["now"] = time_ns
    time.time_ns = time_ns
    time.time = lambda: time_ns() / 1e9


def _break(place: str) -> None:
    module, _, name = place.partition(":")

    def fail(*arguments: object, **named: object) -> NoReturn:
        raise RuntimeError("what nobody expects")

    setattr(import_module(module), name, fail)
