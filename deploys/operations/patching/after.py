"""After the change: services are renewed, the host is rebooted where that is needed, and soaks."""

from __future__ import annotations

import shlex
import time
from collections.abc import Mapping

from pyinfra.api.host import Host

from deploys.facts.survey import Survey
from deploys.kit.notes import Phase, note
from deploys.operations.lease import take
from deploys.operations.patching import asking
from deploys.operations.patching.before import MOMENT
from deploys.operations.patching.options import PatchOptions
from deploys.operations.patching.record import Record
from deploys.operations.reboot import reboot
from deploys.operations.run import ran
from deploys.rules.restart_order import plan
from deploys.rules.services import Service, missing
from deploys.rules.soak import unseen, worse


def renew(host: Host, given: PatchOptions, record: Record) -> str | None:
    """Restart what runs what was replaced, and reboot if only that helps and it may be.

    Returns why a service did not take its restart, in one sentence, or None.
    """
    found = asking.stale(host)
    restarts = plan(found.units, given.restart.order, given.restart.kept)
    for unit in restarts.restart:
        note(host, Phase(f"restarts {unit}"))
        try:
            said = ran(host, f"systemctl restart {shlex.quote(unit)}", timeout=int(given.restart.limit) + 1)
        except TimeoutError:
            return f"{unit} did not come back from its restart within {given.restart.limit:.0f} s"
        if not said.ok:
            return f"{unit} did not come back from its restart"
    if restarts.left:
        host.log(f"runs what was replaced, and is kept as it is: {', '.join(restarts.left)}")
    why = [*restarts.reboot, *(["a package or a new kernel asks for it"] if found.reboot else [])]
    if why and not given.reboot:
        host.log(f"a reboot is needed, and not allowed here ({', '.join(why)})")
    elif why:
        take(host, record.who, given.reboot_limit + MOMENT)
        reboot(host, given.reboot_limit)
        take(host, record.who, MOMENT)
    return None


def soak(host: Host, given: PatchOptions, record: Record) -> str | None:
    """Look as often as the options say, and return what stays worse than before, in words, or None."""
    wanted = given.soak
    take(host, record.who, wanted.limit + wanted.samples * wanted.every + MOMENT)
    end = time.monotonic() + wanted.limit
    good = 0
    since = None
    while True:
        services = asking.services(host)
        survey = asking.survey(host)
        problems = _problems(survey, given, record, services)
        waits: list[str] = []
        if survey.status is not None and time.monotonic() < end:
            since = survey.status.time if since is None else since
            waits = unseen(survey.status.checks, since, wanted.limit, given.ignore_checks)
        good = 0 if problems else good + 1
        if good:
            note(host, Phase(f"soak {min(good, wanted.samples)} of {wanted.samples}"))
        # A result of before the change says nothing of it.
        if good >= wanted.samples and not waits:
            return None
        # What systemd has given up does not come back by itself.
        lost = any(services[name].active == "failed" for name in record.ran if name in services)
        if problems and (lost or time.monotonic() >= end):
            return "; ".join(problems)
        time.sleep(wanted.every)


def _problems(survey: Survey, given: PatchOptions, record: Record, services: Mapping[str, Service]) -> list[str]:
    rebooted = survey.boot != record.boot
    found = missing(record.ran, record.failed, services, rebooted=rebooted)
    if record.checks is not None:
        status = survey.status
        if status is None or not status.agent.running:
            found.append("the agent does not run")
        else:
            found += worse(record.checks, status.states, given.ignore_checks)
            found += [status.problem] if status.problem and not record.problem else []
    return found
