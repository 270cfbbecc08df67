"""The agent taken off a host."""

from __future__ import annotations

from shlex import quote

from pyinfra.api.host import Host

from deploys.facts.agent import FOLDER, WHEELS, Installed
from deploys.kit.notes import Versions, note
from deploys.operations.run import run
from deploys.rules.agent_files import UNITS


def is_gone(seen: Installed) -> bool:
    """Whether there is nothing to remove."""
    units = [path for path in seen.files if path.startswith("/etc/systemd/system/hostward-")]
    return not (seen.current or seen.releases or seen.links or units or seen.unfinished or seen.wheels)


def remove(host: Host, script: str, prefix: str, version: str | None) -> None:
    """Stop it and remove it, by the script that `make uninstall` runs. Raises StepError."""
    drop_ins = " ".join(f"/etc/systemd/system/{unit}.d/deploy.conf" for unit in UNITS)
    folders = " ".join(f"/etc/systemd/system/{unit}.d" for unit in UNITS)
    run(
        host,
        f"set -e; sh -s {quote(prefix)}; rm -rf {FOLDER} {WHEELS} {drop_ins}; "
        f"rmdir {folders} 2>/dev/null || true; systemctl daemon-reload",
        input=script,
        failing="the agent cannot be removed",
        outcome="broken",
    )
    note(host, Versions({"hostward": version}, {"hostward": None}))
