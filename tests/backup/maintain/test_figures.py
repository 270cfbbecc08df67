"""Stats, diff and find: the same as restic's, on the same repository."""

from __future__ import annotations

import json
from itertools import permutations
from pathlib import Path
from typing import Any

import pytest

from backup.errors import DamagedError, RepositoryError
from backup.format.instant import instant_nanoseconds
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.maintain.diff import Change, diff
from backup.maintain.find import FindOptions, Wanted, find_entries, find_objects, in_packs
from backup.maintain.stats import StatsMode, stats
from backup.maintain.walk import walk
from backup.select.filters import Filter
from backup.stores.contract import FileKind
from tests.backup.maintain.conftest import Restic, files, opened


def shown(path: bytes) -> str:
    """As restic's JSON has it: what is not UTF-8 is U+FFFD."""
    return path.decode(errors="replace")


@pytest.mark.parametrize("mode", StatsMode)
@pytest.mark.parametrize("which", ["all", "latest"])
def test_stats_are_those_of_restic(filled: Path, newest: Restic, mode: StatsMode, which: str) -> None:
    """Each figure in each mode."""
    repository = opened(filled)
    snapshots = repository.snapshots() if which == "all" else repository.snapshots()[-1:]
    found = stats(repository, snapshots, mode)
    theirs = newest.json(filled, "stats", "--no-lock", "--mode", mode, *(["latest"] if which == "latest" else []))
    ours = {name: getattr(found, name) for name in theirs}
    assert ours == pytest.approx(theirs)


def test_stats_of_what_is_damaged_are_refused(place: Path) -> None:
    """Wrong figures would be worse."""
    next(files(place, FileKind.INDEX)).unlink()
    repository = opened(place)
    for mode in StatsMode:
        with pytest.raises(DamagedError):
            stats(repository, repository.snapshots(), mode)


@pytest.mark.parametrize("metadata", [False, True])
@pytest.mark.parametrize(("one", "other"), list(permutations(range(3), 2)))
def test_diff_is_that_of_restic(filled: Path, newest: Restic, metadata: bool, one: int, other: int) -> None:
    """Line by line and in its figures, in both directions."""
    repository = opened(filled)
    before, after = repository.snapshots()[one], repository.snapshots()[other]
    assert before.tree is not None and after.tree is not None
    changes: list[Change] = []
    found = diff(repository, before.tree, after.tree, metadata=metadata, on_change=changes.append)
    *lines, figures = newest.lines(
        filled, "diff", "--no-lock", *(["--metadata"] if metadata else []), before.id, after.id
    )
    assert [(shown(change.path), change.modifier) for change in changes] == [
        (line["path"], line["modifier"]) for line in lines
    ]
    assert found.changed_files == figures["changed_files"]
    for side in ("added", "removed"):
        assert {name: getattr(getattr(found, side), name) for name in figures[side]} == figures[side]


def test_a_snapshot_does_not_differ_from_itself(filled: Path) -> None:
    """Nothing is told."""
    repository = opened(filled)
    tree = repository.snapshots()[0].tree
    assert tree is not None
    changes: list[Change] = []
    found = diff(repository, tree, tree, metadata=True, on_change=changes.append)
    assert changes == []
    assert found.added == found.removed
    assert found.added.bytes == found.changed_files == 0


def test_diff_goes_on_beside_what_cannot_be_read(place: Path) -> None:
    """And tells it, if it is asked to."""
    repository = opened(place)
    first, *_, last = repository.snapshots()
    assert first.tree is not None and last.tree is not None
    folders = (visited.node for visited in walk(repository, last.tree) if visited.path.endswith(b"/source/deep"))
    lost = next(folders).subtree
    load = repository.load_blob

    def load_blob(kind: BlobKind, id: bytes) -> bytes:
        if id == lost:
            raise DamagedError("lost")
        return load(kind, id)

    repository.load_blob = load_blob  # type: ignore[method-assign]
    problems: list[RepositoryError] = []
    changes: list[Change] = []
    diff(repository, first.tree, last.tree, on_change=changes.append, on_problem=problems.append)
    assert len(problems) == 1
    assert any(change.path.endswith(b"/large") for change in changes)
    with pytest.raises(DamagedError):
        diff(repository, first.tree, last.tree)


