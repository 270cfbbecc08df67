"""What files a host needs for its backup jobs. Pure.

Who runs a job has to read its secrets: root's half where the job or drill has a table `privileged`, else the agent's
user. A secret `credential:NAME` comes from the unit that runs it, and a drop-in of that unit says where it lies.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import msgspec

from kit.options.tree import key
from kit.options.words import literal

CREDENTIAL = "credential:"
CREDENTIALS = "/etc/hostward/credentials"
AGENT, ROOTS_HALF = "hostward-agent.service", "hostward-jobs@.service"
HEADER = "# Written by the deploy of backups, which replaces what is changed here by hand.\n"
Tables = Mapping[str, Mapping[str, Any]]


class SecretFile(msgspec.Struct, frozen=True):
    """Where a secret lies on the host."""

    path: str
    owner: str
    mode: int


def document(jobs: Tables, drills: Tables) -> str:
    """The file of `agent.d/` with these jobs and drills, by name. Raises TypeError for what TOML has no form for."""
    lines = [HEADER]
    for kind, tables in (("backups", jobs), ("drills", drills)):
        for name, table in tables.items():
            lines += [
                f"[{kind}.{key(name)}]",
                *(f"{key(option)} = {literal(value)}" for option, value in table.items()),
            ]
            lines.append("")
    return "\n".join(lines)


def secret_files(jobs: Tables, drills: Tables, secrets: Mapping[str, object]) -> dict[str, SecretFile]:
    """For each of the secrets, by what the tables call it, where it goes, and who may read it.

    A file is root's alone where only root's half needs it, else the agent's group reads it too. Raises ValueError for
    one that no table names, or that is neither a path nor `credential:NAME`.
    """
    found = {}
    for name in secrets:
        users = list(_users(name, jobs, drills))
        if not users:
            raise ValueError(f"no job has a file of secrets {name}")
        if name.startswith(CREDENTIAL):
            found[name] = SecretFile(f"{CREDENTIALS}/{_checked(name.removeprefix(CREDENTIAL))}", "root:root", 0o600)
        elif not name.startswith("/") or ".." in name.split("/"):
            raise ValueError(f"{name} is neither a whole path nor {CREDENTIAL}NAME")
        elif all(users):
            found[name] = SecretFile(name, "root:root", 0o600)
        else:
            found[name] = SecretFile(name, "root:hostward", 0o640)
    return found


def drop_ins(jobs: Tables, drills: Tables, secrets: Mapping[str, SecretFile]) -> dict[str, str]:
    """By unit, the text of the drop-in that gives it the credentials among the secrets; '' where it needs none."""
    lines: dict[str, list[str]] = {AGENT: [], ROOTS_HALF: []}
    for name, file in secrets.items():
        if name.startswith(CREDENTIAL):
            for unit in {ROOTS_HALF if privileged else AGENT for privileged in _users(name, jobs, drills)}:
                lines[unit].append(f"LoadCredential={name.removeprefix(CREDENTIAL)}:{file.path}\n")
    return {unit: f"{HEADER}[Service]\n{''.join(sorted(said))}" if said else "" for unit, said in lines.items()}


def are_privileged(jobs: Tables, drills: Tables) -> bool:
    """Whether root's half has something to do."""
    return any("privileged" in table for tables in (jobs, drills) for table in tables.values())


def _users(name: str, jobs: Tables, drills: Tables) -> Iterator[bool]:
    """For each job that names the secret, and each drill of such a job, whether root's half runs it."""
    for job, table in jobs.items():
        if name in secrets_of(table):
            yield "privileged" in table
            yield from ("privileged" in drill for drill in drills.values() if drill.get("backup") == job)


def secrets_of(value: object) -> Iterator[str]:
    """All that a table names as a file of secrets, at any depth."""
    if isinstance(value, Mapping):
        for option, inner in value.items():
            if option in ("password_file", "environment_file") and isinstance(inner, str):
                yield inner
            yield from secrets_of(inner)
    elif isinstance(value, (list, tuple)):
        for inner in value:
            yield from secrets_of(inner)


def _checked(name: str) -> str:
    if not name or not all(letter.isalnum() or letter in "-_." for letter in name) or name.startswith("."):
        raise ValueError(f"{CREDENTIAL}{name} is not the name of a credential")
    return name
