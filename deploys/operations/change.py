"""A change on its host, in a unit that goes on to its end whatever becomes of who asked for it.

The program is one of deploys/onhost; the plan and what became of it are files in a folder on the host.
"""

from __future__ import annotations

import time
from shlex import quote

import msgspec
from pyinfra.api.host import Host

from deploys.facts.agent import Python
from deploys.kit.notes import Outcome
from deploys.kit.source import CHECKOUT
from deploys.operations.connection import LOST, reconnect
from deploys.operations.fail import StepError
from deploys.operations.run import ran, run
from deploys.operations.write import write


class Changes(msgspec.Struct, frozen=True, kw_only=True):
    """One kind of change."""

    program: str
    """Its module in deploys/onhost."""
    folder: str
    unit: str
    what: str
    """What whoever is held off is told."""


class _Result(msgspec.Struct):
    ok: bool
    reason: str
    outcome: Outcome | str


def start(host: Host, kind: Changes, python: Python, plan: msgspec.Struct | None) -> None:
    """Begin what the plan says, after putting back what was cut down before; None is that alone.

    Raises StepError (`left_alone`).
    """
    folder, unit = kind.folder, kind.unit
    run(
        host,
        f"umask 077; mkdir -p {folder}; rm -f {folder}/result.json {folder}/plan.json",
        failing=f"{folder} cannot be used",
    )
    if plan is not None:
        write(host, f"{folder}/plan.json", msgspec.json.encode(plan).decode(), mode=0o600)
    for name in ("__init__", "onhost/__init__", "onhost/course", "onhost/parts", f"onhost/{kind.program}"):
        file = f"deploys/{name}.py"
        write(host, f"{folder}/program/{file}", (CHECKOUT / file).read_text())
    said = ran(
        host,
        # One that goes on, of a connection that was lost, is waited for: there is one at a time.
        f"while systemctl is-active --quiet {unit}; do sleep 0.5; done; systemctl reset-failed {unit} 2>/dev/null; "
        f"systemd-run --quiet --collect --unit={unit} -p WorkingDirectory={folder}/program -p TimeoutStopSec=5min "
        f"-- {quote(python.path)} -B -m deploys.onhost.{kind.program} {folder}",
    )
    if not said.ok:
        raise StepError(f"the change could not be started: {said.complaint}", "left_alone")


def judge(host: Host, kind: Changes, limit: float) -> None:
    """Wait for the end, over connections that are lost. Raises StepError, with how the change left the host."""
    end = time.monotonic() + limit
    script = (
        f"while [ ! -e {kind.folder}/result.json ] && systemctl is-active --quiet {kind.unit}; do sleep 0.2; done; "
        f"cat {kind.folder}/result.json 2>/dev/null"
    )
    while True:
        try:
            said = ran(host, script, timeout=max(1, int(end - time.monotonic())))
            break
        except LOST:
            if time.monotonic() >= end or not reconnect(host, end - time.monotonic()):
                raise StepError(
                    "the connection was lost while the change went on; it ends by itself, and a rerun tells how",
                    "broken",
                ) from None
    try:
        result = msgspec.json.decode(said.output, type=_Result)
    except msgspec.DecodeError:
        raise StepError("the change was cut down; a rerun puts back what it left", "broken") from None
    if not result.ok:
        outcomes: dict[str, Outcome] = {"left_alone": "left_alone", "rolled_back": "rolled_back"}
        raise StepError(result.reason, outcomes.get(result.outcome, "broken"))
