"""What files an agent's configuration is. Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from kit.options.tree import dotted, key
from kit.options.words import literal

CONFIGURATION = "/etc/hostward/agent.toml"
CREDENTIALS = "/etc/hostward/credentials"
HEADER = "# Written by a deploy, which replaces what is changed here by hand. A file in agent.d is merged over it.\n"
UNITS = ("hostward-agent.service", "hostward-jobs@.service")
"""Who gets credentials: the agent, and root's half, which hands on those that options name."""


def document(tables: Mapping[str, Any]) -> str:
    """`agent.toml` with these tables. Raises TypeError for what TOML has no form for."""
    return HEADER + "".join(f"{line}\n" for line in lines(tables))


def drop_in(names: Mapping[str, object]) -> str:
    """The drop-in of a unit that hands it credentials of these names."""
    return "[Service]\n" + "".join(f"LoadCredential={name}:{CREDENTIALS}/{name}\n" for name in sorted(names))


def lines(table: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[str]:
    """A table as TOML, and those in it, whose names begin with `path`. Raises TypeError."""
    tables = {name: value for name, value in table.items() if isinstance(value, Mapping)}
    plain = {name: value for name, value in table.items() if name not in tables}
    if path and (plain or not tables):
        yield f"\n[{dotted(path)}]"
    for name, value in plain.items():
        yield f"{key(name)} = {literal(value)}"
    for name, value in tables.items():
        yield from lines(value, (*path, name))
