"""What the pages about backups answer."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import httpx
import pytest
from msgspec.structs import replace
from sqlalchemy import select

from collector.auth import COOKIE
from collector.backups import records as stock
from collector.backups.keeping import records
from collector.backups.keeping.alerts import Alert
from collector.backups.keeping.facts import Facts, Flag, Group
from collector.backups.keeping.results import Result
from collector.backups.keeping.settings import KeepOptions
from collector.backups.settings import BackupOptions
from collector.credentials import hash_password
from collector.store import accounts
from collector.store.accounts import Role
from collector.store.tables import audit
from kit.units import Size
from tests.collector import support
from tests.collector.conftest import host as host
from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.collector.support import NOW, Home, Host, check
from tests.web.test_pages import HOSTILE, Markup
from wire.report import BackupCopy, BackupRun, Drill, Reading

PASSWORD = "long enough"
HASH = hash_password(PASSWORD)


def cookie(home: Home, role: Role = "viewer") -> dict[str, str]:
    """Of somebody with this role."""
    with home.database.write() as connection:
        if accounts.find_account(connection, role) is None:
            accounts.add_account(connection, role, HASH, role, home.clock())
    form = {"name": role, "password": PASSWORD}
    answer = home.client.post("/login", data=form, headers={"Sec-Fetch-Site": "same-origin"})
    return {"Cookie": f"{COOKIE}={answer.cookies[COOKIE]}"}


def page(home: Home, path: str, role: Role = "viewer", **headers: str) -> Markup:
    answer = home.client.get(path, headers=cookie(home, role) | headers)
    assert answer.status_code == 200, answer.text
    return Markup(answer.text)


def send(host: Host, *runs: BackupRun, drills: tuple[Drill, ...] = ()) -> None:
    answer = host.send(host.report(backups=list(runs), drills=list(drills)))
    assert answer.status_code == 200, answer.text


def test_a_home_without_hosts_and_one_without_backups_say_what_to_do(home: Home) -> None:
    """Each its own next step."""
    assert "No host reports here yet" in page(home, "/backups").words
    host = Host(home.client, home.clock)
    assert host.enroll(home.token()).status_code == 200
    words = page(home, "/backups").words
    assert "No host has told of a backup yet" in words and "[backups.files]" in words
    assert "No backup of this host was ever reported" in page(home, f"/hosts/{host.id}").words
    words = page(home, f"/hosts/{host.id}/backups").words
    assert "No backup of this host was ever reported" in words and "No restore was tried yet" in words


def test_the_page_says_how_each_job_stands(home: Home, host: Host) -> None:
    """Worst first: figures, targets, what is wrong in words, and the chart of drills in words too."""
    send(
        host,
        run(ended=NOW - DAY, bytes=1 << 30),
        run(bytes=(1 << 30) + (100 << 20)),
        failed("shop", source="postgresql"),
        drills=(drill(ended=NOW - DAY), drill(recovery_time=2 * HOUR)),
    )
    found = page(home, "/backups")
    rows = [row for row in found.all("tr") if "data-job" in row]
    assert [(row["data-job"], row["data-state"]) for row in rows] == [("shop", "critical"), ("web", "critical")]
    for text in (
        "The last run failed: no such host",
        "By drill weekly all of it is back after about 2h; the target is 1h.",
        "+100MiB/d",
        "about 2h target 1h",
        "target 1d6h",
    ):
        assert text in found.words
    assert [chart["aria-label"] for chart in found.all("svg") if chart.get("role") == "img"] == [
        "2 drills, none failed, recovery took 15m to 2h, target 1h"
    ]
    assert [link["href"] for link in found.all("a") if link.get("aria-current") == "page"] == ["/backups"]


def test_a_drill_that_was_never_run_shows_as_clearly_as_one_that_failed(home: Home, host: Host) -> None:
    """Over all hosts once it should have been run, on the host's page from the beginning; until it is."""

    def measured(*due: tuple[str, float]) -> None:
        readings = [
            Reading("drill", "backup_drill_overdue_seconds", seconds, "seconds", {"drill": name})
            for name, seconds in due
        ]
        answer = host.send(host.report(checks=[check("drill")], readings=readings, backups=[run()]))
        assert answer.status_code == 200, answer.text

    measured(("all", 0.0))
    assert [row["data-state"] for row in page(home, "/backups").all("tr") if "data-job" in row] == ["ok"]
    words = page(home, f"/hosts/{host.id}/backups").words
    assert "No run of drill all was ever reported; its time is to come." in words
    assert "No restore was tried yet" not in words
    measured(("all", 2 * HOUR))
    found = page(home, "/backups")
    rows = [(row["data-job"], row["data-state"]) for row in found.all("tr") if "data-job" in row]
    assert rows == [("", "critical"), ("web", "ok")]
    assert "No run of drill all was ever reported; it was due" in found.words and "never run" in found.words
    assert "nothing" not in found.words.lower()  # would come back, as the page says of a host without a backup
    assert "No run of drill all was ever reported; it was due" in page(home, f"/hosts/{host.id}/backups").words
    words = page(home, f"/hosts/{host.id}").words
    assert "No run of drill all was ever reported; it was due" in words and "never run" in words
    send(host, drills=(drill(name="all"),))
    assert "ever reported" not in page(home, "/backups").words + page(home, f"/hosts/{host.id}/backups").words


