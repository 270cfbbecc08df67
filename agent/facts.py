"""What the host is: the few things that seldom change and that tell one host from another in a list."""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path

from agent.paths import System
from kit.units import format_size
from kit.version import __version__

VENDORS = {
    "QEMU": "kvm",
    "Amazon EC2": "amazon",
    "Google": "google",
    "Microsoft Corporation": "hyper-v",
    "VMware": "vmware",
    "innotek GmbH": "virtualbox",
    "Oracle Corporation": "virtualbox",
    "Xen": "xen",
    "Hetzner": "kvm",
    "DigitalOcean": "kvm",
    "OpenStack": "openstack",
    "Parallels": "parallels",
}
"""How firmware names its hypervisor (/sys/class/dmi/id/sys_vendor, by prefix), as systemd-detect-virt does it."""


def facts(system: System) -> dict[str, str]:
    """Text by name, for people. What cannot be told is left out; nothing raises. No serial numbers, no addresses."""
    kernel = os.uname()
    cpus, model, hypervisor = parse_cpuinfo(_read(system.path("proc", "cpuinfo")))
    release = _read(system.path("etc", "os-release")) or _read(system.path("usr", "lib", "os-release"))
    found = {
        "os": parse_os_release(release).get("PRETTY_NAME", ""),
        "kernel": kernel.release,
        "architecture": kernel.machine,
        "cpus": str(cpus or os.cpu_count() or ""),
        "cpu_model": model,
        "memory": parse_memory(_read(system.path("proc", "meminfo"))),
        "virtualization": virtualization(
            container=_container(system),
            vendor=_read(system.path("sys", "class", "dmi", "id", "sys_vendor")).strip(),
            hypervisor=hypervisor,
        ),
        "python": ".".join(map(str, sys.version_info[:3])),
        "agent": __version__,
    }
    return {name: value for name, value in found.items() if value}


def parse_os_release(text: str) -> Mapping[str, str]:
    """The assignments of an os-release file (os-release(5)): shell quoting, without expansions."""
    values = {}
    for line in text.splitlines():
        name, separator, value = line.strip().partition("=")
        if separator and not name.startswith("#"):
            if len(value) >= 2 and value[0] == value[-1] and value[0] in "\"'":
                value = value[1:-1]
            values[name] = re.sub(r"\\(.)", r"\1", value)
    return values


def parse_cpuinfo(text: str) -> tuple[int, str, bool]:
    """Of /proc/cpuinfo: the number of processors, the model's name, and whether a hypervisor is below."""
    processors = len(re.findall(r"(?m)^processor\s*:", text))
    model = re.search(r"(?m)^model name\s*:\s*(.+)$", text)
    flags = re.search(r"(?m)^flags\s*:\s*(.+)$", text)
    return processors, " ".join(model[1].split()) if model else "", bool(flags and "hypervisor" in flags[1].split())


def parse_memory(text: str) -> str:
    """The size of the memory that the kernel has, from /proc/meminfo."""
    total = re.search(r"(?m)^MemTotal:\s*(\d+) kB$", text)
    return format_size(int(total[1]) * 1024) if total else ""


def virtualization(*, container: str, vendor: str, hypervisor: bool) -> str:
    """The kind of container, else of virtual machine; `virtual machine` where only the processor tells; else ''."""
    if container:
        return container
    for prefix, name in VENDORS.items():
        if vendor.startswith(prefix):
            return name
    return "virtual machine" if hypervisor else ""


def boot_id(system: System) -> str:
    """The kernel's name of this boot; '' where there is none."""
    return _read(system.path("proc", "sys", "kernel", "random", "boot_id")).strip()


def _container(system: System) -> str:
    if kind := _read(system.path("run", "systemd", "container")).strip():
        return kind
    if system.path(".dockerenv").exists():
        return "docker"
    if system.path("run", ".containerenv").exists():
        return "podman"
    return ""


def _read(path: Path) -> str:
    try:
        return path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return ""