def found_names(filled: Path, patterns: list[bytes], **options: Any) -> dict[str, set[str]]:
    repository = opened(filled)
    ignore_case = options.pop("ignore_case", False)
    found: dict[str, set[str]] = {}
    wanted = FindOptions(Filter(patterns, ignore_case=ignore_case), **options)
    for snapshot, visited in find_entries(repository, repository.snapshots(), wanted):
        found.setdefault(snapshot.id, set()).add(shown(visited.path))
    return found


def names_of(theirs: Any) -> dict[str, set[str]]:
    return {entry["snapshot"]: {match["path"] for match in entry["matches"]} for entry in theirs}


@pytest.mark.parametrize(
    "patterns", [["twin"], ["te*", "in?er"], ["/source/deep/**"], ["er"], ["none at all"], ["*"]]
)
def test_find_finds_what_restic_finds(filled: Path, newest: Restic, patterns: list[str]) -> None:
    """The same paths in the same snapshots."""
    theirs = newest.json(filled, "find", "--no-lock", *patterns)
    assert found_names(filled, [pattern.encode() for pattern in patterns]) == names_of(theirs)


def test_find_heeds_case_and_times_as_restic_does(filled: Path, newest: Restic) -> None:
    """--ignore-case, --newest and --oldest."""
    theirs = newest.json(filled, "find", "--no-lock", "-i", "TWIN")
    assert found_names(filled, [b"TWIN"], ignore_case=True) == names_of(theirs)
    assert found_names(filled, [b"TWIN"]) == {}
    newest_time = instant_nanoseconds("2020-01-01T00:00:00Z")
    assert found_names(filled, [b"*"], newest=newest_time) == {}
    assert found_names(filled, [b"*"], oldest=newest_time) == found_names(filled, [b"*"])


def objects(filled: Path, wanted: Wanted) -> list[tuple[object, ...]]:
    repository = opened(filled)
    return sorted(
        (
            "tree" if found.kind is BlobKind.TREE else "blob",
            found.id.hex(),
            shown(found.path),
            found.tree.hex() if found.tree else "",
            found.snapshot.id,
        )
        for found in find_objects(repository, repository.snapshots(), wanted)
    )


def objects_of(theirs: Any) -> list[tuple[object, ...]]:
    return sorted(
        (each["object_type"], each["id"], each["path"], each.get("parent_tree", ""), each["snapshot"])
        for each in theirs
    )


def test_find_finds_blobs_trees_and_packs_as_restic_does(filled: Path, newest: Restic) -> None:
    """Where each of them is used."""
    blobs = list(opened(filled).blobs)
    data = next(id for kind, id, _ in blobs if kind is BlobKind.DATA)
    theirs = newest.json(filled, "find", "--no-lock", "--blob", data.hex())
    assert objects(filled, Wanted(blobs={data.hex()})) == objects_of(theirs)
    assert objects(filled, Wanted(blobs={data.hex()[:8]})) == objects_of(theirs)
    for pack in {place.pack for _, _, place in blobs}:
        theirs = json.loads(newest.run(filled, "--json", "find", "--no-lock", "--pack", pack.hex()))
        wanted = in_packs(opened(filled), [pack.hex()])
        assert objects(filled, wanted) == objects_of(theirs)
        assert in_packs(opened(filled), [pack.hex()[:8]]) == wanted


def test_find_tells_of_a_pack_that_is_nowhere_and_of_one_that_only_the_index_has(place: Path) -> None:
    """The first is a mistake; of the second the index tells."""
    with pytest.raises(DamagedError, match="there is no pack"):
        in_packs(opened(place), ["ab" * 32])
    pack = next(files(place, FileKind.PACK))
    wanted = in_packs(opened(place), [pack.name])
    pack.unlink()
    assert in_packs(opened(place), [pack.name]) == wanted


def test_snapshots_without_a_tree_are_refused(filled: Path) -> None:
    """Rather than passed over."""
    repository = opened(filled)
    bare = Snapshot(repository.snapshots()[0].moment, None, ())
    with pytest.raises(DamagedError, match="no tree"):
        stats(repository, [bare])
    with pytest.raises(DamagedError, match="no tree"):
        list(find_entries(repository, [bare], FindOptions(Filter([b"*"]))))
