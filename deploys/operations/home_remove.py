"""Home taken off its host, and what it knows left there."""

from __future__ import annotations

from shlex import quote

from pyinfra.api.host import Host

from deploys.facts.agent import Installed
from deploys.facts.home import FOLDER
from deploys.kit.notes import Versions, note
from deploys.operations.run import run
from deploys.rules.home_files import BACKUP_FILES

UNIT = "/etc/systemd/system/hostward-collector.service"
PROGRAM = "/usr/local/bin/hostward-collector"
AGENT = "hostward-agent.service"


def is_gone(seen: Installed) -> bool:
    """Whether there is nothing to remove."""
    return not (seen.collector or UNIT in seen.files or PROGRAM in seen.links)


def has_agent(seen: Installed) -> bool:
    """Whether the release that home is of is needed by an agent too."""
    return AGENT in seen.active | seen.enabled or seen.enrolled is not None


def remove(host: Host, script: str, prefix: str, seen: Installed) -> None:
    """Stop it and remove it: its unit, what a deploy wrote for it, the jobs that save it; and the release, by the
    script that `make uninstall` runs, where no agent needs that. Raises StepError.
    """
    name = UNIT.rpartition("/")[2]
    places = f"{UNIT} {UNIT}.d/deploy.conf {PROGRAM} {FOLDER} {' '.join(BACKUP_FILES)}"
    # An agent's next release has no home in it: its deploy sees that there is none.
    rest = f"rm -f {quote(prefix)}/current/bin/hostward-collector" if has_agent(seen) else f"sh -s {quote(prefix)}"
    run(
        host,
        f"set -e; test ! -e {UNIT} || systemctl disable --quiet --now {name}; rm -rf {places}; "
        f"rmdir {UNIT}.d 2>/dev/null || true; systemctl daemon-reload; {rest}",
        input=script,
        failing="home cannot be removed",
        outcome="broken",
    )
    version = None if not has_agent(seen) else seen.current
    note(host, Versions({"hostward": seen.current}, {"hostward": version}))
