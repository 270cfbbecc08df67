"""What a rollout tells home and asks of it: windows for a wave's hosts, leases, and the record of the whole.

A home that is away stops nothing unless it is required: what it missed it gets when it answers again, or when the
tool is used again (rollout.missed).
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

import msgspec

from kit.homefile import Home, HomeError, open_home
from wire.rollout import RolloutRecord
from wire.window import Lease, LeaseRequest, Window, WindowRequest

RETRY = 15.0
"""Seconds after which a home that was away is tried again."""
TAKEN = 409
OVER = (404, 409)


class HomeAwayError(Exception):
    """Home is required and is away."""


class _Row(msgspec.Struct, frozen=True):
    name: str
    state: str


class _Rows(msgspec.Struct, frozen=True):
    """What is needed of the answer to `/api/v1/hosts`."""

    hosts: list[_Row]


class AtHome:
    """Home, as a rollout uses it."""

    def __init__(self, file: Path, *, required: bool, complain: Callable[[str], None]) -> None:
        """`complain` is told once when home is away, and once when it is back. Raises HostwardError."""
        self._home: Home = open_home(file)
        self.required = required
        """Whether a home that is away is an error."""
        self._complain = complain
        self._away_since: float | None = None
        self._tried = 0.0
        self._missed: RolloutRecord | None = None
        self._refused = ""
        """What home said when it refused something last; it is told once."""
        self._refuses_windows = False

    @property
    def url(self) -> str:
        """Where it is."""
        return self._home.url

    def tell(self, record: RolloutRecord) -> bool:
        """Have home know how the rollout stands. Returns whether it does. Raises HomeAwayError."""
        self._missed = record
        done = self._try(lambda: self._home.put(f"/api/v1/rollouts/{record.id}", record, Any))
        if done or self._away_since is None:
            self._missed = None  # also where home refuses it: it would refuse it again
        return done

    def tell_again(self) -> None:
        """What home missed, now and then."""
        if self._missed is not None and time.monotonic() - self._tried >= RETRY:
            self.tell(self._missed)

    def states(self) -> dict[str, str]:
        """The state of each host that home knows; empty where home is away. Raises HomeAwayError."""
        rows: list[_Row] = []
        self._try(lambda: rows.extend(self._home.get("/api/v1/hosts", _Rows).hosts))
        return {row.name: row.state for row in rows}

    def open_window(self, hosts: Sequence[str], reason: str, duration: float, rollout: str) -> str | None:
        """A window's id; None where home is away. Raises HomeAwayError."""
        opened: list[Window] = []
        request = WindowRequest(hosts=list(hosts), reason=reason, duration=duration, rollout=rollout)

        def post() -> None:
            try:
                opened.append(self._home.post("/api/v1/windows", request, Window))
            except HomeError as error:
                self._refuses_windows = not error.is_away
                raise

        self._try(post)
        return opened[0].id if opened else None

    def may_open_now(self) -> bool:
        """Whether a window that could not be opened is worth a try: home is back, or was not tried for a while."""
        if self._refuses_windows:
            return False
        return self._away_since is None or time.monotonic() - self._tried >= RETRY

    def renew_window(self, window: str, hosts: Sequence[str], reason: str, duration: float, rollout: str) -> bool:
        """For that much longer from now on, and only for these hosts. Returns False where it is over already, as when
        this machine slept or somebody closed it. Raises HomeAwayError.
        """
        request = WindowRequest(hosts=list(hosts), reason=reason, duration=duration, rollout=rollout)
        over = False

        def put() -> None:
            nonlocal over
            try:
                self._home.put(f"/api/v1/windows/{window}", request, Any)
            except HomeError as error:
                over = error.status in OVER
                if not over:
                    raise

        self._try(put)
        return not over

    def close_window(self, window: str) -> None:
        """It is over; one that nobody can close ends by itself, and one that has ended needs no closing."""

        def close() -> None:
            try:
                self._home.delete(f"/api/v1/windows/{window}")
            except HomeError as error:
                if error.status not in OVER:
                    raise

        self._try(close, required=False)

    def take_lease(self, name: str, holder: str, places: int, duration: float) -> bool | None:
        """Whether the place is held now; None where home is away. Raises HomeError when it refuses."""
        if self._away_since is not None and time.monotonic() - self._tried < RETRY:
            return None
        self._tried = time.monotonic()
        request = LeaseRequest(holder=holder, places=places, duration=duration)
        try:
            self._home.put(f"/api/v1/leases/{name}", request, Lease)
        except HomeError as error:
            if error.is_away:
                self._is_away(error)
                return None
            if error.status != TAKEN:
                raise
            held = False
        else:
            held = True
        self._is_back()
        return held

    def give_back(self, name: str, holder: str) -> None:
        """Let others have the place; one that cannot be given back ends by itself."""
        self._try(lambda: self._home.delete(f"/api/v1/leases/{name}?holder={quote(holder, safe='')}"), required=False)

    def close(self) -> None:
        """Close its connections."""
        self._home.close()

    def _try(self, work: Callable[[], object], *, required: bool = True) -> bool:
        self._tried = time.monotonic()
        try:
            work()
        except HomeError as error:
            if self.required and required:
                raise HomeAwayError(str(error)) from None
            if error.is_away:
                self._is_away(error)
            else:
                self._refuses(error)
            return False
        self._is_back()
        return True

    def _is_away(self, error: HomeError) -> None:
        if self._away_since is None:
            self._complain(f"home: {error}")
            self._away_since = time.monotonic()

    def _refuses(self, error: HomeError) -> None:
        """It answers, and will say the same until somebody changes something."""
        self._is_back()
        if self._refused != str(error):
            self._refused = str(error)
            self._complain(f"home: {error}")

    def _is_back(self) -> None:
        if self._away_since is not None:
            self._complain("home answers again")
            self._away_since = None
