"""Leave to do what only so many hosts may do at one time, as rebooting is.

At home where there is one, so that the rollouts of several administrators count together; else in a file of this
user's. Either way a place that is not renewed is free again: a dead run holds nothing for ever.
"""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Protocol

import msgspec

from kit.errors import HostwardError
from kit.files import write_durably
from rollout.home import AtHome
from rollout.protocol import Answer
from rollout.rules.places import Places, given_back, taken
from rollout.uptime import uptime

DURATION = 120.0
"""Seconds for which a place is held without being renewed."""
RENEW = 30.0
"""Seconds between two renewals."""
ASK = 2.0
"""Seconds after which a place that was others' is asked for again."""


class Store(Protocol):
    """Where places are counted."""

    def take(self, name: str, holder: str, places: int) -> bool:
        """Take a place, or keep it for longer. Raises HostwardError."""
        ...

    def give_back(self, name: str, holder: str) -> None:
        """Let others have it."""
        ...


class HomeStore:
    """At home; and elsewhere for as long as home is away and not required."""

    def __init__(self, home: AtHome, otherwise: Store) -> None:
        self._home = home
        self._otherwise = otherwise
        self._held_otherwise: set[tuple[str, str]] = set()

    def take(self, name: str, holder: str, places: int) -> bool:
        """Raises HostwardError when home refuses, or the other store is used and fails."""
        held = self._home.take_lease(name, holder, places, DURATION)
        if held is not None:
            return held
        if self._home.required or not self._otherwise.take(name, holder, places):
            return False
        self._held_otherwise.add((name, holder))
        return True

    def give_back(self, name: str, holder: str) -> None:
        """One that cannot be given back ends by itself. Raises HostwardError as `take` does."""
        self._home.give_back(name, holder)
        if (name, holder) in self._held_otherwise:
            self._held_otherwise.discard((name, holder))
            self._otherwise.give_back(name, holder)


class FileStore:
    """In a file that this user's rollouts share."""

    def __init__(self, file: Path) -> None:
        self._file = file

    def take(self, name: str, holder: str, places: int) -> bool:
        """Raises HostwardError when the file cannot be written."""
        with self._held() as found:
            after = taken(found.get(name, {}), holder, places, now=time.time(), duration=DURATION)
            if after is None:
                return False
            self._write({**found, name: after})
            return True

    def give_back(self, name: str, holder: str) -> None:
        """Raises HostwardError when the file cannot be written."""
        with self._held() as found:
            self._write({**found, name: given_back(found.get(name, {}), holder)})

    @contextmanager
    def _held(self) -> Iterator[dict[str, Places]]:
        """What the file holds, while nobody else reads or writes it."""
        try:
            self._file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = os.open(self._file.with_suffix(".lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            raise HostwardError(f"{self._file} cannot be written: {error.strerror}") from None
        try:
            fcntl.flock(lock, fcntl.LOCK_EX)
            try:
                found = msgspec.json.decode(self._file.read_bytes(), type=dict[str, Places])
            except FileNotFoundError:
                found = {}
            except (OSError, msgspec.DecodeError) as error:
                raise HostwardError(f"{self._file} cannot be read: {error}; remove it") from None
            yield found
        finally:
            os.close(lock)

    def _write(self, content: dict[str, Places]) -> None:
        try:
            write_durably(self._file, msgspec.json.encode(content), mode=0o600)
        except OSError as error:
            raise HostwardError(f"{self._file} cannot be written: {error.strerror}") from None


class Leases:
    """The places that one wave's hosts ask for, hold, and give back.

    One can be lost: the machine slept, or a home that is required was away, and another host got it. Whoever has not
    begun by then does not begin, and asks anew; a reboot that has begun goes on.
    """

    def __init__(self, store: Store, rollout: str, limits: dict[str, int]) -> None:
        """`limits`: how many hosts may hold a place by what they do; 1 for what is not named."""
        self._store = store
        self._rollout = rollout
        self._limits = limits
        self._waiting: dict[int, tuple[str, str]] = {}
        self._held: dict[int, tuple[str, str]] = {}
        self._renewed = uptime()
        self._asked = -ASK

    def ask(self, number: int, host: str, what: str) -> None:
        """A host waits for leave."""
        self._waiting[number] = what, f"{self._rollout}/{host}"
        self._asked = -ASK

    def answers(self) -> list[Answer]:
        """What is to be said now: to those who hold a place, for how long that is, or that it was lost; and to those
        who wait, in the order in which they asked.
        """
        return [*self._renewals(), *self._grants()]

    def _renewals(self) -> list[Answer]:
        now = uptime()
        if now - self._renewed < RENEW:
            return []
        self._renewed = now
        found = []
        for number, (what, holder) in self._held.items():
            try:
                held = self._take(what, holder)
            except HostwardError:
                continue  # what is not kept for longer ends by itself
            # One that was lost is asked for all the same: where its host is at it by now, others shall wait for it.
            reason = "" if held else f"the place to {what} was lost to another host"
            found.append(Answer(number=number, granted=held, until=now + DURATION, reason=reason))
        return found

    def _grants(self) -> list[Answer]:
        now = uptime()
        if not self._waiting or now - self._asked < ASK:
            return []
        self._asked = now
        found, full = [], set()
        try:
            for number, (what, holder) in list(self._waiting.items()):
                if what not in full and self._take(what, holder):
                    self._held[number] = self._waiting.pop(number)
                    found.append(Answer(number=number, granted=True, until=now + DURATION))
                else:
                    full.add(what)
        except HostwardError as error:
            found += [Answer(number=number, granted=False, reason=str(error)) for number in self._waiting]
            self._waiting.clear()
        return found

    def _take(self, what: str, holder: str) -> bool:
        return self._store.take(what, holder, self._limits.get(what, 1))

    def waiting(self) -> list[int]:
        """Who waits."""
        return list(self._waiting)

    def give_back(self, number: int) -> None:
        """A host has done it, or does not want to any more. A place that cannot be given back ends by itself."""
        self._waiting.pop(number, None)
        self._asked = -ASK
        if held := self._held.pop(number, None):
            with suppress(HostwardError):
                self._store.give_back(*held)

    def end(self) -> None:
        """The wave is over: nothing is held or waited for."""
        for number in [*self._waiting, *self._held]:
            self.give_back(number)
