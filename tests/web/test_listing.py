"""Which hosts the fleet page shows, and in which order."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.shapes import HostState, Updates
from collector.rules.state import SEVERITY
from collector.web.listing import PAGE_SIZE, WAITING, WORST_FIRST, Query, arrange
from tests.web.made import summary

queries = st.builds(
    Query,
    state=st.none() | st.sampled_from(WORST_FIRST),
    text=st.text(max_size=200).map(lambda text: " ".join(text.split())),
    updates=st.none() | st.sampled_from(WAITING),
    page=st.integers(1, 99_999),
)


@given(queries)
def test_a_query_survives_its_url(query: Query) -> None:
    """What a filter link says is what the page then shows."""
    assert Query.parse(dict(parse_qsl(urlsplit(query.url).query))) == query


@given(st.dictionaries(st.sampled_from(["state", "q", "updates", "page", "x"]), st.text()))
def test_whatever_a_url_says_is_a_query(parameters: dict[str, str]) -> None:
    """People edit URLs: nothing raises, and pages count from one."""
    assert Query.parse(parameters).page >= 1


def test_the_plain_page_has_the_plain_address() -> None:
    """Nothing that is as usual is in the URL."""
    assert Query().url == "/"


@given(st.lists(st.sampled_from(WORST_FIRST), max_size=3 * PAGE_SIZE), st.none() | st.sampled_from(WORST_FIRST))
def test_every_matching_host_is_on_exactly_one_page_and_the_worst_come_first(
    states: list[HostState], wanted: HostState | None
) -> None:
    """Page after page, no host is missing or shown twice."""
    hosts = [summary(f"host{number}", state) for number, state in enumerate(states)]
    shown = []
    page = 1
    while True:
        listing = arrange(hosts, Query(state=wanted, page=page))
        shown += listing.hosts
        if page >= listing.pages:
            break
        page += 1
    assert sorted(host.id for host in shown) == sorted(h.id for h in hosts if wanted in (None, h.state))
    severities = [SEVERITY[host.state] for host in shown]
    assert severities == sorted(severities, reverse=True)
    assert sum(listing.counts.values()) == len(hosts)


def test_a_page_past_the_end_is_the_last_one() -> None:
    """A host fewer must not leave the reader on an empty page."""
    hosts = [summary(f"host{number:03}") for number in range(PAGE_SIZE + 1)]
    listing = arrange(hosts, Query(page=7))
    assert (listing.query.page, [host.name for host in listing.hosts]) == (2, [f"host{PAGE_SIZE:03}"])


@pytest.mark.parametrize(
    ("text", "found"), [("", 2), ("WEB", 1), ("web debian", 1), ("refused", 1), ("web mail", 0), ("id-mail", 1)]
)
def test_a_search_looks_at_names_messages_and_facts(text: str, found: int) -> None:
    """Every word must occur, in whatever case and place."""
    hosts = [summary("web1", message="All is well."), summary("mail", message="Connection refused.", facts={})]
    listing = arrange(hosts, Query(text=text))
    assert (listing.matching, listing.total) == (found, 2)


def test_hosts_are_chosen_by_what_waits_there_within_a_state_and_a_search() -> None:
    """Each count says how many hosts its link leads to."""
    waits = {"calm": Updates(pending=0, security=0, since=None), "web1": Updates(pending=2, security=0, since=1.0)}
    waits["web2"] = Updates(pending=3, security=1, since=1.0)
    hosts = [
        summary(name, "critical" if name == "web2" else "ok", updates=waits.get(name)) for name in (*waits, "old")
    ]
    for query, names in {
        Query(): ["web2", "calm", "old", "web1"],
        Query(updates="pending"): ["web2", "web1"],
        Query(updates="security"): ["web2"],
        Query(updates="pending", state="ok"): ["web1"],
        Query(updates="security", text="web1"): [],
    }.items():
        listing = arrange(hosts, query)
        assert [host.name for host in listing.hosts] == names
        assert listing.tells
        assert sum(listing.counts.values()) == listing.found
        for what, count in listing.waiting.items():
            assert arrange(hosts, query.with_updates(what)).matching == count
        for state, count in listing.counts.items():
            assert arrange(hosts, query.with_state(state)).matching == count
    assert not arrange([summary("old")], Query()).tells


def test_the_order_within_a_state_does_not_depend_on_what_was_measured() -> None:
    """Rows must not change places while somebody reads."""
    hosts = [summary("b", message="x"), summary("A", message="z"), summary("c", message="y")]
    assert [host.name for host in arrange(hosts, Query()).hosts] == ["A", "b", "c"]
