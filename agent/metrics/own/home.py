"""Reporting home: when a report was last acknowledged, what waits, and what was lost."""

from __future__ import annotations

from contextlib import closing

from agent.home import identity
from agent.home import status as home_status
from agent.home.spool import Spool
from agent.metrics.family import Family, gauge
from agent.metrics.told import Told
from agent.state import State
from wire.report import Gap

REASONS = ("size", "age", "refused", "disk_full", "corrupt")
LOST = {
    "readings": "Readings that were measured and lost, by reason, in the gaps that the agent remembers.",
    "events": "Events that were lost, by reason, in the gaps that the agent remembers.",
    "job_results": "Results of jobs that were lost, by reason, in the gaps that the agent remembers.",
    "reports": "Reports that were lost as a whole, by reason, in the gaps that the agent remembers.",
}


def collect(told: Told) -> list[Family]:
    """From the state database, in one transaction. Raises StateError, sqlite3.Error."""
    with closing(State.read(told.folder)) as state:
        state.connection.execute("BEGIN")
        kept, waiting, gaps = home_status.load(state), Spool(state).waiting(), state.gaps()
    enrolled = (told.folder / identity.IDENTITY).exists()
    families = [
        gauge("hostward_home_enrolled", "Whether the agent knows a home to report to.", int(enrolled)),
        gauge("hostward_spool_reports", "Reports that home has not acknowledged.", waiting.reports),
        gauge("hostward_spool_bytes", "Size of the reports that home has not acknowledged.", waiting.bytes),
        *_lost(gaps),
    ]
    if enrolled:
        families.append(
            gauge("hostward_home_failing", "Whether the last attempt to report failed.", int(kept.error is not None))
        )
    for name, about, moment in (
        (
            "hostward_home_last_delivery_timestamp_seconds",
            "When home last acknowledged a report.",
            kept.last_acknowledged,
        ),
        (
            "hostward_home_failing_since_timestamp_seconds",
            "Since when attempts to report fail.",
            kept.error_since,
        ),
        (
            "hostward_spool_oldest_report_timestamp_seconds",
            "When the oldest report that home has not acknowledged was made.",
            waiting.oldest,
        ),
    ):
        if moment is not None:
            families.append(gauge(name, about, moment))
    return families


def _lost(gaps: list[Gap]) -> list[Family]:
    families = []
    for what, about in LOST.items():
        family = gauge(f"hostward_gap_{what}", about)
        for reason in REASONS:
            family.add(sum(getattr(gap, what) for gap in gaps if gap.reason == reason), reason=reason)
        families.append(family)
    return families
