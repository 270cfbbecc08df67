"""A change of home on its host, in a unit that goes on to its end whatever becomes of who asked for it."""

from __future__ import annotations

from shlex import quote

import msgspec
from pyinfra.api.host import Host

from deploys.facts.agent import Python
from deploys.facts.home import DATA, FOLDER
from deploys.kit.notes import Outcome, Phase, note
from deploys.kit.source import CHECKOUT
from deploys.operations.fail import StepError
from deploys.operations.release import PlannedFile
from deploys.operations.run import ran, run
from deploys.operations.write import write

UNIT = "hostward-home-release.service"
MARGIN = 600
"""Seconds for all that a change does beside waiting for home."""
PROGRAM = (
    "deploys/__init__.py",
    "deploys/onhost/__init__.py",
    "deploys/onhost/home.py",
    "deploys/onhost/course.py",
    "deploys/onhost/parts.py",
)


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
    patience: float
    """Seconds in which home has to be ready."""


class _Result(msgspec.Struct):
    ok: bool
    reason: str
    outcome: Outcome | str


def bring(host: Host, plan: Plan | None, python: Python) -> None:
    """Have the host do what the plan says, after putting back what was cut down before; None is that alone.

    Raises StepError, with how it left the host.
    """
    run(host, f"umask 077; mkdir -p {FOLDER}; rm -f {FOLDER}/result.json", failing=f"{FOLDER} cannot be made")
    for name in PROGRAM:
        write(host, f"{FOLDER}/program/{name}", (CHECKOUT / name).read_text())
    if plan is None:
        run(host, f"rm -f {FOLDER}/plan.json", failing=f"{FOLDER} cannot be used")
    else:
        write(host, f"{FOLDER}/plan.json", msgspec.json.encode(plan).decode(), mode=0o600)
    run(
        host,
        # One that goes on, of a connection that was lost, is waited for: there is one at a time.
        f"while systemctl is-active --quiet {UNIT}; do sleep 0.5; done; systemctl reset-failed {UNIT} 2>/dev/null; "
        f"systemd-run --quiet --collect --unit={UNIT} -p WorkingDirectory={FOLDER}/program -p TimeoutStopSec=5min "
        f"-- {quote(python.path)} -B -m deploys.onhost.home {FOLDER}",
        failing="the change could not be started",
    )
    note(host, Phase("wait for home"))
    said = ran(
        host,
        f"while [ ! -e {FOLDER}/result.json ] && systemctl is-active --quiet {UNIT}; do sleep 0.2; done; "
        f"cat {FOLDER}/result.json 2>/dev/null",
        timeout=int(plan.patience if plan else 0) + MARGIN,
    )
    try:
        result = msgspec.json.decode(said.output, type=_Result)
    except msgspec.DecodeError:
        raise StepError("the change was cut down; a rerun puts back what it left", "broken") from None
    if not result.ok:
        outcomes: dict[str, Outcome] = {"left_alone": "left_alone", "rolled_back": "rolled_back"}
        raise StepError(result.reason, outcomes.get(result.outcome, "broken"))


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
