"""What files home has on its host, and what of it is to be saved. Pure."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from deploys.rules.agent_files import lines

CONFIGURATION = "/etc/hostward/collector.toml"
CREDENTIALS = "/etc/hostward/collector-credentials"
DATA = "/var/lib/private/hostward-collector"
"""Where systemd has the folder of a service whose user it makes up."""
KEYS = ("ca.key", "ca.pem", "server.pem")
CHOICE = "database.toml"
"""In the same folder: which database of PostgreSQL's home has, where it has one, with the password."""
BACKUP_PASSWORD = "/etc/hostward/home-backup.password"  # noqa: S105  # nosec B105
BACKUP_FILES = (
    "/etc/hostward/agent.d/home-backup.toml",
    "/etc/systemd/system/hostward-*.d/home-backup.conf",
    BACKUP_PASSWORD,
)
"""What the backup of home has on the host; patterns of sh."""
SAVE = "/opt/hostward/current/bin/hostward-collector"
HEADER = "# Written by a deploy, which replaces what is changed here by hand.\n"


def document(tables: Mapping[str, Any]) -> str:
    """`collector.toml` with these tables. Raises TypeError for what TOML has no form for."""
    return HEADER + "".join(f"{line}\n" for line in lines(tables))


def drop_in(names: Mapping[str, object]) -> str:
    """The drop-in of home's unit that hands it credentials of these names."""
    return "[Service]\n" + "".join(f"LoadCredential={name}:{CREDENTIALS}/{name}\n" for name in sorted(names))


def wrong_address(url: str) -> str | None:
    """What is the matter with the address of a database, in which no password may be; home checks the rest."""
    try:
        parts = urlsplit(url)
        parts.port  # noqa: B018 - raises ValueError for what is no number, and not before it is asked for
    except ValueError:
        return "expected postgresql://ROLE@HOST/DATABASE, with a number after a colon of the host's"
    if parts.password is not None or "password=" in parts.query:
        return "expected the password beside the address, not in it"
    if parts.scheme not in ("postgresql", "postgres") or parts.path in ("", "/"):
        return "expected postgresql://ROLE@HOST/DATABASE"
    return None


def choice(url: str, password: str) -> str:
    """The file of this name. JSON's strings are TOML's too."""
    return f"url = {json.dumps(url)}\npassword = {json.dumps(password)}\n"


def backup_jobs(
    repository: str, table: Mapping[str, Any], writable: Sequence[str], *, server: bool
) -> dict[str, dict[str, Any]]:
    """Jobs of the agent, by name: the database as of one moment, while home writes to it; keys and configuration.

    Root's half runs them: home's folder is its service's alone. With `server` the database is not in that folder.
    """

    def shared(*, network: bool) -> dict[str, Any]:
        return {
            "repository": repository,
            "init": True,
            "password_file": BACKUP_PASSWORD,
            "retry_lock": "10m",
            "privileged": {
                # A database in use is read together with what lies beside it, which its reader has to write to.
                "capabilities": ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"],
                "network": network,
                "writable": [DATA, *writable],
            },
            **table,
        }

    elsewhere = not repository.startswith("/")
    kept = [*KEYS, CHOICE] if server else KEYS
    database: dict[str, Any] = (
        {"command": {"command": [SAVE, "database", "save", "-"], "filename": "/collector.db"}}
        if server
        else {"sqlite": {"paths": [f"{DATA}/collector.db"]}}
    )
    return {
        "home-database": {**shared(network=elsewhere or server), **database},
        "home-keys": {
            **shared(network=elsewhere),
            "paths": ["/etc/hostward", *(f"{DATA}/{name}" for name in kept)],
        },
    }
