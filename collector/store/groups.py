"""Queries about what administrators say of hosts: groups and tags."""

from __future__ import annotations

from dataclasses import dataclass, field

import msgspec
from sqlalchemy import Connection, select

from collector.store.database import upsert, write_rows
from collector.store.tables import host_groups

_encode = msgspec.json.Encoder().encode
_groups = msgspec.json.Decoder(list[str]).decode
_tags = msgspec.json.Decoder(dict[str, str]).decode


@dataclass(frozen=True, slots=True)
class Labels:
    """Of one host."""

    groups: list[str] = field(default_factory=list)
    tags: dict[str, str] = field(default_factory=dict)


def save(connection: Connection, host: str, labels: Labels) -> None:
    """Take the place of what was said before."""
    row = {"host_id": host, "groups": _encode(labels.groups).decode(), "tags": _encode(labels.tags).decode()}
    write_rows(connection, upsert(connection, host_groups, ("host_id",), ("groups", "tags")), [row])


def every(connection: Connection) -> dict[str, Labels]:
    """Of all hosts of which something is said, by id."""
    rows = connection.execute(select(host_groups))
    return {row.host_id: Labels(_groups(row.groups), _tags(row.tags)) for row in rows}


def of_host(connection: Connection, host: str) -> Labels:
    """Of one host."""
    row = connection.execute(select(host_groups).where(host_groups.c.host_id == host)).first()
    return Labels() if row is None else Labels(_groups(row.groups), _tags(row.tags))
