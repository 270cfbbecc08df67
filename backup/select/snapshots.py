"""Which snapshots are meant by what stands on a command line: ids, `latest`, hosts, tags, paths, times, groups."""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta, timezone, tzinfo
from typing import NamedTuple

from backup.errors import RepositoryError
from backup.format.snapshot import Snapshot
from kit.errors import UsageError

LATEST = "latest"

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_TIME = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)(?:[ T](\d\d):(\d\d)(?::(\d\d))?)? ?(Z|([+-])(\d\d):?(\d\d))?", re.ASCII | re.IGNORECASE
)

Tags = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class SnapshotFilter:
    """What a snapshot must be to be meant; what is empty asks for nothing."""

    hosts: tuple[str, ...] = ()
    """Made on any of them."""
    tags: tuple[Tags, ...] = ()
    """Has all tags of any of the lists; an empty tag stands for a snapshot without tags."""
    paths: tuple[str, ...] = ()
    """Made of all of them, absolute and clean."""

    @classmethod
    def parse(
        cls, hosts: Sequence[str] = (), tags: Sequence[str] = (), paths: Sequence[str] = (), *, folder: str = "/"
    ) -> SnapshotFilter:
        """From the values of `--host`, `--tag` and `--path`; paths may be relative to `folder`.

        `--host ""` alone asks for no host.
        """
        return cls(
            () if list(hosts) == [""] else tuple(hosts),
            tuple(parse_tags(text) for text in tags),
            tuple(_clean(posixpath.join(folder, path)) for path in paths),
        )

    def __bool__(self) -> bool:
        """Whether it asks for anything."""
        return bool(self.hosts or self.tags or self.paths)

    def __str__(self) -> str:
        asked = [f"host {host}" for host in self.hosts]
        asked += [f"tag {','.join(tags)}" for tags in self.tags]
        asked += [f"path {path}" for path in self.paths]
        return ", ".join(asked)

    def matches(self, snapshot: Snapshot) -> bool:
        """Whether the snapshot is meant."""
        return (
            (not self.hosts or snapshot.hostname in self.hosts)
            and (not self.tags or any(has_tags(snapshot, tags) for tags in self.tags))
            and set(self.paths) <= set(snapshot.paths)
        )


class Found(NamedTuple):
    """A snapshot and the folder in it that was named."""

    snapshot: Snapshot
    subfolder: str
    """Absolute and clean; empty where none was named."""


class Grouping(NamedTuple):
    """By what snapshots are put together."""

    host: bool = False
    paths: bool = False
    tags: bool = False

    @classmethod
    def parse(cls, text: str) -> Grouping:
        """`host,paths,tags`, any of them; nothing puts all snapshots together. Raises UsageError."""
        words = {word.removesuffix("s") for word in text.split(",") if word}
        if unknown := words - {"host", "path", "tag"}:
            raise UsageError(f'snapshots cannot be grouped by "{min(unknown)}": expected host, paths or tags')
        return cls("host" in words, "path" in words, "tag" in words)


BY_HOST_AND_PATHS = Grouping(host=True, paths=True)


class GroupKey(NamedTuple):
    """What the snapshots of a group have in common; None is what was not asked for."""

    host: str | None = None
    paths: tuple[str, ...] | None = None
    tags: Tags | None = None

    def __str__(self) -> str:
        parts = []
        if self.host is not None:
            parts.append(f"host {self.host}")
        if self.paths is not None:
            parts.append(f"paths {', '.join(self.paths)}")
        if self.tags is not None:
            parts.append(f"tags {', '.join(self.tags)}")
        return "; ".join(parts) or "all snapshots"


class SnapshotGroup(NamedTuple):
    """Snapshots that have something in common."""

    key: GroupKey
    snapshots: list[Snapshot]


def parse_tags(text: str) -> Tags:
    """`a,b` is two tags that a snapshot must both have; the space around them is not theirs."""
    return tuple(tag.strip() for tag in text.split(","))


def has_tags(snapshot: Snapshot, tags: Tags) -> bool:
    """Whether the snapshot has all of the tags; an empty one is had by a snapshot without tags."""
    for tag in tags:
        if not tag and not snapshot.tags:
            return True
        if tag not in snapshot.tags:
            return False
    return True


def newest_first(snapshots: Iterable[Snapshot]) -> list[Snapshot]:
    """Sorted by time; those of one time by their ids, so that the order is always the same."""
    return sorted(snapshots, key=lambda snapshot: (-snapshot.time_ns, snapshot.id))


