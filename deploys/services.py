"""Restart services in an order, host after host.

pyinfra INVENTORY deploys/services.py --data 'services.units=["postgresql.service", "shop.service"]'

A unit that was restarted has to be active, and what the agent checks of it ok, before the next one is put down, here
or on another host; when one fails nothing further is. It restarts each time that it is asked to.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from functools import partial
from shlex import join, quote
from typing import Annotated

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.kit.alone import run_alone
from deploys.kit.notes import Phase, note
from deploys.kit.options import options
from deploys.kit.permits import permit
from deploys.operations.fail import StepError, attempt
from deploys.operations.lease import held
from deploys.operations.run import TIMEOUT, ran, run
from deploys.operations.turns import turn
from deploys.rules.service_health import failing, stands
from wire.status import Status

PAUSE = 1.0
"""Seconds between two looks."""
Unit = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9:_.@\\-]+\.(service|socket|target|timer)$", max_length=255)]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._-]+)+$")]


class ServicesOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `services` of host data."""

    units: Annotated[tuple[Unit, ...], msgspec.Meta(min_length=1)]
    """In the order in which they are restarted."""
    checks: dict[Unit, tuple[str, ...]] = {}
    """By unit, the agent's checks that have to be ok after it, by their names there."""
    reload: bool = False
    """Whether they are reloaded, where they can be, and not restarted."""
    rolling: bool = True
    """Whether a unit is put down on one host at a time."""
    steady: Annotated[float, msgspec.Meta(ge=0)] = 3.0
    """Seconds for which a unit has to stay active without being started anew."""
    timeout: Annotated[float, msgspec.Meta(gt=0)] = 120.0
    """Seconds until a unit is active, and again until its checks are ok."""
    prefix: Prefix = "/opt/hostward"
    """Where the agent is installed."""


@deploy("Services")
def services(given: ServicesOptions | None = None) -> None:
    """Restart them."""
    wanted = given or options(here, "services", ServicesOptions)
    for unit in wanted.units:
        verb = "Reload" if wanted.reload else "Restart"
        attempt(work=partial(_restart, unit=unit, wanted=wanted), name=f"{verb} {unit}")


def _restart(host: Host, *, unit: str, wanted: ServicesOptions) -> None:
    # While leave is waited for, the host's time does not run; while a turn is, it does.
    leave = permit(host, f"service {unit}") if wanted.rolling else nullcontext(lambda: True)
    with (
        leave as holds,
        turn(host, unit, at_once=not wanted.rolling),
        held(host, "services", 2 * wanted.timeout + TIMEOUT),
    ):
        known = run(
            host, f"systemctl show --property=LoadState --value {quote(unit)}", failing=f"{unit} is not known"
        )
        if known.strip() != "loaded":
            raise StepError(f"{unit} is {known.strip() or 'unknown'} here", "left_alone")
        verb = "reload-or-restart" if wanted.reload else "restart"
        note(host, Phase(f"{verb} {unit}"))
        since = float(run(host, "date +%s.%N", failing="the time is not known"))
        if not holds():
            raise StepError(f"leave to {verb} {unit} was lost before it began", "left_alone")
        run(
            host,
            f"systemctl {verb} {quote(unit)}",
            failing=f"{unit} did not start again",
            outcome="broken",
            timeout=int(wanted.timeout) + 1,
        )
        _is_active(host, unit, wanted)
        if names := wanted.checks.get(unit):
            _is_well(host, unit, names, since, wanted)


def _is_active(host: Host, unit: str, wanted: ServicesOptions) -> None:
    """Wait until it stays active: one that ends at once was active for a moment too."""
    note(host, Phase(f"waits for {unit}"))
    end = time.monotonic() + wanted.timeout
    first: str | None = None
    since = time.monotonic()
    while True:
        said = run(
            host,
            f"systemctl show --property=ActiveState --property=SubState --property=NRestarts {quote(unit)}",
            failing=f"{unit} cannot be asked",
            outcome="broken",
        )
        state = stands(said)
        if state == "failed":
            raise StepError(f"{unit} did not stay up: it failed", "broken")
        if state != "active" or said != first:
            first, since = said, time.monotonic()
        elif time.monotonic() - since >= wanted.steady:
            return
        if time.monotonic() > end:
            raise StepError(f"{unit} was not active for {wanted.steady:g} s within {wanted.timeout:g} s", "broken")
        time.sleep(min(PAUSE, wanted.steady) or 0.1)


def _is_well(host: Host, unit: str, names: tuple[str, ...], since: float, wanted: ServicesOptions) -> None:
    """Wait until the agent has seen it, after it was restarted, and found nothing."""
    note(host, Phase(f"waits for the checks of {unit}"))
    end = time.monotonic() + wanted.timeout
    while True:
        said = ran(host, join([f"{wanted.prefix}/current/bin/hostward", "status", "--json"]))
        try:
            bad = failing(msgspec.json.decode(said.output, type=Status), names, since)
        except msgspec.DecodeError:
            raise StepError(f"the agent cannot be asked of {unit}: {said.complaint}", "broken") from None
        if not bad:
            return
        if time.monotonic() > end:
            raise StepError(f"{unit} is active, but {bad}", "broken")
        time.sleep(PAUSE)


run_alone(globals(), services)
