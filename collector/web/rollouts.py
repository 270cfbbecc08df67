"""The pages about rollouts: which there were, and one of them wave by wave."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal
from urllib.parse import quote

from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response

from collector.api.shapes import HostState
from collector.services import services
from collector.store import hosts
from collector.store import rollouts as store
from collector.web.pages import host_url, page
from wire.rollout import HostRecord, RolloutRecord, WaveRecord
from wire.rollout import HostState as State

SHOWN = 100
"""Rollouts on the page."""
ROWS = 1000
"""Hosts of a rollout on its page; the others are counted."""
URGENCY: Mapping[State, int] = {"failed": 0, "unreachable": 0, "running": 1}
"""What is on the page rather than the rest."""
NAMED = 5
"""Packages of a host that are named; the others are counted."""
COLOURS: Mapping[str, HostState | Literal["running"]] = {
    "done": "ok",
    "gate": "running",
    "running": "running",
    "waiting": "pending",
    "skipped": "pending",
    "paused": "warning",
    "aborted": "critical",
    "failed": "critical",
    "unreachable": "critical",
}
"""What runs, waves and hosts are shown as."""
OUTCOMES = {"left_alone": "nothing was changed", "rolled_back": "rolled back", "broken": "left as it is"}


@dataclass(frozen=True, slots=True)
class ShownWave:
    """A wave, some of its hosts in their order, and how many others are in which state."""

    wave: WaveRecord
    hosts: list[tuple[str, HostRecord]]
    others: Mapping[State, int]


def shown_waves(record: RolloutRecord, rows: int = ROWS) -> list[ShownWave]:
    """All waves, and `rows` hosts: those that failed first, then those at work, then the first of the others."""
    urgent = sorted(record.hosts, key=lambda host: URGENCY.get(record.hosts[host].state, 2))
    chosen = set(urgent[:rows])
    waves = []
    for wave in record.waves:
        hosts = [(name, record.hosts[name]) for name in wave.hosts]
        others = Counter(host.state for name, host in hosts if name not in chosen)
        waves.append(ShownWave(wave, [(name, host) for name, host in hosts if name in chosen], others))
    return waves


def rollout_url(rollout: str) -> str:
    """The page of the rollout with this id."""
    return f"/rollouts/{quote(rollout, safe='')}"


def moved(host: HostRecord) -> list[str]:
    """What changed its version on a host: `openssl 3.0.1 → 3.0.2`, the first few of them."""
    names = [name for name in sorted({**host.before, **host.after}) if host.before.get(name) != host.after.get(name)]
    shown = [f"{name} {host.before.get(name) or 'none'} → {host.after.get(name) or 'none'}" for name in names[:NAMED]]
    return [*shown, f"and {len(names) - NAMED} more"] if len(names) > NAMED else shown


async def rollouts(request: Request) -> Response:
    """GET /rollouts: the newest first; the fragment alone where htmx asks."""
    database = services(request).database

    def work() -> list[store.RolloutSummary]:
        with database.read() as connection:
            return store.listed(connection, SHOWN)

    return page(
        "_rollouts.html" if "HX-Request" in request.headers else "rollouts.html",
        section="rollouts",
        user=request.state.user.name,
        rollouts=await asyncio.to_thread(work),
        colours=COLOURS,
        rollout_url=rollout_url,
    )


async def rollout(request: Request) -> Response:
    """GET /rollouts/{id}: its waves and hosts; the fragment alone where htmx asks."""
    database = services(request).database

    def work() -> Response:
        with database.read() as connection:
            found = store.find(connection, request.path_params["rollout"])
            known = {line.name: host_url(line.id) for line in hosts.lines(connection)}
        if found is None:
            raise HTTPException(404)
        return page(
            "_rollout.html" if "HX-Request" in request.headers else "rollout.html",
            section="rollouts",
            user=request.state.user.name,
            summary=found.summary,
            record=found.record,
            waves=shown_waves(found.record),
            known=known,
            colours=COLOURS,
            outcomes=OUTCOMES,
            moved=moved,
            rollout_url=rollout_url,
        )

    return await asyncio.to_thread(work)
