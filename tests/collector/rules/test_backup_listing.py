"""Which jobs are listed, in which order, and what a row says."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.api.backup_shapes import BackupRow
from collector.rules.backup_listing import PAGE_SIZE, SORTS, WORST_FIRST, Query, arrange
from collector.rules.backup_rows import Entry, HostLine, drill_rows, entries, row
from collector.rules.backups import take_drill, take_run
from tests.collector.ran import DAY, HOUR, drill, failed, run
from tests.collector.support import NOW
from wire.report import SEVERITY, BackupRun, Drill

queries = st.builds(
    Query,
    state=st.none() | st.sampled_from(WORST_FIRST),
    text=st.text(max_size=200).map(lambda text: " ".join(text.split())),
    sort=st.sampled_from(list(SORTS)),
    page=st.integers(1, 99_999),
)


def line(name: str, **fields: Any) -> HostLine:
    return HostLine(**{"id": f"id-{name}", "name": name, "state": "ok", "clock_offset": 0.0, **fields})


def made(
    hosts: list[HostLine],
    ran: dict[str, list[BackupRun]],
    tried: dict[str, list[Drill]] | None = None,
    *,
    now: float = NOW,
) -> list[Entry]:
    """Of hosts with one run of each job."""
    jobs = [
        (f"id-{host}", one.job, take_run(None, [], one, received=now, newest=True)[0])
        for host, given in ran.items()
        for one in given
    ]
    plans = [
        (f"id-{host}", one.name, take_drill(None, [], one, received=now, newest=True)[0])
        for host, given in (tried or {}).items()
        for one in given
    ]
    return entries(hosts, jobs, plans, now=now)


@given(queries)
def test_a_query_survives_its_parameters(query: Query) -> None:
    assert Query.parse(query.parameters) == query


@given(st.dictionaries(st.sampled_from(["state", "q", "sort", "page", "x"]), st.text()))
def test_whatever_a_url_says_is_a_query(parameters: dict[str, str]) -> None:
    assert Query.parse(parameters).page >= 1


@settings(max_examples=30)
@given(st.lists(st.booleans(), max_size=2 * PAGE_SIZE), st.sampled_from(list(SORTS)))
def test_every_job_is_on_exactly_one_page(bad: list[bool], sort: str) -> None:
    """Page after page, whatever they are sorted by."""
    hosts = [line(f"h{number}") for number in range(len(bad))]
    found = made(hosts, {f"h{number}": [failed() if it_is else run()] for number, it_is in enumerate(bad)})
    shown: list[BackupRow] = []
    listing = arrange(found, Query(sort=sort), now=NOW, size=40)
    for page in range(1, listing.pages + 1):
        shown += arrange(found, Query(sort=sort, page=page), now=NOW, size=40).rows
    assert sorted(row.host for row in shown) == sorted(host.id for host in hosts)
    assert sum(listing.counts.values()) == len(bad)
    assert arrange(found, Query(sort=sort, page=99), now=NOW, size=40).query.page == listing.pages


def test_the_worst_comes_first_and_a_host_without_a_backup_is_no_good_one() -> None:
    hosts = [line(name) for name in ("fine", "none", "bad", "partial")]
    found = made(
        hosts, {"fine": [run()], "bad": [failed()], "partial": [run(outcome="partial", last_success=NOW - DAY)]}
    )
    listing = arrange(found, Query(), now=NOW)
    assert [(row.host_name, row.state) for row in listing.rows] == [
        ("bad", "critical"),
        ("none", "unknown"),
        ("partial", "warning"),
        ("fine", "ok"),
    ]
    assert [row.state for row in listing.rows] == sorted((entry.state for entry in found), key=SEVERITY[::-1].index)
    assert [row.host_name for row in arrange(found, Query(state="ok"), now=NOW).rows] == ["fine"]


@pytest.mark.parametrize(
    ("sort", "order"),
    [
        ("host", "a b c d"),
        ("last", "d c b a"),
        ("verified", "d c b a"),
        ("size", "b a c d"),
        ("growth", "a b c d"),
        ("point", "d c b a"),
        ("time", "c a b d"),
        ("drill", "b d c a"),
        ("next", "c b a d"),
    ],
)
def test_each_order_puts_first_what_to_look_at_first(sort: str, order: str) -> None:
    """What never was comes before what was long ago."""
    hosts = [line(name) for name in "abcd"]
    ran = {
        "a": [run(ended=NOW - HOUR, bytes=20)],
        "b": [run(ended=NOW - 2 * HOUR, bytes=30)],
        "c": [run(ended=NOW - 3 * HOUR, bytes=10)],
    }
    tried = {"a": [drill(recovery_time=50.0)], "c": [drill(ended=NOW - DAY, recovery_time=70.0)]}
    found = made(hosts, ran, tried)
    assert " ".join(row.host_name for row in arrange(found, Query(sort=sort), now=NOW).rows) == order


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", 3),
        ("WEB1", 1),
        ("shop postgresql", 1),
        ("srv/backup", 2),
        ("no such host", 1),
        ("weekly", 1),
        ("nothing", 0),
    ],
)
def test_a_search_looks_at_names_places_and_what_is_wrong(text: str, found: int) -> None:
    hosts = [line("web1"), line("db1"), line("idle")]
    ran = {"web1": [run()], "db1": [failed("shop", source="postgresql")]}
    assert arrange(made(hosts, ran, {"web1": [drill()]}), Query(text=text), now=NOW).matching == found


def test_a_drill_that_was_never_run_when_it_was_due_is_as_bad_as_one_that_failed() -> None:
    """Beside the host's jobs, or in place of none; one whose time is to come is no row."""
    hosts = [
        line("jobs", drills={"weekly": 0.0, "all": NOW - 2 * HOUR, "soon": 0.0, "late": NOW - 60}, clock_offset=10.0),
        line("none", drills={"all": NOW - DAY}),
        line("fine", drills={"weekly": NOW - DAY}),
    ]
    found = made(hosts, {"jobs": [run()], "fine": [run()]}, {"fine": [drill(name="weekly")]})
    told = [(entry.line.name, entry.name, entry.state, [one.text for one in entry.findings]) for entry in found]
    never = "No run of drill all was ever reported; it was due"
    assert told == [
        ("jobs", "", "critical", [never]),
        ("jobs", "web", "ok", []),
        ("none", "", "critical", [never, "No backup of this host was ever reported."]),
        ("fine", "web", "ok", []),
    ]
    assert [finding.time for finding in row(found[0], now=NOW).findings] == [NOW - 2 * HOUR - 10.0]


