"""Asks a host for facts in a way that also works while an operation is executed: what fails is a StepError."""

from __future__ import annotations

from pyinfra.api.host import Host

from deploys.facts.services import SERVICES, STALE, Stale, parse_services, parse_stale
from deploys.facts.survey import SCRIPT, Survey
from deploys.facts.survey import parse as parse_survey
from deploys.operations.fail import StepError
from deploys.operations.packages.contract import Manager
from deploys.operations.run import run
from deploys.rules.services import Service


def survey(host: Host) -> Survey:
    """How the host stands. Raises StepError."""
    try:
        return parse_survey(run(host, SCRIPT, failing="the host cannot be asked", outcome="broken"))
    except ValueError as error:
        raise StepError(f"the host's answer cannot be read: {error}", "broken") from None


def services(host: Host) -> dict[str, Service]:
    """All that systemd has loaded. Raises StepError."""
    return parse_services(run(host, SERVICES, failing="systemd cannot be asked", outcome="broken").splitlines())


def stale(host: Host) -> Stale:
    """What runs what was replaced. Raises StepError."""
    return parse_stale(run(host, STALE, failing="processes cannot be looked at", outcome="broken").splitlines())


def versions(host: Host, manager: Manager, names: list[str]) -> dict[str, str | None]:
    """Of the packages that are wholly installed. Raises StepError."""
    said = run(host, manager.versions(names), failing="the installed versions cannot be read", outcome="broken")
    found = manager.parse_versions(said)
    return {name: found.get(name) for name in names}