def test_a_filter_an_order_and_a_search_hold_together(home: Home, host: Host) -> None:
    """As links of the page say them; a fragment tells the address."""
    send(host, run(), failed("shop"))
    answer = home.client.get(
        "/backups?state=ok&q=web&sort=size&page=9", headers=cookie(home) | {"HX-Request": "true"}
    )
    assert answer.headers["HX-Replace-Url"] == "/backups?state=ok&q=web&sort=size"
    assert answer.text.startswith("<title>(1) Backups")
    found = Markup(answer.text)
    assert [row["data-job"] for row in found.all("tr") if "data-job" in row] == ["web"]
    links = {link["id"]: link["href"] for link in found.all("a") if "id" in link}
    assert links["chip-critical"] == "/backups?state=critical&q=web&sort=size"
    assert links["sort-next"] == "/backups?state=ok&q=web&sort=next"
    assert "Nothing matches" in page(home, "/backups?q=nothing-like-it").words


def test_nothing_that_a_host_says_becomes_markup(home: Home, host: Host) -> None:
    """On any of the three pages."""
    bad = failed(
        repository=HOSTILE[:256],
        message=HOSTILE,
        copies=[BackupCopy(repository=HOSTILE[:256], outcome="failed", message=HOSTILE)],
    )
    send(host, replace(run(), next=None), bad, drills=(drill(outcome="failed", message=HOSTILE),))
    for path in ("/backups", f"/hosts/{host.id}", f"/hosts/{host.id}/backups"):
        found = page(home, path)
        assert "hostile=1" in found.text
        assert all(script.get("src") for script in found.all("script"))
        assert not found.all("img") and not found.all("b")
        assert not any("hostile" in attributes for _, attributes in found.elements)


def test_the_history_of_a_host_goes_back_page_by_page(home: Home, host: Host) -> None:
    """Every run is on one of the pages."""
    send(host, *(run(ended=NOW - number * HOUR, files=number) for number in range(120, 0, -1)))
    path: str | None = f"/hosts/{host.id}/backups"
    shown = []
    while path is not None:
        found = page(home, path)
        shown += re.findall(r"10m (\d+) 1GiB", found.words)
        path = next((link["href"] for link in found.all("a") if link.get("id") == "page-older"), None)
    assert shown == [str(number) for number in range(1, 121)]
    assert "There are no older runs" in page(home, f"/hosts/{host.id}/backups?before=1").words
    assert page(home, f"/hosts/{host.id}/backups?before=x").words == page(home, f"/hosts/{host.id}/backups").words


