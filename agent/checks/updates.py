"""Updates: packages that have newer versions, how long those for security wait, and what runs that is old already."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Annotated, Literal

import msgspec

from agent.checks.contract import (
    CheckError,
    CheckOptions,
    Command,
    CommandCheck,
    Context,
    Every,
    Finding,
    Finished,
    Measurement,
    Rule,
    Sample,
    Threshold,
    remembered,
)
from agent.checks.packages import (
    EXIT,
    PackagesError,
    Pending,
    UpdatesMemory,
    deleted_libraries,
    parse_apt,
    parse_dnf,
    parse_held,
    since,
    unit_of,
)
from agent.paths import System
from kit import apt
from kit.kernels import newer_kernel
from kit.units import Duration, format_duration

DAY = 86400
APT = f"{apt.asking('dist-upgrade')}\nexit $code"
_DNF = "dnf -q --cacheonly --setopt=cachedir=/var/cache/dnf"
# Whoever is not root has a cache of their own, which is empty: so the system's is named.
DNF = (
    f"{_DNF} check-update 2>&1; printf '\\n{EXIT}%s\\n' $?; "
    f"{_DNF} updateinfo list --updates --security 2>&1; printf '\\n{EXIT}%s\\n' $?"
)
REBOOT = ("run", "reboot-required")
"""What Debian's and Ubuntu's packages write when only a reboot brings them to bear; beside it, `.pkgs` names them."""
NAMED = 5
"""How many packages or services a message names."""


class UpdatesOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Updates of packages, and what they wait for."""

    every: Every = Duration(6 * 3600)
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long one run may take before it is stopped and the check is unknown.",
            examples=["5m"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(120)
    manager: Annotated[
        Literal["auto", "apt", "dnf"],
        msgspec.Meta(description="The package manager to ask; auto for the host's own.", examples=["dnf"]),
    ] = "auto"
    security_age: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds for which the oldest security update has been waiting."),
    ] = Threshold(warning=3 * DAY, critical=14 * DAY)
    pending: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of updates.", examples=[{"warning": 100}])
    ] = Threshold()
    security: Annotated[
        Threshold, msgspec.Meta(description="Bounds of the number of security updates.", examples=[{"warning": 1}])
    ] = Threshold()
    lists_age: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds since the host last asked what updates there are."),
    ] = Threshold(warning=7 * DAY)
    reboot_after: Annotated[
        Duration,
        msgspec.Meta(description="How long a reboot may be waited for before that is a warning.", examples=["7d"]),
    ] = Duration(DAY)
    ignore: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Services that may go on running what was replaced (* and ? as in file names).",
            examples=[["user@*.service"]],
        ),
    ] = ()


@dataclass(frozen=True, slots=True)
class Host:
    """What files say. Times are in seconds since the epoch."""

    held: Sequence[str] = ()
    lists: float | None = None
    """When the host last asked what updates there are; None where it has no list of any."""
    reboot_for: str = ""
    """Why a reboot is needed; empty where it is not."""
    services: Sequence[str] | None = None
    """Those that run what was replaced; None where one may not look."""


class Updates(CommandCheck[UpdatesOptions]):
    """Updates of packages."""

    Options = UpdatesOptions
    lasting = True

    @classmethod
    def default(cls, system: System) -> UpdatesOptions | None:
        """Where there is a package manager, and it has been asked for updates before."""
        manager = _manager(system)
        return UpdatesOptions() if manager and _asked(system, manager) is not None else None

    def rules(self) -> list[Rule]:
        """How many, and for how long."""
        options = self.options
        return [
            Rule("updates_security_age_seconds", options.security_age, "security updates have been waiting {value}"),
            Rule("updates_pending", options.pending, "{value} updates"),
            Rule("updates_security", options.security, "{value} security updates"),
            Rule("updates_lists_age_seconds", options.lists_age, "nobody has looked for updates for {value}"),
        ]

    def command(self, context: Context) -> Command:
        """Ask the package manager, which takes no lock for it and fetches nothing."""
        if self.manager(context.system) == "apt":
            return Command(["sh", "-c", APT])
        return Command(["sh", "-c", DNF])

    def manager(self, system: System) -> Literal["apt", "dnf"]:
        """Which package manager is the host's. Raises CheckError where there is none."""
        found = _manager(system) if self.options.manager == "auto" else self.options.manager
        if found is None:
            raise CheckError("this host has neither apt nor dnf")
        return found

    def parse(self, context: Context, finished: Finished) -> Sample:
        """What it said, together with what files say."""
        manager = self.manager(context.system)
        try:
            if manager == "apt":
                if finished.exit_code != 0:
                    lines = f"{finished.error}\n{finished.output}".splitlines()
                    raise PackagesError(next((line for line in lines if line.startswith("E:")), "it did not say why"))
                pending = parse_apt(finished.output)
            else:
                pending = parse_dnf(finished.output)
        except PackagesError as error:
            raise CheckError(f"{manager} failed: {error}") from None
        before = remembered(context.previous, UpdatesMemory)
        sample = derive(self.options, pending, look(context.system, manager), before, context.now)
        if not finished.truncated:
            return sample
        more = Finding("warning", f"{manager} printed more than can be read: there are more updates than are counted")
        return Sample(sample.measurements, [*sample.findings, more], sample.summary, sample.memory)


