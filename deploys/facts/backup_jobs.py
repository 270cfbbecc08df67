"""The backup jobs and drills that a host is configured with."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote
from typing import Any

import msgspec
from pyinfra.api.facts import FactBase

_PROGRAM = """
import glob, json, socket, tomllib
found = {"jobs": {}, "drills": {}, "host": socket.gethostname()}
for path in ["/etc/hostward/agent.toml", *sorted(glob.glob("/etc/hostward/agent.d/*.toml"))]:
    try:
        with open(path, "rb") as file:
            tables = tomllib.load(file)
    except (OSError, ValueError):
        continue
    for kind, name in (("jobs", "backups"), ("drills", "drills")):
        for one, table in tables.get(name, {}).items():
            found[kind].setdefault(one, {}).update(table)
print(json.dumps(found, default=str))
"""


class Configured(msgspec.Struct, frozen=True):
    """Tables by name, as the files have them. What stands in no file is not there."""

    jobs: dict[str, dict[str, Any]] = {}
    drills: dict[str, dict[str, Any]] = {}
    host: str = ""
    """What snapshots call this host, where a job says nothing else."""


class BackupJobs(FactBase[Configured]):
    """Read by the agent's Python, as Debian's shell reads no TOML."""

    def command(self, prefix: str) -> str:
        """Look, and change nothing."""
        python = quote(f"{prefix}/current/bin/python")
        return f"test ! -x {python} || {python} -I -c {quote(_PROGRAM)}"

    @staticmethod
    def default() -> Configured:
        """None."""
        return Configured()

    def process(self, output: Iterable[str]) -> Configured:
        """Raises msgspec.DecodeError."""
        return msgspec.json.decode("\n".join(output), type=Configured)
