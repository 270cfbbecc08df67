"""Whether a host can have Hostward. Pure."""

from __future__ import annotations

from deploys.facts.agent import Installed

NEEDED = "Python 3.11 or later"


def unfit(seen: Installed, asked: str | None) -> str:
    """Why it cannot, in one sentence that says what to do; empty where it can."""
    if not seen.root:
        return "installing needs root: connect as root, or say _sudo in the host's data"
    if not seen.systemd:
        return "systemd does not run here, and the agent is its service"
    if not seen.libc:
        return f"the C library of {seen.system or 'this system'} is neither glibc nor musl, for which wheels are made"
    if seen.python() is not None:
        return ""
    found = ", ".join(f"{python.path} is {'{}.{}'.format(*python.version)}" for python in seen.pythons)
    if asked:
        return f"agent.python is {asked}: {found or 'there is no such Python with venv'}; {NEEDED} is needed"
    return f"{found or 'there is no Python'}, and {NEEDED} is needed: {_advice(seen)}, or name one as agent.python"


def _advice(seen: Installed) -> str:
    family = seen.family.split()
    if {"rhel", "fedora", "centos"} & set(family):
        return "dnf install python3.11"
    if "ubuntu" in family:
        return "apt install python3.11 python3.11-venv"
    return "install it, as Debian 12 has it"
