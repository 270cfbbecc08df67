"""Which hosts the fleet page shows, and in which order: pure functions of the hosts and the page's URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from urllib.parse import urlencode

from collector.api.shapes import HostState, HostSummary
from collector.rules.state import SEVERITY

WORST_FIRST: tuple[HostState, ...] = tuple(sorted(SEVERITY, key=lambda state: -SEVERITY[state]))
PAGE_SIZE = 100
_STATES: dict[str, HostState] = {state: state for state in WORST_FIRST}


@dataclass(frozen=True, slots=True)
class Query:
    """What the fleet page's URL asks for."""

    state: HostState | None = None
    text: str = ""
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Query:
        """Of URL parameters. What makes no sense counts as not given: people edit and shorten URLs."""
        page = parameters.get("page", "")
        return cls(
            state=_STATES.get(parameters.get("state", "")),
            text=" ".join(parameters.get("q", "").split())[:200],
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        )

    @property
    def url(self) -> str:
        """The page's address, with only what differs from the plain one."""
        parameters: dict[str, str] = {}
        if self.state:
            parameters["state"] = self.state
        if self.text:
            parameters["q"] = self.text
        if self.page > 1:
            parameters["page"] = str(self.page)
        return f"/?{urlencode(parameters)}" if parameters else "/"

    def with_state(self, state: HostState | None) -> Query:
        """The same search in another state, from its first page."""
        return replace(self, state=state, page=1)

    def with_page(self, page: int) -> Query:
        """Another page of the same."""
        return replace(self, page=page)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of the fleet."""

    query: Query
    hosts: Sequence[HostSummary]
    """Those on this page, worst first."""
    counts: Mapping[HostState, int]
    """Hosts by state, of those that match the text."""
    total: int
    """Hosts there are."""
    found: int
    """Hosts that match the text."""
    matching: int
    """Hosts that match text and state."""
    pages: int


def arrange(hosts: Sequence[HostSummary], query: Query) -> Listing:
    """The page of `hosts` that `query` asks for; a page past the end is the last one."""
    found = [host for host in hosts if _matches(host, query.text)]
    counts = Counter(host.state for host in found)
    matching = [host for host in found if query.state in (None, host.state)]
    matching.sort(key=lambda host: (-SEVERITY[host.state], host.name.casefold(), host.id))
    pages = max(1, -(-len(matching) // PAGE_SIZE))
    query = query.with_page(min(query.page, pages))
    first = (query.page - 1) * PAGE_SIZE
    return Listing(
        query=query,
        hosts=matching[first : first + PAGE_SIZE],
        counts={state: counts[state] for state in WORST_FIRST},
        total=len(hosts),
        found=len(found),
        matching=len(matching),
        pages=pages,
    )


def _matches(host: HostSummary, text: str) -> bool:
    """Every word of `text` occurs in the host's name, id, message, facts, groups or tags, whatever the case."""
    if not text:
        return True
    said = [*host.facts.values(), *host.groups, *(f"{key}={value}" for key, value in host.tags.items())]
    hay = "\n".join([host.name, host.id, host.message, *said]).casefold()
    return all(word in hay for word in text.casefold().split())