def test_times_are_homes_whatever_the_hosts_clock_says() -> None:
    """A clock that is a day ahead makes nothing overdue, nor its times lie ahead of now."""
    ahead = line("fast", clock_offset=DAY)
    (entry,) = made([ahead], {"fast": [run(ended=NOW + DAY - HOUR)]}, {"fast": [drill(ended=NOW + DAY)]})
    shown = row(entry, now=NOW)
    assert shown.findings == []
    assert (shown.finished, shown.last_success, shown.next) == (NOW - HOUR, NOW - HOUR, NOW - HOUR - 600 + DAY)
    assert shown.recovery_point == HOUR + 600
    assert shown.drills[0].finished == NOW


def test_a_small_difference_of_clocks_is_none() -> None:
    (entry,) = made([line("near", clock_offset=1.5)], {"near": [run()]})
    assert row(entry, now=NOW).finished == NOW - HOUR


def test_a_row_tells_what_the_last_drill_measured_and_the_strictest_target() -> None:
    tried = [
        drill("old", ended=NOW - DAY, recovery_time=100.0, rto=500.0, rpo=None),
        drill("new", ended=NOW, recovery_time=200.0, rto=900.0, rpo=50 * HOUR),
    ]
    (entry,) = made([line("web1")], {"web1": [run()]}, {"web1": tried})
    shown = row(entry, now=NOW)
    assert (shown.recovery_time, shown.rto, shown.rpo, shown.estimated) == (200.0, 500.0, 50 * HOUR, True)


def test_drills_are_listed_the_worst_first() -> None:
    hosts = [line("a"), line("b"), line("gone", id="other")]
    plans = [
        (f"id-{host}", one.name, take_drill(None, [], one, received=NOW, newest=True)[0])
        for host, one in (("a", drill()), ("b", drill("late", next=NOW - DAY)), ("revoked", drill()))
    ]
    found = drill_rows(hosts, plans, now=NOW)
    assert [(row.host_name, row.name, row.state, row.overdue) for row in found] == [
        ("b", "late", "critical", True),
        ("a", "weekly", "ok", False),
    ]
