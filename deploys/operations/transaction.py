"""Steps that go on when the administrator's machine or the connection does not: each runs in a unit of its own.

What it does is a file on the host, and so is how it ended. A unit that was cut down, by a power cut say, leaves no
such file: so whoever looks knows that it is to be undone.
"""

from __future__ import annotations

import time
from typing import Literal

from pyinfra.api.host import Host

from deploys.facts.survey import FOLDER, UNIT
from deploys.operations.connection import LOST, reconnect
from deploys.operations.fail import StepError
from deploys.operations.run import ran
from deploys.operations.write import write

Step = Literal["install", "undo"]
_BACK = 120.0
"""Seconds for which a lost connection is tried again."""


def start(host: Host, step: Step, lines: str) -> None:
    """Have the host run `lines` of sh as `step`. Raises StepError where it cannot."""
    # That the shell is deaf to SIGTERM, and so all that it starts, lets a shutdown wait for the end.
    wrapped = (
        f"trap '' TERM\ncd {FOLDER} || exit 1\n(\n{lines}\n) >{step}.log 2>&1\n"
        f"echo $? >{step}.code.new\nsync {step}.code.new\nmv {step}.code.new {step}.code\nsync .\n"
    )
    write(host, f"{FOLDER}/{step}.sh", wrapped, mode=0o600)
    # That it took too long, as when the connection was lost, does not say that it was not started.
    said = ran(
        host,
        f"rm -f {FOLDER}/{step}.code; systemctl reset-failed {UNIT} 2>/dev/null; "
        f"systemd-run --quiet --collect --unit={UNIT} -p KillMode=mixed -p TimeoutStopSec=15min "
        f"/bin/sh {FOLDER}/{step}.sh",
    )
    if not said.ok:
        raise StepError(f"the package manager could not be started: {said.complaint}", "left_alone")


def wait(host: Host, step: Step, limit: float) -> int | None:
    """How `step` ended: its exit code, or None where it was cut down.

    Raises StepError (`broken`) where it still runs after `limit` seconds or the host is gone: then it goes on, and a
    rerun finds it.
    """
    end = time.monotonic() + limit
    asked = (
        f"while :; do case $(systemctl show --value -p ActiveState {UNIT}) in inactive | failed) break ;; esac; "
        f"sleep 0.3; done; cat {FOLDER}/{step}.code 2>/dev/null; true"
    )
    while True:
        try:
            said = ran(host, asked, timeout=max(1, int(end - time.monotonic())))
            return int(said.output) if said.output.strip() else None
        except LOST:
            if time.monotonic() >= end:
                break
            if not reconnect(host, _BACK):
                raise StepError(
                    "the connection was lost while packages were changed; the host goes on, and a rerun ends it",
                    "broken",
                ) from None
    raise StepError(f"the package manager still runs after {limit:.0f} s; it goes on, and a rerun ends it", "broken")


def complaint(host: Host, step: Step) -> str:
    """What says best why a step failed: dpkg names the package in one line, and the reason in the next."""
    log = f"{FOLDER}/{step}.log"
    said = ran(host, f"grep -m 1 -A 1 -E '^(E:|dpkg: error|Error)' {log} || tail -n 1 {log}")
    lines = [line.strip() for line in said.output.splitlines() if line.strip()]
    if len(lines) > 1 and not lines[0].endswith(":"):
        lines = lines[:1]
    return " ".join(lines) or "it did not say why"
