"""Continuous archives of PostgreSQL in a repository: base backups, the WAL that leads on from them, and which of it
still has a use. All is read from the tags of snapshots (wal_names.py), so that nobody needs to look into them.

The rule of keeping: rules count base backups, as they count other snapshots; WAL follows from them. WAL that a base
backup leads on through is kept, from the oldest base backup of its cluster that there is. WAL that no base backup
needs goes. While a cluster has no base backup, all its WAL stays: one may be under way.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from backup.format.snapshot import Snapshot
from backup.select.wal_names import MARK, Base, Branch, Span, parse_tag, segment_name


class BaseBackup(NamedTuple):
    """A base backup that there is."""

    snapshot: Snapshot
    """Of the time at which the backup was done."""
    base: Base


class Piece(NamedTuple):
    """Segments that there are."""

    snapshot: Snapshot
    span: Span


@dataclass
class Chain:
    """What there is of one cluster."""

    system: int
    bases: list[BaseBackup] = field(default_factory=list)
    """Oldest first."""
    pieces: list[Piece] = field(default_factory=list)
    """By timeline, then by their first segment."""
    branches: dict[int, Branch] = field(default_factory=dict)
    """By the timeline that left another."""
    histories: dict[int, Snapshot] = field(default_factory=dict)
    """The newest snapshot that has the history file of each of these."""

    @property
    def segment_size(self) -> int:
        """Bytes; 16 MiB where there is no WAL to tell."""
        return self.pieces[0].span.size if self.pieces else 16 * 2**20

    @property
    def timelines(self) -> list[int]:
        """Those of which anything is known, in their order."""
        known = {piece.span.timeline for piece in self.pieces} | {each.base.timeline for each in self.bases}
        return sorted(known | set(self.branches))

    def last_segment(self) -> str:
        """The name of the last one on the newest timeline that has any; '' for none."""
        if not self.pieces:
            return ""
        span = max(self.pieces, key=lambda piece: (piece.span.timeline, piece.span.last)).span
        return segment_name(span.timeline, span.last, span.size)

    def lineage(self, timeline: int) -> list[tuple[int, int]]:
        """(timeline, where it begins) from the oldest known ancestor to `timeline`; the first begins at 0."""
        found: list[tuple[int, int]] = []
        while (branch := self.branches.get(timeline)) is not None and branch.parent < timeline:
            found.append((timeline, branch.at))
            timeline = branch.parent
        return [(timeline, 0), *reversed(found)]

    def leads_to(self, base: Base, timeline: int) -> bool:
        """Whether recovery can go from a base backup into this timeline."""
        lineage = self.lineage(timeline)
        for (member, _), (_, end) in zip(lineage, [*lineage[1:], (0, -1)], strict=True):
            if member == base.timeline:
                return end < 0 or base.stop <= end
        return False

    def covered(self, timeline: int) -> list[tuple[int, int]]:
        """The runs of segments that are there of a timeline, (first, last), each with a gap before the next."""
        runs: list[tuple[int, int]] = []
        for _, span in self.pieces:
            if span.timeline != timeline:
                continue
            if runs and span.first <= runs[-1][1] + 1:
                runs[-1] = (runs[-1][0], max(runs[-1][1], span.last))
            else:
                runs.append((span.first, span.last))
        return runs


def chains(snapshots: Iterable[Snapshot]) -> dict[int, Chain]:
    """What there is, by the clusters' system identifiers."""
    found: dict[int, Chain] = {}
    for snapshot in sorted(snapshots, key=lambda each: (each.time_ns, each.id)):
        for tag in snapshot.tags:
            said = parse_tag(tag)
            if said is None:
                continue
            chain = found.setdefault(said.system, Chain(said.system))
            match said:
                case Base():
                    chain.bases.append(BaseBackup(snapshot, said))
                case Span():
                    chain.pieces.append(Piece(snapshot, said))
                case Branch():
                    chain.branches[said.timeline] = said
                    chain.histories[said.timeline] = snapshot
    for chain in found.values():
        chain.pieces.sort(key=lambda piece: (piece.span.timeline, piece.span.first, piece.span.last))
    return found


def is_wal(snapshot: Snapshot) -> bool:
    """Whether a snapshot is WAL, which no rule counts: whether it is kept, the base backups say."""
    return MARK in snapshot.tags


def needless(remaining: Sequence[Snapshot]) -> list[Snapshot]:
    """Those snapshots of WAL that none of the base backups needs. `remaining` is all that stays in the repository,
    of every host and job, by whatever else was decided: who leaves some out would remove what these need.
    """
    known = chains(remaining)
    return [each for each in remaining if is_wal(each) and not _is_needed(each, known)]


def _is_needed(snapshot: Snapshot, known: dict[int, Chain]) -> bool:
    spans = [said for tag in snapshot.tags if isinstance(said := parse_tag(tag), Span)]
    return not spans or any(_span_is_needed(span, known[span.system]) for span in spans)


def _span_is_needed(span: Span, chain: Chain) -> bool:
    if not chain.bases:
        return True
    end = (span.last + 1) * span.size
    parentage = {timeline for timeline, _ in chain.lineage(span.timeline)}
    # A timeline whose beginning is not known may come from any base backup.
    unknown = min(parentage) > 1
    return any(end > base.start and (unknown or chain.leads_to(base, span.timeline)) for _, base in chain.bases)
