"""Inventories of the fleet's hosts, and deploys run on them as an administrator does."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.fleet.host import Host

REPOSITORY = Path(__file__).resolve().parents[2]
BIN = Path(sys.executable).parent


def connection(host: Host) -> dict[str, Any]:
    """The data with which pyinfra reaches a host of the fleet, as root."""
    return {
        "ssh_hostname": host.address,
        "ssh_user": "root",
        "ssh_key": str(host.key),
        "ssh_known_hosts_file": str(host.known_hosts),
        "ssh_strict_host_key_checking": "yes",
    }


def by_sudo(host: Host) -> dict[str, Any]:
    """Make a user who is not root, and give the data with which pyinfra becomes root by that user's password."""
    host.run(
        "useradd --create-home --shell /bin/bash admin && echo 'admin:a-pass-word' | chpasswd && "
        "echo 'admin ALL=(ALL) ALL' >/etc/sudoers.d/admin && install -d -o admin -m 700 ~admin/.ssh && "
        "install -o admin -m 600 ~/.ssh/authorized_keys ~admin/.ssh/authorized_keys"
    )
    return {"ssh_user": "admin", "_sudo": True, "_sudo_password": "a-pass-word"}


def inventory(
    path: Path,
    hosts: Sequence[Host],
    groups: Mapping[str, Sequence[str]] | None = None,
    data: Mapping[str, Any] | None = None,
    each: Mapping[str, Mapping[str, Any]] | None = None,
) -> Path:
    """Write an inventory file: `groups` are names of hosts by group, `data` is everybody's, `each` a host's own."""
    own = [(host.name, {**connection(host), **dict((each or {}).get(host.name, {}))}) for host in hosts]
    lines = [f"all = ({own!r}, {dict(data or {})!r})"]
    lines += [f"{group} = {list(names)!r}" for group, names in (groups or {}).items()]
    path.write_text("\n".join(lines) + "\n")
    return path


def deploy(
    inventory: Path | str, name: str, *words: str, check: bool = True, timeout: float = 600
) -> subprocess.CompletedProcess[str]:
    """`pyinfra INVENTORY deploys/NAME.py -y WORDS`, in the checkout. Raises AssertionError when it fails."""
    done = subprocess.run(
        [str(BIN / "pyinfra"), str(inventory), f"deploys/{name}.py", "-y", *words],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=timeout,
    )
    assert not check or done.returncode == 0, f"{name}: ended with {done.returncode}\n{done.stdout}{done.stderr}"
    return done


def environment() -> dict[str, str]:
    """Nobody's ssh agent, and wide lines."""
    return {**{k: v for k, v in os.environ.items() if k != "SSH_AUTH_SOCK"}, "COLUMNS": "200"}


def changes(done: subprocess.CompletedProcess[str]) -> int:
    """How many operations changed something, on all hosts together, as pyinfra's summary tells."""
    total = next(line for line in (done.stdout + done.stderr).splitlines() if line.strip().startswith("Grand total"))
    _hosts, success, _error, _no_change = total.split()[-4:]
    return 0 if success == "-" else int(success)
