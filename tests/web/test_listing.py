"""Which hosts the fleet page shows, and in which order."""

from __future__ import annotations

from urllib.parse import parse_qsl, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from collector.api.shapes import HostState
from collector.rules.state import SEVERITY
from collector.web.listing import PAGE_SIZE, WORST_FIRST, Query, arrange
from tests.web.made import summary

queries = st.builds(
    Query,
    state=st.none() | st.sampled_from(WORST_FIRST),
    text=st.text(max_size=200).map(lambda text: " ".join(text.split())),
    page=st.integers(1, 99_999),
)


@given(queries)
def test_a_query_survives_its_url(query: Query) -> None:
    """What a filter link says is what the page then shows."""
    assert Query.parse(dict(parse_qsl(urlsplit(query.url).query))) == query


@given(st.dictionaries(st.sampled_from(["state", "q", "page", "x"]), st.text()))
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


def test_the_order_within_a_state_does_not_depend_on_what_was_measured() -> None:
    """Rows must not change places while somebody reads."""
    hosts = [summary("b", message="x"), summary("A", message="z"), summary("c", message="y")]
    assert [host.name for host in arrange(hosts, Query()).hosts] == ["A", "b", "c"]
