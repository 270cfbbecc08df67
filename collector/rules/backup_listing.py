"""Which jobs of which hosts are listed, and in which order: pure functions of rows and a query."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

from collector.api.backup_shapes import BackupRow
from collector.rules.backup_rows import Entry, row
from wire.report import SEVERITY, State

WORST_FIRST: tuple[State, ...] = SEVERITY[::-1]
PAGE_SIZE = 100
LONGEST_TEXT = 200
FURTHEST_PAGE = 99_999
_STATES: dict[str, State] = {state: state for state in WORST_FIRST}
_NEVER = float("inf")

_Key = Callable[[Entry], float]


def _largest(value: Callable[[Entry], float | None]) -> _Key:
    """The largest first; what has none comes last."""

    def key(entry: Entry) -> float:
        found = value(entry)
        return _NEVER if found is None else -found

    return key


def _oldest(value: Callable[[Entry], float | None]) -> _Key:
    """What never was comes first, then the oldest; by home's clock."""

    def key(entry: Entry) -> float:
        found = value(entry)
        return -_NEVER if found is None else found - entry.ahead

    return key


def _next(entry: Entry) -> float:
    due = entry.job.last.next if entry.job else None
    return _NEVER if due is None else due - entry.ahead


SORTS: Mapping[str, _Key] = {
    "state": lambda entry: -SEVERITY.index(entry.state),
    "host": lambda entry: 0.0,
    "last": _oldest(lambda entry: entry.job.last_success if entry.job else None),
    "verified": _oldest(lambda entry: entry.job.last_verified if entry.job else None),
    "size": _largest(lambda entry: entry.job.bytes if entry.job else 0.0),
    "growth": _largest(lambda entry: entry.job.growth if entry.job else None),
    "point": _oldest(lambda entry: entry.job.point if entry.job else None),
    "time": _largest(lambda entry: drill.recovery_time if (drill := entry.measured) else None),
    "drill": _oldest(lambda entry: max((drill.last.finished for _, drill in entry.drills), default=None)),
    "next": _next,
}
"""What rows can be sorted by; each puts first what somebody should look at first."""
DEFAULT_SORT = "state"


@dataclass(frozen=True, slots=True)
class Query:
    """What is asked for."""

    state: State | None = None
    text: str = ""
    sort: str = DEFAULT_SORT
    page: int = 1

    @classmethod
    def parse(cls, parameters: Mapping[str, str]) -> Query:
        """Of URL parameters. What makes no sense counts as not given: people edit and shorten URLs."""
        page, sort = parameters.get("page", ""), parameters.get("sort", "")
        return cls(
            state=_STATES.get(parameters.get("state", "")),
            text=" ".join(parameters.get("q", "").split())[:LONGEST_TEXT].rstrip(),
            sort=sort if sort in SORTS else DEFAULT_SORT,
            page=max(1, int(page)) if page.isascii() and page.isdigit() and len(page) < 6 else 1,
        )

    @property
    def parameters(self) -> dict[str, str]:
        """What `parse` takes, with only what differs from the plain query."""
        given = {"state": self.state or "", "q": self.text}
        if self.sort != DEFAULT_SORT:
            given["sort"] = self.sort
        if self.page > 1:
            given["page"] = str(self.page)
        return {name: value for name, value in given.items() if value}

    def with_state(self, state: State | None) -> Query:
        """The same search in another state, from its first page."""
        return replace(self, state=state, page=1)

    def with_sort(self, sort: str) -> Query:
        """The same in another order, from its first page."""
        return replace(self, sort=sort, page=1)

    def with_page(self, page: int) -> Query:
        """Another page of the same."""
        return replace(self, page=page)


@dataclass(frozen=True, slots=True)
class Listing:
    """A page of jobs."""

    query: Query
    rows: Sequence[BackupRow]
    counts: Mapping[State, int]
    """Rows by state, of those that match the text."""
    total: int
    found: int
    """Rows that match the text."""
    matching: int
    """Rows that match text and state."""
    pages: int


def arrange(entries: Sequence[Entry], query: Query, *, now: float, size: int = PAGE_SIZE) -> Listing:
    """The page of `entries` that `query` asks for; a page past the end is the last one. `now` is home's clock."""
    found = [entry for entry in entries if _matches(entry, query.text)] if query.text else entries
    counts = Counter(entry.state for entry in found)
    matching = [entry for entry in found if query.state in (None, entry.state)]
    key = SORTS[query.sort]
    matching.sort(key=lambda entry: (key(entry), entry.line.name.casefold(), entry.line.id, entry.name))
    pages = max(1, -(-len(matching) // size))
    query = query.with_page(min(query.page, pages))
    first = (query.page - 1) * size
    return Listing(
        query=query,
        rows=[row(entry, now=now) for entry in matching[first : first + size]],
        counts={state: counts[state] for state in WORST_FIRST},
        total=len(entries),
        found=len(found),
        matching=len(matching),
        pages=pages,
    )


def _matches(entry: Entry, text: str) -> bool:
    """Every word of `text` occurs in the names, the source, the repository or what is wrong, whatever the case."""
    said = [finding.text for finding in entry.findings]
    drills = [name for name, _ in entry.drills]
    place = [entry.job.last.source, entry.job.last.repository] if entry.job else []
    hay = "\n".join([entry.line.name, entry.line.id, entry.name, *place, *said, *drills]).casefold()
    return all(word in hay for word in text.casefold().split())
