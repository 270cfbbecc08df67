"""Queries about rollouts, as the machines of administrators tell them."""

from __future__ import annotations

from typing import Annotated

import msgspec
from sqlalchemy import Connection, delete, select

from collector.store.database import upsert, write_rows
from collector.store.tables import rollouts
from wire.rollout import HostState, RolloutRecord, RunState

KEPT = 500
"""Rollouts that are remembered."""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(RolloutRecord).decode


class RolloutSummary(msgspec.Struct, frozen=True, kw_only=True):
    """A row of the list."""

    id: str
    deploy: str
    who: str
    actor: str
    """Whose token it was told with."""
    state: RunState
    started: float
    finished: float | None
    received: float
    """When home heard of it last, by home's clock."""
    message: str
    waves: int
    hosts: Annotated[dict[HostState, int], msgspec.Meta(description="State to number of hosts.")]


_decode_summary = msgspec.json.Decoder(RolloutSummary).decode


class StoredRollout(msgspec.Struct, frozen=True, kw_only=True):
    """One rollout, whole."""

    summary: RolloutSummary
    record: RolloutRecord


def save(connection: Connection, record: RolloutRecord, actor: str, now: float) -> str | None:
    """Write how a rollout stands, and forget the oldest beyond those kept.

    Returns whose token it was told with before; None where it is a new one.
    """
    known = connection.execute(select(rollouts.c.actor).where(rollouts.c.id == record.id)).first()
    summary = summarise(record, actor, now)
    row = {
        "id": record.id,
        "received": now,
        "actor": actor,
        "started": record.started,
        "summary": _encode(summary).decode(),
        "record": _encode(record),
    }
    names = ("received", "actor", "started", "summary", "record")
    write_rows(connection, upsert(connection, rollouts, ("id",), names), [row])
    newest = select(rollouts.c.id).order_by(rollouts.c.received.desc()).limit(KEPT)
    connection.execute(delete(rollouts).where(rollouts.c.id.not_in(newest)))
    return None if known is None else str(known.actor)


def find(connection: Connection, rollout: str) -> StoredRollout | None:
    """None where there is none of this id."""
    row = connection.execute(select(rollouts.c.summary, rollouts.c.record).where(rollouts.c.id == rollout)).first()
    if row is None:
        return None
    return StoredRollout(summary=_decode_summary(row.summary), record=_decode(row.record))


def listed(connection: Connection, limit: int) -> list[RolloutSummary]:
    """The newest first."""
    rows = connection.execute(select(rollouts.c.summary).order_by(rollouts.c.started.desc()).limit(limit))
    return [_decode_summary(row.summary) for row in rows]


def summarise(record: RolloutRecord, actor: str, now: float) -> RolloutSummary:
    """What a list shows of a rollout."""
    counts: dict[HostState, int] = {}
    for host in record.hosts.values():
        counts[host.state] = counts.get(host.state, 0) + 1
    return RolloutSummary(
        id=record.id,
        deploy=record.deploy,
        who=record.who,
        actor=actor,
        state=record.state,
        started=record.started,
        finished=record.finished,
        received=now,
        message=record.message,
        waves=len(record.waves),
        hosts=counts,
    )
