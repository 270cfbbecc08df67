"""From what a repository has of a cluster, and the moment that is wanted, to what a restore needs. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import Enum
from typing import NamedTuple

from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from backup.select.wal import BaseBackup, Chain
from backup.select.wal_names import lsn, segment_name

_NANO = 10**9


class Kind(Enum):
    """By what the moment is named; the values are PostgreSQL's `recovery_target_…`, but for END."""

    END = ""
    """The end of all WAL that there is."""
    IMMEDIATE = "immediate"
    """As soon as the base backup is consistent."""
    TIME = "time"
    XID = "xid"
    LSN = "lsn"
    NAME = "name"


@dataclass(frozen=True, slots=True)
class Target:
    """The moment that is wanted."""

    kind: Kind = Kind.END
    value: int = 0
    """TIME: nanoseconds since 1970. XID: a transaction's id, with the epoch or without. LSN: a place in the WAL; of a
    NAME it is where its restore point is."""
    name: str = ""
    not_after: int | None = None
    """No base backup that was done later, in nanoseconds since 1970."""
    timeline: int | None = None
    """None: the newest."""
    inclusive: bool = True
    """Whether what is just at the moment is recovered too."""


class Gap(NamedTuple):
    """Segments of a timeline that are missing."""

    timeline: int
    first: int
    last: int

    def words(self, size: int) -> str:
        """For people."""
        names = [segment_name(self.timeline, each, size) for each in (self.first, self.last)]
        return names[0] if self.first == self.last else f"{names[0]} to {names[1]}"


class Needed(NamedTuple):
    """A segment, and where it is."""

    name: str
    snapshot: Snapshot
    until: int
    """All that is in it was done before this, in seconds since 1970."""


@dataclass(frozen=True, slots=True)
class RestorePlan:
    """What is restored."""

    base: BaseBackup
    timeline: int
    """The one in which recovery ends."""
    segments: list[Needed]
    """In the order in which recovery asks for them. Of a TIME they are all that there are: where the first commit
    behind it is, by which recovery knows that it is there, only the WAL says."""
    until: int | None
    """All that is in these was done before this, in seconds since 1970; None where there is none."""


class Reach(NamedTuple):
    """How far a base backup can be recovered."""

    base: BaseBackup
    timeline: int
    until: int | None
    """In seconds since 1970: the end of the last segment before a gap; None where there is the base alone."""
    gap: Gap | None
    """What is missing then; None where it goes on to the end."""


class _Stretch(NamedTuple):
    timeline: int
    first: int
    last: int | None
    """None: as far as there is any."""


