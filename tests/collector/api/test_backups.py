"""Backups and drills: from a report to what the API gives."""

from __future__ import annotations

import pytest

from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.collector.support import NOW, Home, Host
from wire.report import BackupRun, Drill


def send(host: Host, *runs: BackupRun, drills: tuple[Drill, ...] = ()) -> None:
    answer = host.send(host.report(backups=list(runs), drills=list(drills)))
    assert answer.status_code == 200, answer.text


def test_a_report_that_comes_twice_is_one_run(home: Home, host: Host) -> None:
    """And a report of an older stream does not say how the job stands."""
    report = host.report(backups=[run()], drills=[drill()])
    assert host.send(report).status_code == 200
    assert host.send(report).json()["duplicate"]
    assert (home.rows("backup_runs"), home.rows("drills")) == (1, 1)
    host.send(host.report(epoch="epoch-2", sequence=1, backups=[run(ended=NOW - HOUR / 2)]))
    host.send(host.report(epoch="epoch-1", sequence=9, backups=[failed(ended=NOW - 2 * HOUR)]))
    (row,) = home.client.get("/api/v1/backups", headers=home.bearer()).json()["rows"]
    assert (row["outcome"], row["finished"]) == ("done", NOW - HOUR / 2)
    assert home.rows("backup_runs") == 3


def test_all_hosts_are_listed_with_what_is_wrong(home: Home, host: Host) -> None:
    """One without a backup too."""
    other = Host(home.client, home.clock)
    assert other.enroll(home.token(), "idle").status_code == 200
    send(host, run(), failed("shop"), drills=(drill(next=NOW - DAY),))
    found = home.client.get("/api/v1/backups", headers=home.bearer()).json()
    assert [(row["host_name"], row["job"], row["state"]) for row in found["rows"]] == [
        ("web1", "shop", "critical"),
        ("web1", "web", "critical"),
        ("idle", "", "unknown"),
    ]
    assert [finding["code"] for finding in found["rows"][1]["findings"]] == ["drill_overdue"]
    assert found["counts"] == {"critical": 2, "unknown": 1, "warning": 0, "ok": 0}
    assert (found["matching"], found["page"], found["pages"]) == (3, 1, 1)
    found = home.client.get("/api/v1/backups?q=web&sort=host&limit=1&page=9", headers=home.bearer()).json()
    assert (found["matching"], found["page"], found["pages"], found["rows"][0]["job"]) == (2, 2, 2, "web")


def test_a_silent_host_turns_critical_when_its_backup_is_due(home: Home, host: Host) -> None:
    """By home's own clock: nobody else tells of it."""
    send(host, run())
    path = "/api/v1/hosts/web1/backups"
    assert home.client.get(path, headers=home.bearer()).json()["jobs"][0]["state"] == "ok"
    home.clock.now += 2 * DAY
    (row,) = home.client.get(path, headers=home.bearer()).json()["jobs"]
    assert (row["state"], row["overdue"]) == ("critical", True)


def test_one_host_has_sizes_by_day_and_trends(home: Home, host: Host) -> None:
    runs = [run(ended=NOW - number * DAY, bytes=(9 - number) << 20) for number in (2, 1, 0)]
    send(host, *runs, drills=(drill(ended=NOW - DAY), drill(recovery_time=1800.0)))
    found = home.client.get("/api/v1/hosts/web1/backups", headers=home.bearer()).json()
    assert [size["bytes"] for size in found["sizes"]["web"]] == [7 << 20, 8 << 20, 9 << 20]
    assert found["jobs"][0]["growth"] == 1 << 20
    assert [one["recovery_time"] for one in found["trends"]["weekly"]] == [900.0, 1800.0]
    assert found["drills"][0]["trend"] == 1.0


def test_history_comes_in_pages(home: Home, host: Host) -> None:
    send(host, *(run(ended=NOW + number) for number in range(5)), run("shop"), drills=(drill(), drill("other")))
    path = "/api/v1/hosts/web1/backups/runs?job=web&limit=3"
    first = home.client.get(path, headers=home.bearer()).json()["runs"]
    rest = home.client.get(f"{path}&before={first[-1]['id']}", headers=home.bearer()).json()["runs"]
    assert [one["run"]["finished"] for one in first + rest] == [NOW + number for number in (4, 3, 2, 1, 0)]
    drills = home.client.get("/api/v1/hosts/web1/drills?name=other", headers=home.bearer()).json()["drills"]
    assert [one["drill"]["name"] for one in drills] == ["other"]
    all_drills = home.client.get("/api/v1/drills?limit=1&page=2", headers=home.bearer()).json()
    assert (all_drills["matching"], all_drills["pages"], len(all_drills["rows"])) == (2, 2, 1)
    assert home.client.get("/api/v1/drills?state=critical", headers=home.bearer()).json()["rows"] == []


@pytest.mark.parametrize(
    "path",
    [
        "backups?page=0",
        "backups?limit=1001",
        "backups?sort=name",
        f"backups?q={'x' * 201}",
        "backups?state=down",
        "backups?state=ok&state=ok",
        "backups?hosts=web",
        "drills?page=x",
        "hosts/web1/backups?x=1",
        "hosts/web1/backups/runs?before=0",
        "hosts/web1/drills?limit=²",
    ],
)
def test_what_cannot_be_asked_for_is_told(home: Home, host: Host, path: str) -> None:
    answer = home.client.get(f"/api/v1/{path}", headers=home.bearer())
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_parameter")
    assert answer.json()["error"]["message"].endswith(".")


@pytest.mark.parametrize("path", ["backups", "backups/runs", "drills"])
def test_a_host_that_is_none_has_no_backups(home: Home, path: str) -> None:
    answer = home.client.get(f"/api/v1/hosts/nobody/{path}", headers=home.bearer())
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "not_found")


def test_what_is_no_id_of_a_snapshot_is_refused(host: Host) -> None:
    """It becomes a part of addresses."""
    answer = host.send(host.report(backups=[run(snapshot="../x")]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_report")
