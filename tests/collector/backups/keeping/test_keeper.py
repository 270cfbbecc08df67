"""Home looks, tells, and removes what the policy does not keep; each step is on the books before the next."""

from __future__ import annotations

from datetime import UTC
from pathlib import Path

import pytest

from backup.repository.opening import open_repository
from backup.select.wal_names import MARK
from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from collector import audit
from collector.backups.at_home import open_alerts
from collector.backups.keeping import keeper as keeping
from collector.backups.keeping import records, rounds
from collector.backups.keeping.alerts import Alert
from collector.backups.keeping.facts import Group
from collector.backups.keeping.figures import overview, plan_figure
from collector.backups.keeping.keeper import BLIND
from collector.backups.keeping.messages import Failed, Order, Remove
from collector.backups.keeping.process import Answered
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from collector.backups.keeping.target import BusyError, held
from kit.errors import HostwardError
from kit.units import Duration
from tests.backup.restore.making import PASSWORD, run_restic
from tests.collector.backups.keeping.yard import DAY, HOST, OTHER, Yard, here, spoil, yard
from tests.peers import every_restic

pytestmark = pytest.mark.usefixtures("inside")

SOON = KeepingOptions(newest=1, hold=Duration(0))


def acts(home: Yard) -> list[tuple[str, str]]:
    with home.database.read() as connection:
        return [(one.act, one.actor) for one in audit.entries(connection, limit=100)][::-1]


def test_what_the_policy_does_not_keep_goes_and_both_restics_accept_the_rest(tmp_path: Path) -> None:
    """Forgotten, pruned, told and audited; receipts and sizes agree with what is there."""
    with yard(tmp_path, keep=KeepOptions(daily=3), keeping=SOON) as home:
        names = home.days(6)
        before = home.packs()
        result = home.keep()
        assert result.outcome == "done", result.message
        assert set(result.removed) == set(names[:3]) and home.snapshots() == set(names[3:])
        assert result.kept == 3 and result.bytes_freed > 0
        assert home.packs() < before or home.packs() - before
        assert home.used() == home.bytes_there()
        assert acts(home) == [("backup.removed", "home")]
        for restic in every_restic():
            assert "no errors were found" in run_restic(restic, home.place, "check", "--read-data")
        again = home.keep()
        assert again.removed == () and "nothing to remove" in again.message


def test_without_a_policy_nothing_is_removed(tmp_path: Path) -> None:
    """But what is odd is told."""
    with yard(tmp_path, keeping=SOON) as home:
        names = home.days(4)
        odd = home.send(b"small", at=0)
        assert home.keep(always=True).removed == ()
        assert home.snapshots() == {*names, odd}
        assert home.flags(odd) == {"time", "shrunken"}


def test_the_newest_and_the_youngest_stay_whatever_the_policy_says(tmp_path: Path) -> None:
    """By the last receipts, and for so long as they are held."""
    options = KeepingOptions(newest=2, hold=Duration(3.5 * DAY))
    with yard(tmp_path, keep=KeepOptions(last=1), keeping=options) as home:
        names = home.days(6)
        home.keep()
        assert home.snapshots() == set(names[3:])
        home.clock.now += 30 * DAY
        home.keep()
        assert home.snapshots() == set(names[4:])


def test_an_alert_comes_before_anything_is_removed_and_stops_it_until_it_is_acknowledged(tmp_path: Path) -> None:
    """The group loses nothing meanwhile; afterwards what the alert was about stays flagged until it is released."""
    with yard(tmp_path, keep=KeepOptions(last=2), keeping=SOON) as home:
        names = home.days(5)
        empty = home.send(b"")
        result = home.keep()
        assert home.snapshots() == {*names, empty} and result.stopped == 3 and "but for an alert" in result.message
        (alert,) = home.alerts()
        assert (alert.kind, alert.stops, alert.group and alert.group.host) == ("shrunken", True, HOST)
        home.keep()
        assert len(home.alerts()) == 1
        home.acknowledge()
        assert set(home.keep().removed) == set(names[:3])
        assert home.snapshots() == {*names[3:], empty}
        home.release(empty)
        home.keep()
        assert home.snapshots() == {names[4], empty}
        assert [act for act, _ in acts(home)] == [
            "backup.acknowledged",
            "backup.removed",
            "backup.released",
            "backup.removed",
        ]


def test_another_group_goes_on_beside_one_with_an_alert(tmp_path: Path) -> None:
    """An attack on one host's backups does not fill home with those of others."""
    with yard(tmp_path, hosts_of=("web1", "web2"), keep=KeepOptions(last=1), keeping=SOON) as home:
        first = home.days(4)
        second = home.days(4, host=OTHER, hostname="web2")
        empty = home.send(b"")
        assert set(home.keep().removed) == set(second[:3])
        assert home.snapshots() == {*first, empty, second[3]}


