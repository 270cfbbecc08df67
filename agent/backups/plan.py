"""What the agent plans to run, kept beside the records for who judges whether it was done. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec

from agent.backups.command import Kind
from agent.timetable import OptionalSchedule, Schedule, next_due
from kit.options.decode import from_text
from kit.options.words import given


class Planned(msgspec.Struct, frozen=True, kw_only=True):
    """A backup job or a drill of the configuration in force."""

    name: str
    since: float
    """Since when it has this timetable, in seconds since the epoch: before that nothing was missed."""
    schedule: dict[str, Any]
    """As TOML has it; empty for one that runs by hand alone."""
    patience: float
    """Seconds that a run may take."""
    verifies_since: float | None = None
    """Since when its runs read back what they stored; None where they do not."""

    def timetable(self) -> Schedule:
        """The schedule. Raises ValueError for one that another version wrote."""
        return msgspec.convert(self.schedule, OptionalSchedule, dec_hook=from_text)


_decoder = msgspec.json.Decoder(list[Planned])


def key_of(kind: Kind, name: str) -> str:
    """By which the timetable knows a backup job or a drill; its jitter goes by it too."""
    return f"{kind}:{name}"


def next_run(kind: Kind, name: str, options: Schedule, now: float, *, host: str) -> float | None:
    """When the timetable runs it next, in seconds since the epoch as `now` is; None where it says no time."""
    if not options.is_timed:
        return None
    moment = datetime.fromtimestamp(now, UTC)
    return next_due(options, moment, host=host, job=key_of(kind, name)).timestamp()


def schedule_of(options: Schedule) -> dict[str, Any]:
    """For `Planned.schedule`."""
    fields = set(Schedule.__struct_fields__)
    plain = given(options)
    return {name: _plain(value) for name, value in plain.items() if name in fields} if options.is_timed else {}


def with_since(planned: Iterable[Planned], before: Mapping[str, Planned]) -> list[Planned]:
    """The same, each since when it has been planned like this.

    One that was turned on, or got another timetable, has missed nothing before that; and one whose runs did not
    verify was not to be verified. A time that lies ahead was told by a clock that was wrong.
    """
    return [_with_since(one, before[one.name]) if one.name in before else one for one in planned]


def _with_since(one: Planned, before: Planned) -> Planned:
    since, verifies = one.since, one.verifies_since
    if one.schedule == before.schedule:
        since = min(since, before.since)
    if verifies is not None and before.verifies_since is not None:
        verifies = min(verifies, before.verifies_since)
    return msgspec.structs.replace(one, since=since, verifies_since=verifies)


def encode(planned: Iterable[Planned]) -> bytes:
    """For `decode`."""
    return msgspec.json.encode(list(planned))


def decode(data: bytes) -> dict[str, Planned]:
    """By name; of nonsense nothing."""
    try:
        return {one.name: one for one in _decoder.decode(data)} if data else {}
    except (msgspec.MsgspecError, UnicodeDecodeError):
        return {}


def _plain(value: Any) -> Any:
    return value if isinstance(value, str | bool) else str(value)
