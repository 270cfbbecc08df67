"""A change of home on its host, in a unit that goes on to its end whatever becomes of who asked for it."""

from __future__ import annotations

from shlex import quote

import msgspec
from pyinfra.api.host import Host

from deploys.facts.agent import Python
from deploys.facts.home import DATA, FOLDER
from deploys.kit.notes import Phase, note
from deploys.operations.change import Changes, judge, start
from deploys.operations.lease import held
from deploys.operations.release import PlannedFile
from deploys.operations.run import run

UNIT = "hostward-home-release.service"
MARGIN = 2 * 3600 + 600
"""Seconds for all that a change does beside waiting for home: a copy of its database, which is put back where it
fails, and the rest.
"""
_KIND = Changes(program="home", folder=FOLDER, unit=UNIT, what="home")


class Database(msgspec.Struct, frozen=True):
    """One of PostgreSQL's."""

    url: str
    password: str
    text: str
    """The file that says so."""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What deploys/onhost/home.py is to do."""

    prefix: str
    version: str
    """Which is in use afterwards."""
    previous: str | None
    """Which was in use before."""
    release: bool
    """Whether `current` is to lead elsewhere, or to the same version built anew."""
    built: bool
    """Whether it was built beside its place."""
    files: tuple[PlannedFile, ...]
    links: dict[str, str]
    accounts: str
    initialised: bool
    """Whether home has its folder and first administrator."""
    password: str | None = None
    """The first administrator's, where it is to be set."""
    names: tuple[str, ...] = ()
    """Those that the certificate lacks."""
    certificate: str | None = None
    """Key, certificate and chain, where they are given and not there yet."""
    database: Database | None = None
    """Where its database is, where that is to be written down anew, or home to be set up."""
    patience: float
    """Seconds in which home has to be ready."""


def bring(host: Host, plan: Plan | None, python: Python) -> None:
    """Have the host do what the plan says, after putting back what was cut down before; None is that alone.

    Raises StepError, with how it left the host.
    """
    limit = (plan.patience if plan else 0.0) + MARGIN
    with held(host, _KIND.what, limit):
        start(host, _KIND, python, plan)
        note(host, Phase("wait for home"))
        judge(host, _KIND, limit)


def fetch_token(host: Host, prefix: str, description: str, role: str) -> tuple[str, str]:
    """A new token of home's API, and home's ca.pem. Raises StepError."""
    command = f"{prefix}/current/bin/hostward-collector api-token create --role {role}"
    token = run(
        host,
        f"{command} --description {quote(description)}",
        failing="home makes no token for its API",
        outcome="broken",
    )
    ca = run(host, f"cat {DATA}/ca.pem", failing="home's ca.pem cannot be read", outcome="broken")
    return token.strip(), ca
