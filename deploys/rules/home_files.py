"""What files home has on its host, and what of it is to be saved. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from deploys.rules.agent_files import lines

CONFIGURATION = "/etc/hostward/collector.toml"
CREDENTIALS = "/etc/hostward/collector-credentials"
DATA = "/var/lib/private/hostward-collector"
"""Where systemd has the folder of a service whose user it makes up."""
KEYS = ("ca.key", "ca.pem", "server.pem")
BACKUP_PASSWORD = "/etc/hostward/home-backup.password"  # noqa: S105  # nosec B105
HEADER = "# Written by a deploy, which replaces what is changed here by hand.\n"


def document(tables: Mapping[str, Any]) -> str:
    """`collector.toml` with these tables. Raises TypeError for what TOML has no form for."""
    return HEADER + "".join(f"{line}\n" for line in lines(tables))


def drop_in(names: Mapping[str, object]) -> str:
    """The drop-in of home's unit that hands it credentials of these names."""
    return "[Service]\n" + "".join(f"LoadCredential={name}:{CREDENTIALS}/{name}\n" for name in sorted(names))


def backup_jobs(repository: str, table: Mapping[str, Any], writable: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Jobs of the agent, by name: the database as of one moment, while home writes to it; keys and configuration.

    Root's half runs them: home's folder is its service's alone.
    """
    shared: dict[str, Any] = {
        "repository": repository,
        "init": True,
        "password_file": BACKUP_PASSWORD,
        "retry_lock": "10m",
        "privileged": {
            # A database in use is read together with what lies beside it, which its reader has to write to.
            "capabilities": ["CAP_DAC_OVERRIDE", "CAP_DAC_READ_SEARCH"],
            "network": not repository.startswith("/"),
            "writable": [DATA, *writable],
        },
        **table,
    }
    return {
        "home-database": {**shared, "sqlite": {"paths": [f"{DATA}/collector.db"]}},
        "home-keys": {**shared, "paths": ["/etc/hostward", *(f"{DATA}/{name}" for name in KEYS)]},
    }