def test_without_a_password_snapshot_files_go_by_their_receipt_and_home_says_what_it_cannot(tmp_path: Path) -> None:
    """Packs stay, with their sizes; whoever has the password prunes."""
    with yard(tmp_path, password=False, keep=KeepOptions(daily=2), keeping=SOON) as home:
        names = home.days(5)
        packs = home.packs()
        result = home.keep()
        assert set(result.removed) == set(names[:3]) and not result.pruned and BLIND in result.message
        assert home.snapshots() == set(names[3:]) and home.packs() == packs
        assert home.used() == home.bytes_there()
        with home.database.read() as connection:
            (figure,) = overview(connection, home.places.options, now=home.clock(), zone=UTC)
        assert figure.limits == BLIND and figure.used == home.bytes_there() and figure.snapshots == 2
        with pytest.raises(HostwardError, match="password_file"):
            home.verify()
        run_restic(every_restic()[-1], home.place, "prune")
        assert len(home.packs()) < len(packs)


def test_a_plan_says_what_keeping_does_and_does_nothing(tmp_path: Path) -> None:
    """Each snapshot with its reasons."""
    with yard(tmp_path, keep=KeepOptions(daily=1), keeping=SOON) as home:
        names = home.days(3)
        plans = home.plan()
        assert home.snapshots() == set(names) and set(plans.going) == set(names[:2])
        figure = plan_figure(home.target, plans, {HOST: "web1"})
        assert figure.removed == 2 and figure.policy == "keep 1 daily"
        (group,) = figure.groups
        assert (group.host, group.hostname, group.paths) == ("web1", "web1", ("/srv",))
        assert [(one.name, one.keep, one.reasons) for one in group.snapshots] == [
            (names[2], True, ("the newest", "daily snapshot")),
            (names[1], False, ('no rule of "keep 1 daily" keeps it',)),
            (names[0], False, ('no rule of "keep 1 daily" keeps it',)),
        ]
        assert set(home.keep().removed) == set(plans.going)


@pytest.mark.parametrize("when", ["before", "after the snapshots", "after all"])
def test_work_that_is_ended_in_the_middle_is_brought_to_its_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, when: str
) -> None:
    """Whatever had been done then, books and repository agree after the next time."""

    async def ended(order: Order, *, timeout: float, holding: int) -> Answered:
        if isinstance(order.task, Remove):
            if when == "after the snapshots":
                for name in order.task.names:
                    LocalStore(order.access.location).remove(FileKind.SNAPSHOT, name)
            elif when == "after all":
                await here(order, timeout=timeout, holding=holding)
            return Answered(Failed(message="the process ended with code -9"), None)
        return await here(order, timeout=timeout, holding=holding)

    with yard(tmp_path, keep=KeepOptions(daily=2), keeping=SOON) as home:
        names = home.days(5)
        with monkeypatch.context() as patched:
            patched.setattr(keeping, "ask", ended)
            assert home.keep().outcome == "failed"
        assert [(one.kind, one.stops) for one in home.alerts()] == [("failed", False)]
        result = home.keep()
        assert result.outcome == "done" and result.pruned
        assert home.snapshots() == set(names[3:])
        assert not home.alerts()
        with home.database.read() as connection:
            gone = {one.facts.name for one in records.known(connection, home.name) if one.removed is not None}
        assert gone == set(names[:3])
        assert open_repository(LocalStore(home.place), PASSWORD).snapshots()
        assert "no errors were found" in run_restic(every_restic()[-1], home.place, "check", "--read-data")


def test_a_snapshot_that_is_gone_and_that_home_did_not_remove_is_told(tmp_path: Path) -> None:
    """And stops all removal in the repository: what it held stays too, until somebody has looked."""
    with yard(tmp_path, keep=KeepOptions(last=2), keeping=SOON) as home:
        names = home.days(3)
        home.keep()
        lost = home.place / "snapshots" / names[2]
        lost.rename(tmp_path / "lost")
        home.days(3)
        packs = home.packs()
        result = home.keep()
        assert result.removed == () and result.stopped and not result.pruned
        (alert,) = home.alerts()
        assert (alert.kind, alert.group) == ("lost", None) and f"alert {alert.id}: " in result.message
        assert home.keep(always=True).removed == ()
        assert home.packs() == packs
        home.acknowledge()
        assert home.keep().removed
        assert home.packs() != packs


def test_damage_at_home_stops_everything_before_anything_is_removed(tmp_path: Path) -> None:
    """A pack that is needed and is not there, a file that the disk changed."""
    with yard(tmp_path, keep=KeepOptions(last=1), keeping=SOON) as home:
        names = home.days(3)
        home.plan()
        largest = max((home.place / "data").glob("*/*"), key=lambda file: file.stat().st_size)
        largest.rename(tmp_path / "away")
        result = home.keep()
        assert result.outcome == "failed" and home.snapshots() == set(names)
        assert [(one.kind, one.stops) for one in home.alerts()] == [("damaged", True)]
        (tmp_path / "away").rename(largest)
        assert home.keep().removed == ()
        home.acknowledge()
        assert set(home.keep().removed) == set(names[:2])
        new = home.send(*home.usual())
        spoil(home.place / "snapshots" / new)
        home.keep()
        assert [one.kind for one in home.alerts()] == ["damaged"]


