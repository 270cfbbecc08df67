"""A store that fails when it is told to: faults for tests of whatever works on a repository.

    store = FaultyStore(MemoryStore(), Fault("save", 3, "killed after"))
    with pytest.raises(Killed):
        run_backup(store)
    assert_that_all_is_well(store.inner)

An operation is one of OPERATIONS; the N-th call of it (1 is the first), of any kind of file or only of `kind`, meets
the fault:

- `killed before`  the process dies when it is about to do it: nothing has happened
- `killed after`   the process dies when it is done: it has happened, and nobody was told
- `killed within`  (save) the process dies in the middle: a spooled file is cut short, nothing has its name
- `failing once`   it does not happen, StoreError; the next time it does
- `failing for ever`  it does not happen, nor does anything after it: PermanentStoreError from this call on
- `lost answer`    it happens, and StoreError is raised all the same; once
- `disk full`      (save) PermanentStoreError from this call on, for every save; other operations go on, also remove
- `wrong bytes`    (load) one bit of the answer is flipped; once
- `wrong bytes for ever`  (load) likewise from this call on
- `short bytes`    (load) the last byte of the answer is missing, as a store must not do; once

A dead process does nothing more: after `Killed` every operation raises `Killed` again, so that a `finally` or an
`except Exception` that goes on to write cannot hide what a kill would leave. Killed is a BaseException, like
KeyboardInterrupt. What it leaves is in `store.inner`, which works on.

`calls` lists every operation with its kind of file, so that a test can find how many there are and place a fault at
each:

    counting = FaultyStore(MemoryStore())
    run_backup(counting)
    for fault in counting.each_fault():
        ...
"""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass

from backup.stores.contract import FileKind, PermanentStoreError, SpooledFile, Store, StoreError
from backup.stores.wrapper import Wrapper

OPERATIONS = ("create", "save", "load", "size", "list", "remove")
EVERYWHERE = ("killed before", "killed after", "failing once", "failing for ever", "lost answer")
"""Faults that every operation can meet."""
FAULTS = {
    "save": ("killed within", "disk full"),
    "load": ("wrong bytes", "wrong bytes for ever", "short bytes"),
}
"""Faults that only one operation can meet."""


class Killed(BaseException):
    """The process is dead from here on."""


@dataclass(frozen=True)
class Fault:
    """What happens at the `at`-th call of `operation`, counting those of `kind` alone where one is given."""

    operation: str
    at: int
    what: str
    kind: FileKind | None = None

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS or self.what not in (*EVERYWHERE, *FAULTS.get(self.operation, ())):
            raise ValueError(f"no such fault: {self}")

    def __str__(self) -> str:
        return f"{self.what}: {self.operation} {self.at}" + (f" of {self.kind}" if self.kind else "")


class FaultyStore(Wrapper):
    """Meets one fault at most; without one it only counts. Safe for threads; a fork counts on its own."""

    def __init__(self, inner: Store, fault: Fault | None = None) -> None:
        super().__init__(inner)
        self.fault = fault
        self.calls: list[tuple[str, FileKind | None]] = []
        self.met = False
        """Whether the fault has happened. A test that expects one should assert it."""
        self._dead = False
        self._lock = threading.Lock()

    def each_fault(self, *operations: str) -> Iterator[Fault]:
        """Every fault that a run with the same calls can meet, at each of its calls (of these operations)."""
        for operation, count in Counter(operation for operation, _ in self.calls).items():
            if operation in (operations or OPERATIONS):
                for at in range(1, count + 1):
                    for what in (*EVERYWHERE, *FAULTS.get(operation, ())):
                        yield Fault(operation, at, what)

    def create(self) -> None:
        what = self._before("create", None)
        self.inner.create()
        self._after(what)

    def save(self, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
        what = self._before("save", kind)
        if what == "killed within":
            if isinstance(content, SpooledFile):
                os.truncate(content.path, content.size // 2)
            self._die()
        if what == "disk full":
            raise PermanentStoreError(f"{kind.value}/{name}: No space left on device (a fault of the test)")
        if what == "lost answer" and isinstance(content, SpooledFile):
            content = content.path.read_bytes()  # which is still there after a failure
        self.inner.save(kind, name, content)
        self._after(what)

    def load(self, kind: FileKind, name: str, offset: int = 0, length: int | None = None) -> bytes:
        what = self._before("load", kind)
        content = self.inner.load(kind, name, offset, length)
        self._after(what)
        if what in ("wrong bytes", "wrong bytes for ever") and content:
            middle = len(content) // 2
            return content[:middle] + bytes([content[middle] ^ 0x10]) + content[middle + 1 :]
        return content[:-1] if what == "short bytes" else content

    def size(self, kind: FileKind, name: str) -> int:
        what = self._before("size", kind)
        size = self.inner.size(kind, name)
        self._after(what)
        return size

    def list(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        what = self._before("list", kind)
        files = list(self.inner.list(kind))
        self._after(what)
        return iter(files)

    def remove(self, kind: FileKind, name: str) -> None:
        what = self._before("remove", kind)
        self.inner.remove(kind, name)
        self._after(what)

    def _before(self, operation: str, kind: FileKind | None) -> str | None:
        """What this call meets, where it does not meet it at once."""
        with self._lock:
            if self._dead:
                raise Killed
            self.calls.append((operation, kind))
            what = self._what(operation, kind)
        if what is None:
            return None
        self.met = True
        if what == "killed before":
            self._die()
        if what == "failing once":
            raise StoreError(f"{operation}: failed once (a fault of the test)")
        if what == "failing for ever":
            raise PermanentStoreError(f"{operation}: fails for ever (a fault of the test)")
        return what

    def _what(self, operation: str, kind: FileKind | None) -> str | None:
        fault = self.fault
        if fault is None:
            return None
        count = sum(1 for call in self.calls if call[0] == fault.operation and fault.kind in (None, call[1]))
        if count < fault.at:
            return None
        if fault.what == "failing for ever":
            return fault.what
        if operation != fault.operation or fault.kind not in (None, kind):
            # The disk is full for every kind of file once it is.
            return fault.what if fault.what == "disk full" and operation == "save" else None
        lasting = fault.what in ("disk full", "wrong bytes for ever")
        return fault.what if count == fault.at or lasting else None

    def _after(self, what: str | None) -> None:
        if what == "killed after":
            self._die()
        if what == "lost answer":
            raise StoreError("the answer was lost (a fault of the test)")

    def _die(self) -> None:
        self._dead = True
        raise Killed
