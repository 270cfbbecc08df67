"""What prune decides, for any packs: nothing that is needed goes, and no more waste stays than is tolerated."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backup.errors import DamagedError
from backup.format.pack import BlobKind, PackedBlob, entry_length
from backup.maintain.contents import HEADER_OVERHEAD, PackContents
from backup.maintain.prune_plan import FEW_SMALL, PrunePlan, PruneRules, plan_prune
from backup.maintain.used import Marks
from backup.repository.blobs import BlobIndex
from backup.select.sizes import Share, Size

Contents = dict[bytes, list[PackedBlob]]
RULES = PruneRules(pack_size=10_000)


def id_of(number: int) -> bytes:
    return hashlib.sha256(number.to_bytes(4, "big")).digest()


def pack(*blobs: int, kind: BlobKind = BlobKind.DATA, length: int = 1000, plain: int = 2000) -> list[PackedBlob]:
    """A pack of numbered blobs."""
    return [PackedBlob(kind, id_of(number), at * length, length, plain) for at, number in enumerate(blobs)]


def size(blobs: list[PackedBlob]) -> int:
    return HEADER_OVERHEAD + sum(blob.length + entry_length(blob.plain_length) for blob in blobs)


def index_of(packs: Mapping[bytes, list[PackedBlob]]) -> BlobIndex:
    index = BlobIndex()
    for id, blobs in packs.items():
        index.add(id, blobs)
    return index


def planned(
    packs: Mapping[bytes, list[PackedBlob]],
    used: set[int],
    rules: PruneRules = RULES,
    stored: Mapping[bytes, int] | None = None,
) -> PrunePlan:
    """The plan where these blobs are used, in whichever kind they are there."""
    marks = Marks(index_of(packs))
    for number in used:
        for kind in BlobKind:
            marks.add(kind, id_of(number))
    return plan_prune(marks, {id: size(blobs) for id, blobs in packs.items()} if stored is None else stored, rules)


def named(number: int) -> bytes:
    return b"p%031d" % number


@st.composite
def repositories(draw: st.DrawFn) -> tuple[Contents, set[int]]:
    """Packs with numbered blobs, some of them in several, and which of them are used."""
    packs = {
        named(number): pack(
            *draw(st.lists(st.integers(0, 40), min_size=1, max_size=12)),
            kind=draw(st.sampled_from(BlobKind)),
            length=draw(st.integers(50, 3000)),
            plain=draw(st.sampled_from([0, 5000])),
        )
        for number in range(draw(st.integers(0, 14)))
    }
    return packs, draw(st.sets(st.integers(0, 40)))


rules = st.builds(
    PruneRules,
    max_unused=st.one_of(st.none(), st.builds(Share, st.floats(0, 99)), st.builds(Size, st.integers(0, 20_000))),
    max_repack=st.one_of(st.none(), st.integers(0, 40_000)),
    cacheable_only=st.booleans(),
    small=st.booleans(),
    uncompressed=st.booleans(),
    pack_size=st.just(10_000),
)


@given(repositories(), rules)
def test_what_is_needed_stays_or_is_moved(repository: tuple[Contents, set[int]], rules: PruneRules) -> None:
    """Each used blob is afterwards in a pack that was kept, or among those that are moved, never in both."""
    packs, used = repository
    plan = planned(packs, used, rules)
    going = plan.repack | plan.remove
    kept = {(blob.kind, blob.id) for id, blobs in packs.items() if id not in going for blob in blobs}
    moved = {(blob.kind, blob.id) for id in plan.repack for blob in packs[id] if plan.keep.has(blob.kind, blob.id)}
    needed = {
        (blob.kind, blob.id)
        for blobs in packs.values()
        for blob in blobs
        if blob.id in {id_of(number) for number in used}
    }
    assert needed <= kept | moved
    assert moved <= needed
    assert not kept & moved
    assert len(plan.keep) == len(moved)
    assert not plan.repack & plan.remove


@given(repositories(), rules, st.permutations(range(14)))
@settings(max_examples=60)
def test_the_copy_of_the_lowest_rank_stays_or_is_moved(
    repository: tuple[Contents, set[int]], rules: PruneRules, order: list[int]
) -> None:
    """Whatever other packs claim to hold of it."""
    packs, used = repository
    ranks = {named(number): float(place) for number, place in enumerate(order)}
    plan = planned(packs, used, replace(rules, rank=ranks.__getitem__))
    for number in used:
        for kind in BlobKind:
            holding = [
                id for id, blobs in packs.items() if any(b.id == id_of(number) and b.kind is kind for b in blobs)
            ]
            if holding:
                best = min(holding, key=ranks.__getitem__)
                assert best not in plan.remove
                assert best not in plan.repack or plan.keep.has(kind, id_of(number))


@given(repositories(), rules)
def test_the_figures_add_up(repository: tuple[Contents, set[int]], rules: PruneRules) -> None:
    """Every blob is used once, or waste; every pack is kept, written anew or removed."""
    packs, used = repository
    stats = planned(packs, used, rules).stats
    everything = [blob for blobs in packs.values() for blob in blobs]
    assert stats.used.blobs + stats.duplicate.blobs + stats.unused.blobs == len(everything)
    assert stats.used.bytes + stats.duplicate.bytes + stats.unused.bytes == sum(blob.length for blob in everything)
    assert stats.packs_kept + stats.packs_repacked + stats.packs_removed == len(packs)
    assert stats.packs_used + stats.packs_partly_used + stats.packs_unused == len(packs)
    assert stats.bytes_unused_after >= 0


@given(repositories(), st.floats(0, 99))
def test_no_more_waste_stays_than_is_tolerated(repository: tuple[Contents, set[int]], percent: float) -> None:
    """Unless something else forbids to write packs anew."""
    packs, used = repository
    stats = planned(packs, used, replace(RULES, max_unused=Share(percent))).stats
    tolerated = percent / (100 - percent) * stats.used.bytes
    assert stats.bytes_unused_after <= tolerated or stats.bytes_unused_after == 0


@given(repositories(), st.integers(0, 30_000))
def test_no_more_is_written_anew_than_may_be(repository: tuple[Contents, set[int]], most: int) -> None:
    """--max-repack-size bounds it, whatever else is wanted."""
    packs, used = repository
    plan = planned(packs, used, replace(RULES, max_repack=most, max_unused=Size(0), uncompressed=True))
    assert plan.stats.repacked.bytes < most or not plan.repack


@given(repositories())
def test_what_prune_leaves_it_leaves_the_next_time(repository: tuple[Contents, set[int]]) -> None:
    """After a prune without tolerance nothing is waste."""
    packs, used = repository
    plan = planned(packs, used, replace(RULES, max_unused=Size(0)))
    going = plan.repack | plan.remove
    after = {id: blobs for id, blobs in packs.items() if id not in going}
    for kind in BlobKind:
        moved = [
            blob
            for id in sorted(plan.repack)
            for blob in packs[id]
            if blob.kind is kind and plan.keep.has(blob.kind, blob.id)
        ]
        unique = {blob.id: blob for blob in moved}
        at = 0
        placed = []
        for blob in unique.values():
            placed.append(blob._replace(offset=at, plain_length=5000))
            at += blob.length
        if placed:
            after[named(100 + kind)] = placed
    again = planned(after, used, replace(RULES, max_unused=Size(0)))
    assert again.stats.unused.blobs == again.stats.duplicate.blobs == 0
    assert not again.remove


def test_the_worst_packs_come_first() -> None:
    """Most waste for the least writing."""
    packs = {named(1): pack(1, 2, 3, 4, 5, 6, 7, 8), named(2): pack(11, 12, 13, 14, 15, 16, 17, 18)}
    plan = planned(packs, {1, 2, 3, 4, 5, 6, 11}, replace(RULES, max_unused=Size(2500)))
    assert plan.repack == {named(2)}


def test_trees_are_freed_of_waste_whatever_is_tolerated() -> None:
    """They are read at every turn; only --max-repack-size holds that up."""
    packs = {named(1): pack(1, 2, kind=BlobKind.TREE)}
    assert planned(packs, {1}, replace(RULES, max_unused=None)).repack == {named(1)}
    assert planned(packs, {1}, replace(RULES, max_unused=None, max_repack=0)).repack == set()


def test_packs_of_data_stay_when_only_cacheable_ones_are_wanted() -> None:
    """But those that are all waste go."""
    packs = {named(1): pack(1, 2), named(2): pack(3)}
    plan = planned(packs, {1}, replace(RULES, cacheable_only=True, max_unused=Size(0)))
    assert (plan.repack, plan.remove) == (set(), {named(2)})


def test_small_packs_are_joined_once_there_are_many() -> None:
    """A few would be written anew for ever."""
    packs = {named(number): pack(number) for number in range(FEW_SMALL)}
    used = set(range(FEW_SMALL))
    assert planned(packs, used, replace(RULES, small=True)).repack == set(packs)
    limit = size(packs[named(0)])
    few = replace(RULES, pack_size=limit)  # so that none is small by itself
    assert planned(packs, used, few).repack == set()
    assert planned(packs, used, replace(few, smaller_than=limit + 1)).repack == set(packs)
    assert planned(packs, used, replace(few, smaller_than=limit)).repack == set()
    del packs[named(0)]
    assert planned(packs, used - {0}, replace(RULES, small=True)).repack == set()


def test_uncompressed_data_is_written_anew_on_request_and_trees_always() -> None:
    """Repositories that older versions filled become smaller."""
    packs = {named(1): pack(1, length=9000, plain=0), named(2): pack(2, kind=BlobKind.TREE, length=9000, plain=0)}
    assert planned(packs, {1, 2}).repack == {named(2)}
    assert planned(packs, {1, 2}, replace(RULES, uncompressed=True)).repack == {named(1), named(2)}


def test_packs_that_mix_kinds_are_taken_apart() -> None:
    """Other programs once wrote such."""
    mixed = [*pack(1), *pack(2, kind=BlobKind.TREE)]
    mixed[1] = mixed[1]._replace(offset=1000)
    assert planned({named(1): mixed}, {1, 2}).repack == {named(1)}


def test_packs_in_no_index_go_first_and_missing_ones_without_use_are_forgotten() -> None:
    """Neither holds anything up."""
    packs = {named(1): pack(1, length=9000), named(2): pack(2)}
    plan = planned(packs, {1}, stored={named(1): size(packs[named(1)]), named(3): 77})
    assert plan.unreferenced == [named(3)]
    assert plan.forget == {named(2)}
    assert plan.stats.unreferenced_bytes == 77
    assert not plan.idle


def test_a_missing_pack_is_not_counted_on_where_another_has_the_blob() -> None:
    """The one that is there is kept."""
    packs = {named(1): pack(1, length=9000), named(2): pack(1, length=9000)}
    plan = planned(packs, {1}, stored={named(2): size(packs[named(2)])})
    assert plan.forget == {named(1)}
    assert not plan.remove and not plan.repack


def test_nothing_is_planned_where_something_needed_is_not_there() -> None:
    """It would be lost for good."""
    with pytest.raises(DamagedError, match="nothing was changed"):
        planned({named(1): pack(1)}, {1}, stored={})


def test_nothing_is_planned_where_a_needed_pack_has_another_size() -> None:
    """The index does not know all of it."""
    packs = {named(1): pack(1), named(2): pack(2)}
    stored = {named(1): size(packs[named(1)]) + 1, named(2): size(packs[named(2)]) + 1}
    with pytest.raises(DamagedError, match="repair index"):
        planned(packs, {1}, stored=stored)
    assert planned(packs, set(), stored=stored).remove == set(packs)


@given(repositories())
def test_contents_are_the_blobs_of_each_pack(repository: tuple[Contents, set[int]]) -> None:
    """Sorted by offset, each once."""
    packs, _ = repository
    contents = PackContents(index_of(packs))
    assert {id: contents.blobs(id) for id in contents} == packs
    assert contents.blobs(bytes(32)) == []
