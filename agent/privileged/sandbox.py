"""From the table `privileged` to systemd's properties: a closed sandbox, opened by what the table names. Pure.

The meaning of each property is in systemd.exec(5) and systemd.resource-control(5).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType

import msgspec

from agent.privileged.options import Privileged
from agent.privileged.protocol import Kind

BACKSTOP = 10.0
"""Seconds after a run's own limit when systemd ends it: the run ends itself before, and says why."""
STOP_GRACE = 5
"""Seconds between SIGTERM and SIGKILL for whatever a run leaves behind in its cgroup."""

NO_CREDENTIALS: Mapping[str, Path] = MappingProxyType({})

_CLOSED = {
    "NoNewPrivileges": "yes",
    "ProtectSystem": "strict",
    "ProtectHome": "read-only",
    "PrivateTmp": "yes",
    "PrivateDevices": "yes",
    "PrivateNetwork": "yes",
    "PrivateIPC": "yes",
    "ProtectClock": "yes",
    "ProtectControlGroups": "yes",
    "ProtectHostname": "yes",
    "ProtectKernelLogs": "yes",
    "ProtectKernelModules": "yes",
    "ProtectKernelTunables": "yes",
    "RestrictNamespaces": "yes",
    "RestrictRealtime": "yes",
    "RestrictSUIDSGID": "yes",
    "LockPersonality": "yes",
    "KeyringMode": "private",
    "SystemCallArchitectures": "native",
    "SystemCallErrorNumber": "EPERM",
    "UMask": "0077",
}
_OPENS: dict[str, dict[str, str]] = {
    "CAP_FSETID": {"RestrictSUIDSGID": "no"},
    "CAP_MKNOD": {"PrivateDevices": "no"},
    "CAP_SYSLOG": {"ProtectKernelLogs": "no"},
    "CAP_SYS_ADMIN": {"RestrictNamespaces": "mnt"},
    "CAP_SYS_MODULE": {"ProtectKernelModules": "no"},
    "CAP_SYS_NICE": {"RestrictRealtime": "no"},
    "CAP_SYS_RAWIO": {"PrivateDevices": "no"},
    "CAP_SYS_TIME": {"ProtectClock": "no"},
}
"""What would take a capability away again, or make it useless."""
_SYSTEM_CALLS = {
    "CAP_SYS_ADMIN": "@mount",
    "CAP_SYS_BOOT": "@reboot",
    "CAP_SYS_CHROOT": "chroot",
    "CAP_SYS_MODULE": "@module",
    "CAP_SYS_PTRACE": "@debug",
    "CAP_SYS_RAWIO": "@raw-io",
    "CAP_SYS_TIME": "@clock",
}
"""System calls that a capability is for and that ordinary services have no use for."""

FOR_SNAPSHOTS: Mapping[str, str] = MappingProxyType(
    {
        # Which volume holds a path is seen by what is mounted where, so nothing is mounted over it.
        "ProtectSystem": "no",
        "ProtectHome": "no",
        "PrivateTmp": "no",
        "PrivateDevices": "no",
        # lvcreate waits for udev, which answers by a semaphore of the host's.
        "PrivateIPC": "no",
        # It would close all other devices.
        "ProtectClock": "no",
    }
)
"""Properties of a run that makes snapshots of file systems, with what `for_snapshots` adds to its table. It mounts,
and writes to devices: what can do that can do anything, so nothing is pretended."""
_SNAPSHOT_CAPABILITIES = (
    "CAP_DAC_OVERRIDE",
    "CAP_FOWNER",
    "CAP_IPC_LOCK",
    "CAP_MKNOD",
    "CAP_SYS_ADMIN",
    "CAP_SYS_NICE",
)
"""Of these the tools of LVM lock memory and raise their own priority, so that they do not wait for what they hold."""
_SNAPSHOT_DEVICES = ("block-*", "/dev/mapper/control", "/dev/zfs")
"""Volumes, and what LVM and ZFS are asked by."""


