"""Which packs prune removes, which it writes anew, and which it leaves. Pure: no I/O.

The decisions are restic's. What no snapshot refers to is waste. A pack of waste alone is removed; a pack with some
waste is written anew without it, the worst first, until no more waste is left than is tolerated. Packs of trees, and
those that mix trees with data, are always freed of it, for they are small and read often.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field

from backup.errors import DamagedError
from backup.format.pack import PACK_SIZE, BlobKind, entry_length
from backup.maintain.contents import HEADER_OVERHEAD
from backup.maintain.used import Marks
from backup.select.sizes import Share, Size

DEFAULT_UNUSED = Share(5)
FEW_SMALL = 10
"""Packs that are merely small are written anew only if there are so many, or one would be for ever."""
_SATURATED = 255
_DATA, _TREE = BlobKind.DATA + 1, BlobKind.TREE + 1


@dataclass(frozen=True, slots=True)
class PruneRules:
    """What may be decided."""

    max_unused: Share | Size | None = DEFAULT_UNUSED
    """How much waste may stay: of what the repository then holds, bytes, or any amount (None)."""
    max_repack: int | None = None
    """Bytes of packs that are written anew at most; None: as many as it takes."""
    cacheable_only: bool = False
    """Leave packs of data as they are, unless they are all waste."""
    small: bool = False
    """Join packs below four fifths of their usual size."""
    smaller_than: int = 0
    """Join packs below so many bytes."""
    uncompressed: bool = False
    """Write packs with data anew that is not compressed."""
    pack_size: int = PACK_SIZE
    rank: Callable[[bytes], float] | None = None
    """Of a blob that is in several packs, the copy that counts is that of the pack with the lowest rank.

    For a repository whose writers are not trusted: a later pack may claim to hold what it does not. None: the copy
    whose pack is kept anyway.
    """

    @property
    def small_below(self) -> int:
        """Bytes below which a pack counts as small."""
        return max(self.smaller_than, self.pack_size // 5 * 4 if self.small else self.pack_size // 25)

    def tolerated(self, used: int) -> float:
        """Bytes of waste that may stay, where `used` are in use."""
        limit = self.max_unused
        if limit is None:
            return float("inf")
        return limit.bytes if isinstance(limit, Size) else limit.percent / (100 - limit.percent) * used


@dataclass(slots=True)
class Amount:
    """Blobs, and bytes of them as stored."""

    blobs: int = 0
    bytes: int = 0

    def add(self, blobs: int, bytes: int) -> None:
        """Add so many."""
        self.blobs += blobs
        self.bytes += bytes


@dataclass(slots=True)
class PruneStats:
    """What there is, and what becomes of it."""

    used: Amount = field(default_factory=Amount)
    """Referred to by snapshots, each once."""
    duplicate: Amount = field(default_factory=Amount)
    """Further copies of such."""
    unused: Amount = field(default_factory=Amount)
    removed: Amount = field(default_factory=Amount)
    """In packs that are removed without being written anew."""
    repacked: Amount = field(default_factory=Amount)
    """In packs that are written anew."""
    dropped: Amount = field(default_factory=Amount)
    """Of these, what is left out."""
    unreferenced_bytes: int = 0
    """Of packs that are in no index."""
    packs_used: int = 0
    packs_partly_used: int = 0
    packs_unused: int = 0
    packs_kept: int = 0
    packs_repacked: int = 0
    packs_removed: int = 0
    packs_unreferenced: int = 0

    @property
    def bytes_freed(self) -> int:
        """Bytes that are gone afterwards, but for the headers of new packs."""
        return self.removed.bytes + self.dropped.bytes + self.unreferenced_bytes

    @property
    def bytes_unused_after(self) -> int:
        """Waste that stays."""
        return self.unused.bytes + self.duplicate.bytes - self.removed.bytes - self.dropped.bytes


@dataclass(slots=True)
class PrunePlan:
    """What to do, in this order."""

    unreferenced: list[bytes]
    """Packs in no index: removed first."""
    repack: set[bytes]
    """Packs whose blobs of `keep` are written anew."""
    keep: Marks
    """Blobs to take out of them."""
    remove: set[bytes]
    """Packs without anything of use."""
    forget: set[bytes]
    """Packs of the index that are not there, and not needed."""
    stats: PruneStats
    chosen: dict[int, int] = field(default_factory=dict)
    """By rank: of a blob with several copies, its slot (`BlobIndex.slot_of`) to the number of the pack whose copy
    counts."""

    @property
    def idle(self) -> bool:
        """Whether there is nothing to do."""
        return not (self.unreferenced or self.repack or self.remove or self.forget)


@dataclass(slots=True)
class _Pack:
    id: bytes
    stored: int | None
    """Bytes of its file; None: there is none."""
    used: int = 0
    unused: int = 0
    duplicates: int = 0
    """Of the unused: copies of what is used."""
    header: int = HEADER_OVERHEAD
    used_bytes: int = 0
    unused_bytes: int = 0
    kinds: int = 0
    uncompressed: bool = False

    @property
    def bytes(self) -> int:
        return self.header + self.used_bytes + self.unused_bytes

    def take(self, size: int) -> None:
        """Count one of the unused as used."""
        self.used += 1
        self.used_bytes += size
        self.unused -= 1
        self.unused_bytes -= size


def plan_prune(used: Marks, stored: Mapping[bytes, int], rules: PruneRules) -> PrunePlan:
    """Decide. `used` marks the blobs that snapshots refer to; `stored` has (id, bytes) of every pack in the store.

    Raises DamagedError where that would lose data: a pack that is needed is not there, or has another size than its
    blobs make up.
    """
    stats = PruneStats()
    chosen: dict[int, int] = {}
    packs = _count(used, stored, stats, rules, chosen)
    indexed = set(used.index.packs)
    plan = PrunePlan(
        [pack for pack in stored if pack not in indexed],
        set(),
        Marks(used.index),
        set(),
        {pack.id for pack in packs if pack.stored is None},
        stats,
        chosen,
    )
    stats.packs_unreferenced = len(plan.unreferenced)
    stats.unreferenced_bytes = sum(stored[pack] for pack in plan.unreferenced)
    candidates = list(_sort_out(packs, rules, plan))
    _choose(candidates, rules, plan)
    _mark_moved(used, plan)
    return plan


def _count(
    used: Marks, stored: Mapping[bytes, int], stats: PruneStats, rules: PruneRules, chosen: dict[int, int]
) -> list[_Pack]:
    """What each pack holds; of a blob in several packs one copy counts as used, and the others as waste."""
    index = used.index
    packs = [_Pack(id, stored.get(id)) for id in index.packs]
    copies = Marks(index)
    slot_of, marks, counts = index.slot_of, used.at, copies.at
    for _, number, blob in index.slots():
        first = slot_of(blob.kind, blob.id)
        if marks[first] and packs[number].stored is not None and counts[first] < _SATURATED:
            counts[first] += 1
    for first, mark in enumerate(marks):
        if mark and not counts[first]:
            blob = index.at(first)
            raise DamagedError(
                f"{blob.kind.name.lower()} {blob.id.hex()[:8]} is needed, and no pack that has it by the index is"
                " there; nothing was changed; `check` tells what is lost, `repair index` comes first"
            )
    for _, number, blob in index.slots():
        pack = packs[number]
        size = blob.length
        pack.header += entry_length(blob.plain_length)
        pack.kinds |= blob.kind + 1
        pack.uncompressed |= not blob.plain_length
        first = slot_of(blob.kind, blob.id)
        if pack.stored is None:
            pack.unused += 1
            pack.unused_bytes += size
        elif marks[first] and counts[first] == 1:
            pack.used += 1
            pack.used_bytes += size
            stats.used.add(1, size)
        else:
            pack.unused += 1
            pack.unused_bytes += size
            if marks[first]:
                pack.duplicates += 1
                stats.duplicate.add(1, size)
            else:
                stats.unused.add(1, size)
    if stats.duplicate.blobs:
        if rules.rank is not None:
            chosen.update(_best_copies(used, copies, packs, rules.rank))
        _choose_copies(used, copies, packs, stats, chosen)
    return packs


def _best_copies(used: Marks, copies: Marks, packs: list[_Pack], rank: Callable[[bytes], float]) -> dict[int, int]:
    """Of each blob that is needed and there several times, its slot to the number of its pack of the lowest rank."""
    index, best = used.index, dict[int, tuple[float, int]]()
    for _, number, blob in index.slots():
        first = index.slot_of(blob.kind, blob.id)
        if used.at[first] and copies.at[first] > 1 and packs[number].stored is not None:
            place = rank(packs[number].id), number
            best[first] = min(best.get(first, place), place)
    return {first: number for first, (_, number) in best.items()}


def _choose_copies(
    used: Marks, copies: Marks, packs: list[_Pack], stats: PruneStats, chosen: Mapping[int, int]
) -> None:
    """Of each blob that is there several times, count one as used: the chosen one.

    Where none is, best in a pack that is kept anyway, or that holds nothing but copies: a prune that was interrupted
    leaves such. Else it is the last one.
    """
    index, counts = used.index, copies.at
    left = bytearray(counts)
    for _, number, blob in index.slots():
        pack = packs[number]
        first = index.slot_of(blob.kind, blob.id)
        if pack.stored is None or counts[first] < 2 or not left[first]:
            continue
        if first in chosen:
            counts_here = chosen[first] == number
        else:
            left[first] -= 1
            counts_here = bool(pack.used) or pack.duplicates == pack.unused or not left[first]
        if counts_here:
            size = blob.length
            pack.take(size)
            stats.used.add(1, size)
            stats.duplicate.add(-1, -size)
            left[first] = 0


def _sort_out(packs: Iterable[_Pack], rules: PruneRules, plan: PrunePlan) -> Iterable[_Pack]:
    """Settle what is clear; returns the packs of which it depends on the others."""
    stats = plan.stats
    candidates, small = [], []
    for pack in packs:
        if pack.stored is None:
            continue
        if pack.used and pack.bytes != pack.stored:
            raise DamagedError(
                f"pack {pack.id.hex()[:8]} has {pack.stored} bytes, and by the index it should have {pack.bytes};"
                " nothing was changed; `repair index` reads it again"
            )
        if not pack.used:
            stats.packs_unused += 1
            stats.packs_removed += 1
            stats.removed.add(pack.unused, pack.unused_bytes)
            plan.remove.add(pack.id)
            continue
        if pack.unused:
            stats.packs_partly_used += 1
        else:
            stats.packs_used += 1
        if rules.cacheable_only and pack.kinds == _DATA:
            stats.packs_kept += 1
        elif pack.unused or pack.kinds == _DATA | _TREE or _must_compress(pack, rules):
            candidates.append(pack)
        elif pack.stored < rules.small_below:
            small.append(pack)
        else:
            stats.packs_kept += 1
    if len(small) >= FEW_SMALL:
        candidates += small
    else:
        stats.packs_kept += len(small)
    return candidates


def _must_compress(pack: _Pack, rules: PruneRules) -> bool:
    # Trees are always compressed: they always can be.
    return pack.uncompressed and (rules.uncompressed or pack.kinds == _TREE)


def _choose(candidates: Iterable[_Pack], rules: PruneRules, plan: PrunePlan) -> None:
    """Take packs to be written anew while too much waste is left."""
    stats = plan.stats
    tolerated = rules.tolerated(stats.used.bytes)
    most = float("inf") if rules.max_repack is None else rules.max_repack

    def order(pack: _Pack) -> tuple[bool, bool, float]:
        return pack.kinds == _DATA, pack.bytes >= rules.small_below, -pack.unused_bytes / pack.bytes

    for pack in sorted(candidates, key=order):
        must = pack.kinds != _DATA or _must_compress(pack, rules)
        enough = stats.bytes_unused_after < tolerated and pack.bytes >= rules.small_below
        if stats.repacked.bytes + pack.bytes >= most or (enough and not must):
            stats.packs_kept += 1
            continue
        plan.repack.add(pack.id)
        stats.packs_repacked += 1
        stats.repacked.add(pack.used + pack.unused, pack.bytes)
        stats.dropped.add(pack.unused, pack.unused_bytes)


def _mark_moved(used: Marks, plan: PrunePlan) -> None:
    """Mark what must be taken out of the packs that are written anew: all that is used and in no pack that stays."""
    if not plan.repack:
        return
    index, keep = used.index, plan.keep.at
    going = plan.repack | plan.remove | plan.forget
    for _, number, blob in index.slots():
        if index.packs[number] in plan.repack:
            first = index.slot_of(blob.kind, blob.id)
            keep[first] = used.at[first]
    for _, number, blob in index.slots():
        first = index.slot_of(blob.kind, blob.id)
        if index.packs[number] not in going and plan.chosen.get(first, number) == number:
            keep[first] = 0
