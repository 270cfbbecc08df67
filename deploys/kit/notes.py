"""What a deploy tells whoever runs it, beside what pyinfra shows of operations.

By itself a deploy shows its notes in pyinfra's output. The waves' runner listens instead: notes go into its journal,
its table, and home.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Literal

import msgspec
from pyinfra.api.host import Host

from kit.terminal import clean

Outcome = Literal["left_alone", "rolled_back", "broken"]
"""How a host that failed was left: as it was and nothing was changed; as it was, put back; or in neither state."""


class Phase(msgspec.Struct, frozen=True, tag="phase"):
    """What the host is doing now, in a few words: `backup`, `install`, `soak 2 of 5`."""

    text: str


class Versions(msgspec.Struct, frozen=True, tag="versions"):
    """What was installed before and after; None for what was or is not there. By package, or `hostward`."""

    before: dict[str, str | None]
    after: dict[str, str | None]


class Failed(msgspec.Struct, frozen=True, tag="failed"):
    """Why the deploy failed here, in one sentence, and how the host was left. The operation fails after it."""

    reason: str
    outcome: Outcome


class Result(msgspec.Struct, frozen=True, tag="result"):
    """What a deploy that asks has found out: `report`'s rows, `debug`'s file."""

    data: Mapping[str, object]
    """Plain, for programs. Lists of the same key are put together where a deploy tells several."""
    lines: tuple[str, ...]
    """The same for people."""


def joined(before: Mapping[str, object], more: Mapping[str, object]) -> dict[str, object]:
    """The data of several results."""
    found = dict(before)
    for key, value in more.items():
        known = found.get(key)
        found[key] = [*known, *value] if isinstance(known, list) and isinstance(value, list) else value
    return found


Note = Phase | Versions | Failed | Result
Listener = Callable[[Host, Note], None]


def _show(host: Host, note: Note) -> None:
    # Much of it is what the host said, which must not steer the terminal.
    match note:
        case Phase(text):
            host.log(clean(text))
        case Failed(reason, outcome):
            host.log(f"{clean(reason)} ({outcome.replace('_', ' ')})")
        case Versions(before, after):
            for name in sorted({**before, **after}):
                if before.get(name) != after.get(name):
                    host.log(clean(f"{name}: {before.get(name) or 'none'} to {after.get(name) or 'none'}"))
        case Result(_, lines):
            for line in lines:
                host.log(clean(line))


_listener: Listener = _show


def listen(listener: Listener) -> None:
    """Give `listener` all notes from now on."""
    global _listener
    _listener = listener


def note(host: Host, what: Note) -> None:
    """Tell it."""
    _listener(host, what)
