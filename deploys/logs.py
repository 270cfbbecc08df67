"""Let Hostward rotate a host's logs in logrotate's place, or logrotate again.

pyinfra INVENTORY deploys/logs.py
pyinfra INVENTORY deploys/logs.py --data logs.rotated_by=logrotate

Nothing is converted: configuration and state are logrotate's, whoever rotates. After a switch the logs are rotated
once, as the timer would; where that fails, or the state lost a log, the host is put back to who rotated before.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from shlex import quote
from typing import Annotated, Literal

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.facts.logrotate import DROP_IN, JOURNAL, LogRotation
from deploys.kit.alone import run_alone
from deploys.kit.notes import Phase, note
from deploys.kit.options import options
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.lease import held
from deploys.operations.run import TIMEOUT, run
from deploys.operations.write import write
from deploys.rules.logstate import lost, parse_state

CONFIGURATION = "/etc/logrotate.conf"
STATE = "/var/lib/logrotate/status"
TEMPLATE = Path(__file__).resolve().parent.parent / "systemd/logrotate.service.d/hostward.conf"
UNIT = "logrotate.service"
WATCHER = "hostward-logs.service"
Prefix = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._-]+)+$")]


class LogsOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `logs` of host data."""

    rotated_by: Literal["hostward", "logrotate"] = "hostward"
    """Who rotates what `/etc/logrotate.conf` names, each night."""
    watch: bool | None = None
    """Whether `hostward-logs.service` runs, which rotates by rules `[[logs]]` when due; None leaves it as it is."""
    prefix: Prefix = "/opt/hostward"
    """Where the agent is installed."""
    timeout: Annotated[int, msgspec.Meta(ge=1)] = 1800
    """Seconds that the rotation after a switch may take."""


@deploy("Rotation of logs")
def logs(given: LogsOptions | None = None) -> None:
    """Have the logs rotated by who is asked for. Changes nothing where that is so already."""
    wanted = given or options(here, "logs", LogsOptions)
    seen = here.get_fact(LogRotation, prefix=wanted.prefix)
    ours = wanted.rotated_by == "hostward"
    text = TEMPLATE.read_text().replace("/opt/hostward/", f"{wanted.prefix}/") if ours else None
    if (ours or wanted.watch) and not seen.agent:
        fail(reason=f"hostward is not installed in {wanted.prefix}", name="Look for the agent")
        return
    if ours and not seen.unit:
        fail(
            reason="there is no logrotate.service to switch: install logrotate first",
            name="Look for logrotate.service",
        )
        return
    if seen.drop_in != text:
        attempt(
            work=partial(_switch_alone, wanted=wanted, text=text, before=seen.drop_in),
            name=f"Have {wanted.rotated_by} rotate in logrotate.service",
        )
    if wanted.watch is not None and (seen.watching != wanted.watch or (seen.runs and not wanted.watch)):
        verb = "enable" if wanted.watch else "disable"
        attempt(work=partial(_watch, verb=verb), name=f"{verb.capitalize()} {WATCHER}")


def _switch_alone(host: Host, *, wanted: LogsOptions, text: str | None, before: str | None) -> None:
    with held(host, "logs", 3 * wanted.timeout + TIMEOUT):
        _switch(host, wanted=wanted, text=text, before=before)


def _switch(host: Host, *, wanted: LogsOptions, text: str | None, before: str | None) -> None:
    command = f"{wanted.prefix}/current/bin/hostward"
    note(host, Phase("looks at the configuration"))
    if text is not None:
        _can_be_read(host, command)
    else:
        # What a killed run of ours began, only ours can finish.
        run(
            host,
            f"test ! -e {JOURNAL} || {quote(command)} logrotate {CONFIGURATION}",
            failing="a rotation that was killed could not be finished",
            timeout=wanted.timeout,
        )
    known = parse_state(_state(host))
    note(host, Phase(f"switches to {wanted.rotated_by}"))
    _place(host, text)
    try:
        _rotates(host, command if text is not None else "logrotate", wanted.timeout)
        today = run(host, "date +%F", failing="the date is not known")
        if gone := lost(known, parse_state(_state(host)), today):
            raise StepError(f"{STATE} does not know any more when {gone[0]} was rotated", "broken")
    except StepError as error:
        _place(host, before)
        raise StepError(
            f"{error}; {'logrotate' if before is None else 'hostward'} rotates as before", "rolled_back"
        ) from None


def _can_be_read(host: Host, command: str) -> None:
    """Raises StepError where there is a mistake in the configuration."""
    run(
        host,
        f"said=$({quote(command)} logrotate --debug {CONFIGURATION} 2>&1) || "
        '{ printf "%s\\n" "$said" | grep -m 1 ^error: >&2; exit 1; }',
        failing=f"{CONFIGURATION} cannot be taken over as it is",
    )


def _place(host: Host, text: str | None) -> None:
    """Put the drop-in there, or remove it, and let systemd know."""
    if text is None:
        run(host, f"rm -f {DROP_IN}", failing=f"{DROP_IN} could not be removed")
    else:
        write(host, DROP_IN, text)
    run(host, "systemctl daemon-reload", failing="systemd could not read its units", outcome="broken")


def _rotates(host: Host, command: str, timeout: int) -> None:
    """Have the unit rotate once. Raises StepError where it runs something else, or fails."""
    note(host, Phase("rotates once"))
    started = run(host, f"systemctl show --property=ExecStart --value {UNIT}", failing=f"{UNIT} cannot be asked")
    if f"{command} " not in started:
        raise StepError(f"another drop-in has {UNIT} run something else", "broken")
    run(
        host,
        f"systemctl start {UNIT} || "
        f"{{ journalctl --unit {UNIT} --grep '^error' --lines 1 --output cat --no-pager >&2; exit 1; }}",
        failing=f"{UNIT} failed",
        timeout=timeout,
    )


def _state(host: Host) -> str:
    return run(host, f"test ! -e {STATE} || cat {STATE}", failing=f"{STATE} cannot be read")


def _watch(host: Host, *, verb: str) -> None:
    run(host, f"systemctl {verb} --now --quiet {WATCHER}", failing=f"{WATCHER} could not be {verb}d")


run_alone(globals(), logs)