def find_snapshot(
    snapshots: Iterable[Snapshot], name: str, wanted: SnapshotFilter = SnapshotFilter(), *, at: int | None = None
) -> Found:
    """The one snapshot that `name` means: `ID`, the beginning of an id, or `latest`, each also as `NAME:SUBFOLDER`.

    The filter, and the time `at` (`parse_at`) that the snapshot may not be after, say which one is the latest; an id
    means its snapshot whatever they say, but may not come with a time. Raises RepositoryError where there is none or
    more than one, UsageError for an id with a time.
    """
    id, colon, subfolder = name.partition(":")
    subfolder = _clean("/" + subfolder) if colon else ""
    if id == LATEST:
        fit = [each for each in snapshots if wanted.matches(each) and (at is None or each.time_ns <= at)]
        if not fit:
            asked = [str(wanted)] if wanted else []
            asked += ["not after the given time"] if at is not None else []
            raise RepositoryError(f"there is no snapshot ({', '.join(asked)})" if asked else "there is no snapshot")
        return Found(newest_first(fit)[0], subfolder)
    if at is not None:
        raise UsageError(f'a time chooses among snapshots, but "{id}" is one: expected "{LATEST}" or no time')
    return Found(_by_prefix(snapshots, id), subfolder)


def find_snapshots(
    snapshots: Sequence[Snapshot], names: Sequence[str], wanted: SnapshotFilter = SnapshotFilter()
) -> list[Snapshot]:
    """The snapshots that several names mean, each once; without names all that the filter lets through.

    Raises RepositoryError as `find_snapshot`, and UsageError for a subfolder, which cannot be meant here.
    """
    if not names:
        return [snapshot for snapshot in snapshots if wanted.matches(snapshot)]
    found: dict[str, Snapshot] = {}
    for name in names:
        if ":" in name:
            raise UsageError(f'"{name}" names a folder in a snapshot: expected a snapshot as a whole')
        snapshot = find_snapshot(snapshots, name, wanted).snapshot
        found.setdefault(snapshot.id, snapshot)
    return list(found.values())


def group_snapshots(snapshots: Iterable[Snapshot], by: Grouping) -> list[SnapshotGroup]:
    """The snapshots put together, the groups sorted by their keys, the snapshots in the order in which they came."""
    groups: dict[GroupKey, list[Snapshot]] = {}
    for snapshot in snapshots:
        key = GroupKey(
            snapshot.hostname if by.host else None,
            tuple(sorted(snapshot.paths)) if by.paths else None,
            tuple(sorted(snapshot.tags)) if by.tags else None,
        )
        groups.setdefault(key, []).append(snapshot)
    ordered = sorted(groups, key=lambda key: (key.host or "", key.paths or (), key.tags or ()))
    return [SnapshotGroup(key, groups[key]) for key in ordered]


def newest_of_each(snapshots: Iterable[Snapshot], count: int) -> list[Snapshot]:
    """The newest `count` snapshots of each host and set of paths, the newest first."""
    groups = group_snapshots(newest_first(snapshots), BY_HOST_AND_PATHS)
    return newest_first(snapshot for group in groups for snapshot in group.snapshots[:count])


def parse_at(text: str, local: tzinfo) -> int:
    """The last nanosecond (since 1970) of the time that is written: of the day, of the minute, of the second.

    So a snapshot is found by the time that is shown of it, and one made on a day is not after that day. `2026-11-22`,
    `2026-11-22 14:30`, `2026-11-22T14:30:05`, with `Z` or `+01:00` behind it, else in the zone `local`. Where a clock
    shows a time twice, the later one is meant. Raises UsageError.
    """
    match = _TIME.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        year, month, day, hour, minute, second, zone, sign, zone_hours, zone_minutes = match.groups()
        if zone is None:
            place: tzinfo = local
        elif sign is None:
            place = UTC
        else:
            east = timedelta(hours=int(zone_hours), minutes=int(zone_minutes))
            place = timezone(-east if sign == "-" else east)
        unit = timedelta(seconds=1) if second else timedelta(minutes=1) if hour else timedelta(days=1)
        fields = [int(field or 0) for field in (year, month, day, hour, minute, second)]
        begins = datetime(*fields, tzinfo=place)  # type: ignore[arg-type, misc]
        ends = (begins + unit).replace(fold=1)
        return (ends - _EPOCH) // _MICROSECOND * 1000 - 1
    except (ValueError, OverflowError):
        raise UsageError(
            f'"{text}" is no time: expected one as "2026-11-22", "2026-11-22 14:30" or "2026-11-22T14:30:05+01:00"'
        ) from None


def _by_prefix(snapshots: Iterable[Snapshot], prefix: str) -> Snapshot:
    if not prefix:
        raise UsageError(f'an empty text names no snapshot: expected an id, its beginning, or "{LATEST}"')
    fit = [snapshot for snapshot in snapshots if snapshot.id.startswith(prefix)]
    if not fit:
        raise RepositoryError(f'there is no snapshot whose id begins with "{prefix}"')
    if len(fit) > 1:
        some = ", ".join(sorted(snapshot.id[: len(prefix) + 4] for snapshot in fit)[:4])
        more = ", …" if len(fit) > 4 else ""
        raise RepositoryError(
            f'{len(fit)} snapshots have ids that begin with "{prefix}" ({some}{more}): say more of it'
        )
    return fit[0]


def _clean(path: str) -> str:
    """An absolute path without what changes nothing, and without `..`."""
    return "/" + posixpath.normpath(path).lstrip("/")