def plan_restore(chain: Chain, target: Target) -> RestorePlan:
    """The newest base backup before the moment, and the WAL from it to there.

    Raises RepositoryError where there is no such base backup, or WAL is missing: with what is, and how far it goes.
    """
    timeline = target.timeline if target.timeline is not None else _newest_timeline(chain)
    if timeline not in chain.timelines:
        known = ", ".join(map(str, chain.timelines)) or "none"
        raise RepositoryError(f"there is no timeline {timeline} of cluster {chain.system}; there are: {known}")
    base = _pick_base(chain, target, timeline)
    if target.kind is Kind.IMMEDIATE:
        stretches = [_Stretch(base.base.timeline, base.base.stop // chain.segment_size, None)]
        needed, until, _ = _walk(chain, stretches, _ends_at(base.base.stop, chain.segment_size))
        return RestorePlan(base, base.base.timeline, needed, until)
    stretches = list(_stretches(chain, base, timeline))
    if target.kind is Kind.LSN:
        # Recovery stops at a record that begins there or later, and that may go on in the next segment.
        there = target.value // chain.segment_size
        needed, until, gap = _walk(chain, stretches, there + 1, enough=lambda number, _: number >= there)
    elif target.kind is Kind.NAME:
        needed, until, gap = _walk(chain, stretches, _ends_at(target.value, chain.segment_size))
    elif target.kind is Kind.TIME:
        needed, until, gap = _walk(chain, stretches, None, enough=lambda _, when: when * _NANO > target.value)
    else:
        needed, until, gap = _walk(chain, stretches, None)
    if gap is not None:
        raise RepositoryError(_missing(chain, gap, until, base))
    if target.kind is Kind.TIME and (until is None or until * _NANO <= target.value):
        raise RepositoryError(
            f"the WAL in the repository ends before that time, {_reaches(until, base)}; WAL that waits in a spool is "
            "saved by a run of its job"
        )
    end = _end_of(stretches, needed, chain)
    if (target.kind is Kind.LSN and end <= target.value) or (target.kind is Kind.NAME and end < target.value):
        raise RepositoryError(f"the WAL in the repository ends before {lsn(target.value)}, {_reaches(until, base)}")
    return RestorePlan(base, timeline, needed, until)


def reach(chain: Chain, base: BaseBackup) -> Reach:
    """How far one base backup can be recovered, towards the newest timeline to which it leads."""
    timeline = max((each for each in chain.timelines if chain.leads_to(base.base, each)), default=base.base.timeline)
    _, until, gap = _walk(chain, list(_stretches(chain, base, timeline)), None)
    return Reach(base, timeline, until, gap)


def segments_between(chain: Chain, timeline: int, first: int, last: int) -> list[Needed]:
    """Those that are there of a part of a timeline's history, oldest first."""
    stretches = [
        _Stretch(each, max(first, begin // chain.segment_size), last) for each, begin in chain.lineage(timeline)
    ]
    found = {
        name: Needed(name, snapshot, until) for part in stretches for _, name, snapshot, until in _there(chain, part)
    }
    return list(found.values())


def _newest_timeline(chain: Chain) -> int:
    if not chain.bases:
        raise RepositoryError(f"there is no base backup of cluster {chain.system}, and WAL alone restores nothing")
    return max(chain.timelines)


def _pick_base(chain: Chain, target: Target, timeline: int) -> BaseBackup:
    fit = [each for each in chain.bases if chain.leads_to(each.base, timeline)]
    if not fit:
        raise RepositoryError(f"no base backup of cluster {chain.system} leads to timeline {timeline}")
    if target.not_after is not None:
        fit = [each for each in fit if each.snapshot.time_ns <= target.not_after]
    match target.kind:
        case Kind.TIME:
            before = [each for each in fit if each.snapshot.time_ns <= target.value]
        case Kind.LSN | Kind.NAME:
            before = [each for each in fit if each.base.stop <= target.value]
        case Kind.XID:
            before = [each for each in fit if _is_before(each.base.next_xid, target.value)]
        case _:
            before = fit
    if not before:
        oldest = min(chain.bases, key=lambda each: each.snapshot.time_ns)
        when = f"{oldest.snapshot.time:%Y-%m-%d %H:%M:%S%z}, at {lsn(oldest.base.stop)}"
        raise RepositoryError(
            f"no base backup of cluster {chain.system} was done before that: the oldest, snapshot "
            f"{oldest.snapshot.short_id}, is of {when}"
        )
    return max(before, key=lambda each: (each.base.stop, each.snapshot.time_ns))


def _is_before(next_xid: int, xid: int) -> bool:
    """Whether a transaction can only have begun after a base backup; ids without an epoch are of the last 2^31."""
    if xid < 2**32 <= next_xid:
        return (xid - next_xid) % 2**32 < 2**31
    return next_xid <= xid


def _stretches(chain: Chain, base: BaseBackup, timeline: int) -> Iterator[_Stretch]:
    """Which segments of which timelines lead from a base backup to the end of a timeline."""
    size, start = chain.segment_size, base.base.stop
    lineage = chain.lineage(timeline)
    ends = [begin for _, begin in lineage[1:]]
    for (member, begin), end in zip(lineage, [*ends, None], strict=True):
        if member < base.base.timeline:
            continue
        # The segment in which a timeline begins has its name, with what came before copied into it.
        yield _Stretch(member, max(begin, start) // size, None if end is None else end // size - 1)


def _never(_number: int, _until: int) -> bool:
    return False


def _walk(
    chain: Chain, stretches: list[_Stretch], stop: int | None, *, enough: Callable[[int, int], bool] = _never
) -> tuple[list[Needed], int | None, Gap | None]:
    """What is there, up to the segment `stop`; until when; and the first gap. Behind a segment that is `enough`, by
    its number and until when it goes, nothing is missed.
    """
    needed: list[Needed] = []
    until: int | None = None
    is_enough = False
    for part in stretches:
        expected = part.first
        for number, name, snapshot, written in _there(chain, part):
            if number > expected:
                return needed, until, None if is_enough else Gap(part.timeline, expected, number - 1)
            needed.append(Needed(name, snapshot, written))
            until = max(until or 0, written)
            expected = number + 1
            if number == stop:
                return needed, until, None
            is_enough = is_enough or enough(number, written)
        if part.last is not None and expected <= part.last:
            return needed, until, None if is_enough else Gap(part.timeline, expected, part.last)
    return needed, until, None


def _there(chain: Chain, part: _Stretch) -> Iterator[tuple[int, str, Snapshot, int]]:
    """(number, name, snapshot, when written last) of each segment that is there, once."""
    expected = part.first
    for snapshot, span in chain.pieces:
        if span.timeline != part.timeline:
            continue
        last = span.last if part.last is None else min(span.last, part.last)
        for number in range(max(span.first, expected), last + 1):
            yield number, segment_name(span.timeline, number, span.size), snapshot, span.until
        expected = max(expected, last + 1)


def _ends_at(place: int, size: int) -> int:
    """The segment with the byte before a place."""
    return max(place - 1, 0) // size


def _end_of(stretches: list[_Stretch], needed: list[Needed], chain: Chain) -> int:
    first = stretches[0].first if stretches else 0
    return (first + len(needed)) * chain.segment_size


def _missing(chain: Chain, gap: Gap, until: int | None, base: BaseBackup) -> str:
    return (
        f"WAL is missing: {gap.words(chain.segment_size)} is in no snapshot, {_reaches(until, base)}; an earlier "
        "moment can be restored, or one after the next base backup"
    )


def _reaches(until: int | None, base: BaseBackup) -> str:
    if until is None:
        return f"and base backup {base.snapshot.short_id} is all that there is"
    return f"and what is there goes to {datetime.fromtimestamp(until, UTC):%Y-%m-%d %H:%M:%S}Z"
