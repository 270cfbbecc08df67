"""Home's hosts as groups of pyinfra's, for `inventory/collector.py`.

Each name of a group is one that Python takes for a variable, as pyinfra has it: letters, digits and underscores.

| group | its hosts |
| --- | --- |
| `web` | home has them in the group `web` |
| `tag_KEY_VALUE` | home has the tag for them |
| `debian`, `debian_12`, `ubuntu_24_04` | run this system |
| `state_ok`, `state_warning`, `state_critical`, `state_unknown`, `state_down`, `state_pending` | are so at home |
| `pending_updates`, `pending_security` | wait for updates, or for such as are for security |
| `debian_12_pending_security` | both: of each system with each of these two |
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import msgspec
from pyinfra import logger
from pyinfra.api.exceptions import PyinfraError

from kit.errors import HostwardError
from kit.homefile import PLACE, VARIABLE, home_file, open_home

ADDRESS = "address"
"""The tag that says where a host is reached, where that is not its name."""
ZONE = "zone"
"""The tag that says which hosts may fail together; a rollout may go zone by zone."""
CONNECTOR = "@"
"""What pyinfra takes a name that begins so for: `@local` is the machine on which it runs."""
_SYSTEM = re.compile(r"(?P<name>.*?)(?:\s+(?:GNU/)?Linux)?\s+(?P<major>\d+)(?:\.(?P<minor>\d+))?")
"""PRETTY_NAME of os-release(5): `Debian GNU/Linux 12 (bookworm)`, `Ubuntu 24.04.1 LTS`, `Rocky Linux 9.4 (…)`."""

Groups = dict[str, list[tuple[str, dict[str, Any]]]]


class FleetError(PyinfraError):
    """Home cannot tell its hosts; says why."""


class Updates(msgspec.Struct, frozen=True):
    """What waits on a host."""

    pending: int = 0
    security: int = 0


class Row(msgspec.Struct, frozen=True):
    """What is used of a host in the answer to `/api/v1/hosts`."""

    name: str
    state: str
    facts: dict[str, str] = {}
    groups: list[str] = []
    tags: dict[str, str] = {}
    updates: Updates | None = None


class Rows(msgspec.Struct, frozen=True):
    """The answer."""

    hosts: list[Row]


def groups() -> Groups:
    """Ask home. Raises FleetError."""
    file = home_file()
    if file is None:
        raise FleetError(f"which home to ask is not known: write {PLACE}, or name such a file in {VARIABLE}")
    try:
        home = open_home(file)
        try:
            rows = home.get("/api/v1/hosts", Rows).hosts
        finally:
            home.close()
    except HostwardError as error:
        raise FleetError(str(error)) from None
    if named := [row.name for row in rows if row.name.startswith(CONNECTOR)]:
        logger.warning("left out, which pyinfra takes for other machines: %s", ", ".join(named))
    return grouped(rows)


def grouped(rows: Sequence[Row]) -> Groups:
    """Hosts by group, with the data that reaching them needs; `all` has each of them.

    But for those that pyinfra would take for a connector: a host tells its name itself when it is enrolled, and must
    not make somebody run what is meant for it on a machine of its choice.
    """
    rows = [row for row in rows if not row.name.startswith(CONNECTOR)]
    found: Groups = {"all": []}
    for row in rows:
        data: dict[str, Any] = {"hostward_name": row.name, "hostward_state": row.state}
        if address := row.tags.get(ADDRESS):
            data["ssh_hostname"] = address
        if zone := row.tags.get(ZONE):
            data["zone"] = zone
        found["all"].append((row.name, data))
    # A host's first group is what waves go by: one of home's, where it has one.
    for groups_of in (_own, _derived):
        for row in rows:
            for group in sorted(groups_of(row) - {"all"}):
                found.setdefault(group, []).append((row.name, {}))
    return found


def _own(row: Row) -> set[str]:
    return {_word(group) for group in row.groups}


def _derived(row: Row) -> set[str]:
    own = {_word(f"tag_{key}_{value}") for key, value in row.tags.items()}
    own.add(f"state_{row.state}")
    systems = systems_of(row.facts.get("os", ""))
    waiting = set()
    if row.updates is not None and row.updates.pending:
        waiting.add("pending_updates")
    if row.updates is not None and row.updates.security:
        waiting.add("pending_security")
    both = {f"{system}_{what}" for system in systems for what in waiting}
    return (own | systems | waiting | both) - _own(row)


def systems_of(pretty: str) -> set[str]:
    """What a system is called, without and with its version. Ubuntu's releases have two numbers, others' one."""
    match = _SYSTEM.match(pretty)
    if match is None:
        return {_word(pretty)} if pretty else set()
    name = _word(match["name"])
    version = match["major"] + (f"_{match['minor']}" if name == "ubuntu" and match["minor"] else "")
    return {name, f"{name}_{version}"}


def _word(text: str) -> str:
    """A name as pyinfra takes it: one that begins with an underscore or a digit is none."""
    word = re.sub(r"[^a-z0-9]+", "_", text.lower()).strip("_")
    return word if word[:1].isalpha() else f"group_{word}"
