"""Which services did not come back. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import msgspec


class Service(msgspec.Struct, frozen=True):
    """A service as `systemctl show` has it."""

    active: str
    """`active`, `inactive`, `failed`, `activating`…"""
    sub: str
    """`running`, `exited`, `dead`, `auto-restart`…"""
    enabled: str = ""
    """How its unit file stands: `enabled`, `static`, `generated`…"""
    triggered: bool = False
    """Whether a timer, a socket or a path starts it: then it may well be at rest."""


def expected(services: Mapping[str, Service]) -> dict[str, bool]:
    """The services that run and do not end by themselves, and whether a boot starts each.

    What a timer, a socket or the bus has started may well be at rest the next time: units without a way to enable
    them are `static`.
    """
    return {
        name: service.enabled == "enabled"
        for name, service in sorted(services.items())
        if service.sub == "running" and not service.triggered and service.enabled in ("enabled", "disabled")
    }


def failed(services: Mapping[str, Service]) -> list[str]:
    """The names of those that failed, or that systemd goes on starting in vain."""
    return sorted(name for name, service in services.items() if _broken(service))


def missing(
    ran: Mapping[str, bool], failed_before: Iterable[str], now: Mapping[str, Service], *, rebooted: bool
) -> list[str]:
    """What is not as it should be, in words: `web.service is failed`.

    `ran` is what `expected` said before: all of it still runs, but after a reboot that alone which a boot starts. One
    that failed counts if it had not failed before.
    """
    before = set(failed_before)
    found = {name: service.active for name, service in now.items() if _broken(service) and name not in before}
    for name, enabled in ran.items():
        if enabled or not rebooted:
            service = now.get(name)
            if service is None or service.active == "inactive":
                found[name] = "inactive"
    return [f"{name} is {state}" for name, state in sorted(found.items())]


def _broken(service: Service) -> bool:
    return service.active == "failed" or service.sub == "auto-restart"
