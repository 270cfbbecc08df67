"""Which hosts the fleet page shows, and in which order: pure functions of the hosts and the page's URL."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal
from urllib.parse import urlencode

from collector.api.shapes import HostState, HostSummary
from collector.rules.state import SEVERITY

WORST_FIRST: tuple[HostState, ...] = tuple(sorted(SEVERITY, key=lambda state: -SEVERITY[state]))
PAGE_SIZE = 100
_STATES: dict[str, HostState] = {state: state for state in WORST_FIRST}
Waiting = Literal["pending", "security"]
"""Hosts on which any update waits, or one for security."""
WAITING: tuple[Waiting, ...] = ("pending", "security")
_WAITING: dict[str, Waiting] = {what: what for what in WAITING}


@dataclass(frozen=True, slots=True)
class Query:
    """What the fleet page's URL asks for."""

    state: HostState | None = None
    text: str = ""
    updates: Waiting | None = None
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Query:
        """Of URL parameters. What makes no sense counts as not given: people edit and shorten URLs."""
        page = parameters.get("page", "")
        return cls(
            state=_STATES.get(parameters.get("state", "")),
            text=" ".join(parameters.get("q", "").split())[:200],
            updates=_WAITING.get(parameters.get("updates", "")),
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
        if self.updates:
            parameters["updates"] = self.updates
        if self.page > 1:
            parameters["page"] = str(self.page)
        return f"/?{urlencode(parameters)}" if parameters else "/"

    def with_state(self, state: HostState | None) -> Query:
        """The same search in another state, from its first page."""
        return replace(self, state=state, page=1)

    def with_updates(self, updates: Waiting | None) -> Query:
        """The same search among hosts on which this waits, from its first page."""
        return replace(self, updates=updates, page=1)

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
    """Hosts by state, of those that match the text and wait for what is asked for."""
    waiting: Mapping[Waiting, int]
    """Hosts on which updates wait, of those that match text and state."""
    tells: bool
    """Whether any host tells its updates."""
    total: int
    """Hosts there are."""
    found: int
    """Hosts that match the text and wait for what is asked for."""
    matching: int
    """Hosts that match all of it."""
    pages: int


def arrange(hosts: Sequence[HostSummary], query: Query) -> Listing:
    """The page of `hosts` that `query` asks for; a page past the end is the last one."""
    said = [host for host in hosts if _matches(host, query.text)]
    found = [host for host in said if query.updates is None or _waits(host, query.updates)]
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
        waiting={
            what: sum(query.state in (None, host.state) and _waits(host, what) for host in said) for what in WAITING
        },
        tells=any(host.updates is not None for host in hosts),
        total=len(hosts),
        found=len(found),
        matching=len(matching),
        pages=pages,
    )


def _waits(host: HostSummary, updates: Waiting) -> bool:
    return host.updates is not None and (host.updates.pending if updates == "pending" else host.updates.security) > 0


def _matches(host: HostSummary, text: str) -> bool:
    """Every word of `text` occurs in the host's name, id, message, facts, groups or tags, whatever the case."""
    if not text:
        return True
    said = [*host.facts.values(), *host.groups, *(f"{key}={value}" for key, value in host.tags.items())]
    hay = "\n".join([host.name, host.id, host.message, *said]).casefold()
    return all(word in hay for word in text.casefold().split())