def test_verifying_reads_and_tells(tmp_path: Path) -> None:
    """What is found stops removal."""
    options = KeepingOptions(newest=1, hold=Duration(0), verify_part="100%")
    with yard(tmp_path, keep=KeepOptions(last=1), keeping=options) as home:
        names = home.days(2)
        result = home.verify()
        assert result.outcome == "done" and result.snapshots == 2 and result.packs_read == len(home.packs())
        spoil(max((home.place / "data").glob("*/*"), key=lambda file: file.stat().st_size))
        result = home.verify()
        assert result.outcome == "failed" and result.problems
        assert [(one.kind, one.stops) for one in home.alerts()] == [("damaged", True)]
        assert home.keep().removed == () and home.snapshots() == set(names)


def test_the_newest_alerts_are_shown_and_all_are_counted(tmp_path: Path) -> None:
    """Those that ended are neither."""
    with yard(tmp_path) as home:
        for number in range(5):
            alert = Alert("shrunken", Group(HOST, f"name{number}"), f"number {number}", home.clock())
            with home.database.write() as connection:
                records.raise_alerts(connection, home.name, [alert], home.clock())
            if number == 1:
                home.acknowledge()
        with home.database.read() as connection:
            found, count = open_alerts(connection, 2)
            assert open_alerts(connection, 3) == (open_alerts(connection, 9)[0], 3)
        assert [(one.host, one.figure.message) for one in found] == [(HOST, "number 4"), (HOST, "number 3")]
        assert found[0].figure.group == "web1 as name4" and count == 3


def test_two_never_work_on_one_repository(tmp_path: Path) -> None:
    """The second one is told so; another repository goes on."""
    with yard(tmp_path) as home:
        with held(tmp_path, home.name), held(tmp_path, "other"), pytest.raises(BusyError):
            home.keep()
        assert home.keep().outcome == "done"


def test_a_repository_that_is_not_made_yet_is_waited_for(tmp_path: Path) -> None:
    """That is no failure."""
    with yard(tmp_path) as home:
        (home.place / "config").unlink()
        assert home.keep().outcome == "waiting"
        assert not home.alerts()


def test_a_snapshot_that_was_removed_and_is_sent_once_more_is_a_new_one(tmp_path: Path) -> None:
    """Of its new receipt, and its old time is flagged."""
    with yard(tmp_path, keep=KeepOptions(last=1), keeping=SOON) as home:
        names = home.days(4)
        content = (home.place / "snapshots" / names[0]).read_bytes()
        home.keep()
        assert home.snapshots() == {names[3]}
        home.put(FileKind.SNAPSHOT, content)
        home.keep()
        assert home.snapshots() == {names[0], names[3]}
        assert home.flags(names[0]) >= {"time"}
        assert home.facts(names[0]).received == home.clock()


def test_it_is_done_each_day_when_its_time_has_come(tmp_path: Path) -> None:
    """And what failed is tried again an hour later."""
    with yard(tmp_path, keep=KeepOptions(last=1), keeping=SOON) as home:

        def due() -> set[str]:
            with home.database.read() as connection:
                return {kind for _, kind in rounds.due(connection, home.keeper)}

        assert due() == {"keep", "verify"}
        home.run(rounds.go_round(home.keeper))
        assert due() == set()
        home.clock.now += DAY / 2
        assert due() == set()
        home.clock.now += DAY / 2
        assert due() == {"keep"}
        (home.place / "config").rename(tmp_path / "config")
        home.run(rounds.go_round(home.keeper))
        assert due() == set()
        home.clock.now += 3600
        assert due() == {"keep"}
        (tmp_path / "config").rename(home.place / "config")
        home.run(rounds.go_round(home.keeper))
        home.clock.now += 3600
        assert due() == set()
        home.clock.now += 7 * DAY
        assert due() == {"keep", "verify"}


def test_what_came_before_home_had_the_password_is_looked_into_when_it_has(tmp_path: Path) -> None:
    """Else WAL would be counted as anything else is."""
    with yard(tmp_path / "blind", password=False, keep=KeepOptions(last=3), keeping=SOON) as blind:
        names = blind.days(2)
        blind.send(*blind.usual(), tags=(MARK,), paths=("/wal",))
        blind.keep()
        assert blind.facts(names[0]).group == Group(HOST)
        now = blind.clock.now
    with yard(tmp_path / "open", like=tmp_path / "blind", now=now, keep=KeepOptions(last=1), keeping=SOON) as home:
        assert home.keep().removed == (names[0],)
        assert home.facts(names[1]).group == Group(HOST, "web1", ("/srv",))
        assert {home.facts(name).is_wal for name in home.snapshots()} == {False, True}
