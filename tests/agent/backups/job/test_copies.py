"""Which snapshots a copy lacks."""

from __future__ import annotations

from agent.backups.job.copies import lacking
from backup.format.gotime import Moment
from backup.format.snapshot import Snapshot

NOW = 10**18


def snapshots(*hours: int) -> list[Snapshot]:
    """Made so many hours after now."""
    return [
        Snapshot(Moment(NOW + hour * 3600 * 10**9, 0), b"t" * 32, ("/srv",), id=f"{number:064}")
        for number, hour in enumerate(hours)
    ]


def test_a_copy_gets_what_is_newer_than_its_newest() -> None:
    """Older ones have gone there by its own rules; one without any gets all."""
    here = snapshots(-4, -3, -2)
    assert lacking([], [], now=NOW) == []
    assert lacking(here, [], now=NOW) == here
    assert lacking(here, here[1:2], now=NOW) == here[2:]
    assert lacking(here, here, now=NOW) == []


def test_a_snapshot_by_a_clock_that_was_ahead_hides_none() -> None:
    """Else nothing that could not be copied at once would ever be."""
    here = snapshots(-3, 9999, -2, -1)
    assert here[3] in lacking(here, [here[0], here[1], here[2]], now=NOW)
    assert here[0] not in lacking(here, [here[0], here[1]], now=NOW)