def test_an_operator_says_that_a_job_is_no_more(home: Home, host: Host) -> None:
    """A viewer may not; it is written down; a run that comes later brings it back."""
    send(host, run(next=NOW - 3 * DAY), run("shop"), drills=(drill(next=NOW - DAY, job="shop"),))
    path = f"/hosts/{host.id}/backups"

    def forget(role: Role, **form: str) -> httpx.Response:
        headers = cookie(home, role) | {"Sec-Fetch-Site": "same-origin"}
        return home.client.post(f"{path}/forget", data=form, headers=headers)

    assert "Forget web" not in page(home, path).words
    assert "Forget web" in page(home, path, "operator").words
    assert forget("viewer", job="web").status_code == 403
    assert forget("operator", job="web").headers["Location"] == path
    assert forget("operator", drill="weekly").status_code == 303
    assert forget("operator", job="never was").status_code == 303
    found = home.client.get(f"/api/v1/hosts/{host.id}/backups", headers=home.bearer()).json()
    assert ([row["job"] for row in found["jobs"]], found["drills"]) == (["shop"], [])
    with home.database.read() as connection:
        rows = connection.execute(select(audit).where(audit.c.act == "backup.forgotten")).all()
        assert [(row.actor, row.detail) for row in rows] == [
            ("user:operator", "job web"),
            ("user:operator", "drill weekly"),
        ]
    send(host, run())
    assert "web" in [row.get("data-job") for row in page(home, path).all("article")]


@pytest.fixture
def keeping(tmp_path: Path) -> Any:
    """A home with a repository of web1 in which one snapshot is odd and one is gone."""
    options = BackupOptions(keep_free=Size(0), quota=Size(5 << 30), keep=KeepOptions(daily=7))
    with support.home(tmp_path, options) as home:
        host = Host(home.client, home.clock)
        assert host.enroll(home.token()).status_code == 200
        group = Group(host.id, "web1", ("/etc",))
        flag = Flag("shrunken", "it has 1 % of the usual size")
        snapshots = [
            Facts(name=letter * 64, group=group, received=NOW - day * DAY, bytes=1 << 20, files=9, changed=1 << 10)
            for letter, day in (("a", 20), ("b", 2), ("c", 1))
        ]
        snapshots[2] = replace(snapshots[2], flags=(flag,))
        with home.database.write() as connection:
            stock.add_repository(connection, host.id, host.id, NOW - 30 * DAY)
            records.add_snapshots(connection, host.id, snapshots)
            records.set_removed(connection, host.id, ["a" * 64], NOW - DAY, "no rule keeps it")
            records.raise_alerts(
                connection,
                host.id,
                [Alert("shrunken", group, "the last snapshot has 1 % of the usual size", NOW)],
                NOW,
            )
            work = records.begin(connection, host.id, "keep", NOW - HOUR)
            records.finish(connection, work, Result(outcome="done", message="1 removed, 2 kept"), NOW - HOUR)
        yield home, host


def test_what_home_keeps_of_a_host_is_told_with_its_reasons(keeping: tuple[Home, Host]) -> None:
    """What is odd and what that stops, what cannot be done without a password, what stays, and what is gone."""
    home, host = keeping
    found = page(home, f"/hosts/{host.id}/backups")
    for text in (
        "keep 7 daily",
        "of 5GiB",
        "the last snapshot has 1 % of the usual size",
        "hostward-collector backup acknowledge 1",
        "Home has no password of it",
        "1 removed, 2 kept",
        "1 flagged",
        "cccccccc stays: flagged: it has 1 % of the usual size",
        "bbbbbbbb stays: one of the 3 newest",
        "aaaaaaaa no rule keeps it",
    ):
        assert text in found.words, text
    words = page(home, "/backups").words
    assert "the last snapshot has 1 % of the usual size" in words
    answer = home.client.get(f"/api/v1/hosts/{host.id}/backups", headers=home.bearer()).json()
    assert answer["home"]["figures"]["flagged"] == 1
    assert [one["keep"] for one in answer["home"]["plan"]["groups"][0]["snapshots"]] == [True, True]
    assert [one["reason"] for one in answer["home"]["removed"]] == ["no rule keeps it"]


def test_a_repository_to_which_nothing_was_saved_says_so(tmp_path: Path) -> None:
    with support.home(tmp_path, BackupOptions(keep_free=Size(0))) as home:
        host = Host(home.client, home.clock)
        assert host.enroll(home.token()).status_code == 200
        assert "Nothing was saved to home yet" in page(home, f"/hosts/{host.id}/backups").words
