"""Rewriting snapshots, held against the real restic."""

from __future__ import annotations

from pathlib import Path

import pytest

from backup.format.gotime import Moment
from backup.maintain.replace import Replacement
from backup.maintain.rewrite import RewriteOptions, rewrite
from backup.select.filters import Excludes
from backup.stores.contract import FileKind
from kit.errors import UsageError
from tests.backup.maintain.conftest import Restic, copy_of, files, manifest, opened


def rewritten(place: Path, options: RewriteOptions) -> list[Replacement]:
    repository = opened(place)
    with repository.lock(exclusive=options.forget):
        return rewrite(repository, repository.snapshots(), options)


@pytest.mark.parametrize("pattern", [b"twin", b"*.none", b"/source/deep", b"**/er/*", b"na*"])
def test_the_trees_are_those_of_restic(place: Path, tmp_path: Path, newest: Restic, pattern: bytes) -> None:
    """Byte for byte: the same ids, and the same figures in the summary."""
    theirs = copy_of(place, tmp_path / "theirs")
    newest.run(theirs, "rewrite", "--forget", "--exclude", pattern.decode())
    rewritten(place, RewriteOptions(excludes=Excludes([pattern]), forget=True))
    seen = [
        {
            snapshot.hostname: (snapshot.tree, snapshot.original, snapshot.tags, snapshot.time_ns, snapshot.summary)
            for snapshot in opened(path).snapshots()
        }
        for path in (place, theirs)
    ]
    assert seen[0] == seen[1]


def test_what_we_rewrite_restic_accepts(place: Path, each: Restic) -> None:
    """What is left out is gone, and the rest is as it was."""
    before = manifest(opened(place))
    done = rewritten(place, RewriteOptions(excludes=Excludes([b"deep"]), forget=True))
    assert all(entry.changed and entry.forgotten for entry in done)
    each.accepts(place)
    assert manifest(opened(place)) == {
        id: {path: value for path, value in entries.items() if b"/deep" not in path} for id, entries in before.items()
    }


def test_without_forget_the_old_ones_stay_and_the_new_ones_say_what_they_are(place: Path, newest: Restic) -> None:
    """By a tag."""
    done = rewritten(place, RewriteOptions(excludes=Excludes([b"empty"])))
    assert len(list(files(place, FileKind.SNAPSHOT))) == 6
    assert {tuple(entry.new.tags) for entry in done if entry.new} == {("kept", "rewrite")}
    newest.accepts(place)


def test_what_nothing_is_left_out_of_stays_as_it_is(place: Path) -> None:
    """No snapshot, no pack, no index is written."""
    before = sorted(place.rglob("*"))
    done = rewritten(place, RewriteOptions(excludes=Excludes([b"no such"]), forget=True))
    assert not any(entry.changed for entry in done)
    assert sorted(place.rglob("*")) == before


def test_host_and_time_are_replaced(place: Path, each: Restic) -> None:
    """And the tree stays."""
    moment = Moment(1_700_000_000_123_456_789, 3600)
    trees = {snapshot.tree for snapshot in opened(place).snapshots()}
    rewritten(place, RewriteOptions(new_host="elsewhere", new_time=moment, forget=True))
    for snapshot in opened(place).snapshots():
        assert (snapshot.hostname, snapshot.moment) == ("elsewhere", moment)
        assert snapshot.tree in trees
    assert {entry["hostname"] for entry in each.json(place, "snapshots")} == {"elsewhere"}


def test_a_dry_run_changes_nothing_and_tells_the_same(place: Path) -> None:
    """Even the new trees' ids."""
    before = sorted(place.rglob("*"))
    excluded: list[bytes] = []
    options = RewriteOptions(excludes=Excludes([b"inner"]), dry_run=True, on_excluded=excluded.append)
    foretold = rewritten(place, options)
    assert sorted(place.rglob("*")) == before
    assert [path for path in excluded if not path.endswith(b"/inner")] == []
    done = rewritten(place, RewriteOptions(excludes=Excludes([b"inner"])))
    assert [entry.new and entry.new.tree for entry in foretold] == [entry.new and entry.new.tree for entry in done]


def test_something_must_be_asked_for(place: Path) -> None:
    """Else it is a mistake."""
    with pytest.raises(UsageError):
        rewritten(place, RewriteOptions(excludes=Excludes()))