def unit_name(kind: Kind, name: str) -> str:
    """The transient unit of what runs. It is the same for each run: so one runs at a time."""
    # The one character of names that means something in a unit's; escaped as systemd-escape(1) does.
    return f"hostward-{kind}-{name.replace('@', chr(92) + 'x40')}.service"


def _with_implied(capabilities: Sequence[str]) -> Sequence[str]:
    """Who becomes another user must be able to end what it started as that; and could by becoming that user."""
    return tuple(dict.fromkeys((*capabilities, "CAP_KILL"))) if "CAP_SETUID" in capabilities else capabilities


def for_snapshots(options: Privileged) -> Privileged:
    """The table of a run that makes snapshots of file systems; all is writable to it."""
    capabilities = dict.fromkeys((*options.capabilities, *_SNAPSHOT_CAPABILITIES))
    devices = (*options.devices, *_SNAPSHOT_DEVICES)
    return msgspec.structs.replace(options, capabilities=tuple(capabilities), devices=devices, writable=())


def properties(
    options: Privileged, *, timeout: float, nice: int = 0, idle_io: bool = False, memory_max: int | None = None
) -> dict[str, str]:
    """The properties of a run's unit. `timeout` in seconds, `memory_max` in bytes for all of its processes."""
    found = dict(_CLOSED)
    found["User"] = options.user
    if options.writable:
        found["ReadWritePaths"] = " ".join(options.writable)
    families = ["AF_UNIX"]
    if options.network:
        found["PrivateNetwork"] = "no"
        families += ["AF_INET", "AF_INET6", "AF_NETLINK"]
    if "CAP_NET_RAW" in options.capabilities:
        families.append("AF_PACKET")
    found["RestrictAddressFamilies"] = " ".join(families)
    if options.devices:
        found["PrivateDevices"] = "no"
    found["DevicePolicy"] = "closed"
    calls = ["@system-service"]
    for capability in options.capabilities:
        found |= _OPENS.get(capability, {})
        if capability in _SYSTEM_CALLS:
            calls.append(_SYSTEM_CALLS[capability])
    found["SystemCallFilter"] = " ".join(calls)
    capabilities = " ".join(_with_implied(options.capabilities))
    found["CapabilityBoundingSet"] = capabilities
    # Root has what its bounding set holds; another user is given it.
    found["AmbientCapabilities"] = "" if options.user == "root" else capabilities
    found["Nice"] = str(nice)
    if idle_io:
        found["IOSchedulingClass"] = "idle"
    if memory_max is not None:
        found["MemoryMax"] = str(memory_max)
        found["MemorySwapMax"] = "0"
    # What reports the outcome outlives a job that is killed for memory.
    found["OOMPolicy"] = "continue"
    found["TasksMax"] = str(options.tasks_max)
    found["RuntimeMaxSec"] = str(math.ceil(timeout + BACKSTOP))
    found["TimeoutStopSec"] = str(STOP_GRACE)
    return found


def systemd_run(
    unit: str,
    caller: str,
    found: dict[str, str],
    devices: Sequence[str],
    command: Sequence[str],
    credentials: Mapping[str, Path] = NO_CREDENTIALS,
) -> list[str]:
    """The command that runs `command` as the transient unit `unit`, with its input and outputs handed through.

    `credentials` are those that it shall have, by name: files that systemd can read.

    When the unit `caller` ends, however it does, systemd ends this one too, with all that it started.
    """
    words = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", "--service-type=exec", f"--unit={unit}"]
    words += [f"--property=BindsTo={caller}", f"--property=After={caller}", "--working-directory=/"]
    words += [f"--property={key}={value}" for key, value in found.items()]
    words += [f"--property=DeviceAllow={device} rw" for device in devices]
    words += [f"--property=LoadCredential={name}:{file}" for name, file in credentials.items()]
    return [*words, "--", *command]
