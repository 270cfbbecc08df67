"""Keeping beside the server that takes what hosts send."""

from __future__ import annotations

import time
from pathlib import Path

from collector.backups.keeping import records
from collector.backups.keeping.results import Result
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from kit.units import Duration
from tests.collector import support
from tests.collector.backups.keeping.yard import HOST, yard
from tests.collector.backups.support import Guest, name_of

SOON = KeepingOptions(newest=1, hold=Duration(0))


def test_a_host_cannot_make_a_lock_of_home_its_own(keeper: support.Home, web1: Guest, tmp_path: Path) -> None:
    """It reads it and sends it once more, which gives it no right to remove it; its own it may remove."""
    lock = b"the lock that home prunes under"
    place = tmp_path / "backups" / web1.repository / "locks" / name_of(lock)
    place.write_bytes(lock)
    web1.save("locks", lock)
    assert web1.request("DELETE", f"locks/{name_of(lock)}").status_code in (403, 404)
    assert place.read_bytes() == lock
    own = web1.save("locks", b"a lock of the host")
    web1.save("locks", b"a lock of the host")
    assert web1.request("DELETE", f"locks/{own}").status_code == 200


def test_a_running_collector_keeps_and_verifies_when_it_is_due(tmp_path: Path) -> None:
    """By itself, in processes of its own, from its start on."""
    with yard(tmp_path, keep=KeepOptions(last=2), keeping=SOON) as home:
        names = home.days(5)
        options, now = home.places.options, home.clock.now
    with support.home(tmp_path, options, clock=support.Clock(now)) as running:

        def works() -> dict[tuple[str, str], Result | None]:
            with running.database.read() as connection:
                return {key: work.result for key, work in records.last_works(connection).items()}

        end = time.monotonic() + 100
        while not all(works().get((HOST, kind)) for kind in ("keep", "verify")):
            assert time.monotonic() < end
            time.sleep(0.05)
        kept, verified = works()[HOST, "keep"], works()[HOST, "verify"]
    assert kept is not None and set(kept.removed) == set(names[:3])
    assert verified is not None and (verified.outcome, verified.snapshots) == ("done", 2)
    assert {file.name for file in (tmp_path / "backups" / HOST / "snapshots").iterdir()} == set(names[3:])