def derive(options: UpdatesOptions, pending: Pending, host: Host, before: UpdatesMemory, now: float) -> Sample:
    """Readings, and in words what they are about."""
    security = since(before.security, pending.security, now)
    seen = since({name: at for name, (_, at) in before.pending.items()}, pending.names, now)
    waiting = {name: (pending.names[name], at) for name, at in seen.items()}
    reboot = None
    if host.reboot_for:
        reboot = now if before.reboot is None else min(before.reboot, now)
    measurements = [
        Measurement("updates_pending", len(pending.names)),
        Measurement("updates_security", len(pending.security)),
        Measurement("updates_security_age_seconds", now - min(security.values(), default=now), "seconds"),
        Measurement("updates_held", len(host.held)),
        Measurement("updates_reboot_required", float(reboot is not None)),
        Measurement("updates_reboot_age_seconds", 0.0 if reboot is None else now - reboot, "seconds"),
    ]
    findings = []
    if host.lists is None:
        findings.append(Finding("unknown", "the host has no lists of what updates there are"))
    else:
        measurements.append(Measurement("updates_lists_age_seconds", max(0.0, now - host.lists), "seconds"))
    if reboot is not None and now - reboot >= options.reboot_after:
        waited = f" for {format_duration(now - reboot)}" if now > reboot else ""
        findings.append(Finding("warning", f"a reboot has been required{waited}: {host.reboot_for}"))
    if host.services is not None:
        services = [name for name in host.services if not any(fnmatchcase(name, p) for p in options.ignore)]
        measurements.append(Measurement("updates_services_to_restart", len(services)))
        if services:
            findings.append(Finding("warning", f"run what was replaced, and need a restart: {_few(services)}"))
    words = [f"{len(pending.names)} updates"]
    if security:
        words.append(f"{len(security)} of them for security: {_few(list(security))}")
    if host.held:
        words.append(f"held: {_few(host.held)}")
    if reboot is not None:
        words.append(f"reboot required: {host.reboot_for}")
    return Sample(measurements, findings, ", ".join(words), UpdatesMemory(security, reboot, waiting))


def look(system: System, manager: Literal["apt", "dnf"]) -> Host:
    """What files say of this host."""
    held: list[str] = []
    with suppress(OSError):
        held = _held(system) if manager == "apt" else _versionlocked(system)
    return Host(held, _asked(system, manager), reboot_reason(system), services_to_restart(system))


def _asked(system: System, manager: Literal["apt", "dnf"]) -> float | None:
    """When the host last asked what updates there are; None where it has no lists of any."""
    if manager == "apt":
        # A list has its server's time; the folder for those under way has that of the last update.
        folder = system.path("var/lib/apt/lists")
        stamps = [folder, folder / "partial", system.path("var/lib/apt/periodic/update-success-stamp")]
        known = any(folder.glob("*Packages*"))
    else:
        stamps = list(system.path("var/cache/dnf").glob("*/repodata"))
        known = bool(stamps)
    times = []
    for stamp in stamps if known else ():
        with suppress(OSError):
            times.append(stamp.stat().st_mtime)
    return max(times, default=None)


def _held(system: System) -> list[str]:
    """What `apt-mark hold` keeps from being updated."""
    with system.path("var/lib/dpkg/status").open(encoding="utf-8", errors="replace") as file:
        return parse_held(file)


def reboot_reason(system: System) -> str:
    """Why the host must be rebooted: what packages wrote, or a kernel newer than the one running; or nothing."""
    if system.path(*REBOOT).exists():
        names: list[str] = []
        with suppress(OSError):
            names = sorted(set(system.path("run", "reboot-required.pkgs").read_text(errors="replace").split()))
        return f"for {_few(names)}" if names else "a package asks for it"
    try:
        running = system.path("proc/sys/kernel/osrelease").read_text().strip()
    except OSError:
        return ""
    images = [path.name.removeprefix("vmlinuz-") for path in system.path("boot").glob("vmlinuz-*")]
    newer = newer_kernel(running, images)
    return f"{running} runs, {newer} is installed" if newer else ""


def services_to_restart(system: System) -> list[str] | None:
    """The services that still run programs or libraries that were replaced; None where not all may be looked at."""
    found = set()
    for pid in _pids(system):
        try:
            maps = system.path("proc", pid, "maps").read_text(errors="replace")
        except (FileNotFoundError, ProcessLookupError):
            continue
        except PermissionError:
            return None
        if deleted_libraries(maps):
            with suppress(OSError):
                if unit := unit_of(system.path("proc", pid, "cgroup").read_text(errors="replace")):
                    found.add(unit)
    return sorted(found)


def _pids(system: System) -> Iterator[str]:
    """From the first on, which is root's: who may not look at that one may not look at others either."""
    names = [path.name for path in system.path("proc").iterdir() if path.name.isascii() and path.name.isdigit()]
    yield from sorted(names, key=int)


def _versionlocked(system: System) -> list[str]:
    """What dnf's plugin of that name keeps from being updated."""
    text = system.path("etc/dnf/plugins/versionlock.list").read_text(errors="replace")
    return sorted(line for line in map(str.strip, text.splitlines()) if line and not line.startswith(("#", "!")))


def _manager(system: System) -> Literal["apt", "dnf"] | None:
    if _is_file(system.path("usr/bin/apt-get")) and _is_file(system.path("var/lib/dpkg/status")):
        return "apt"
    return "dnf" if _is_file(system.path("usr/bin/dnf")) else None


def _is_file(path: Path) -> bool:
    with suppress(OSError):
        return path.is_file() and path.stat().st_size > 0
    return False


def _few(names: Sequence[str]) -> str:
    more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
    return ", ".join(names[:NAMED]) + more
