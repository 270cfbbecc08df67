"""A real home on this machine's side of the bridge, hosts that are enrolled there, and whether both agree."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from agent.state import State
from tests.collector.support import RealHome, enrolment_token, initialise, run, serving
from tests.faults.books import committed, lost, stored, undelivered, witness_agent, witness_home
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host

STATE = "var/lib/hostward"
UNIT = "hostward-agent"
OFTEN = """\
[home]
interval = "1s"

[checks.cpu]
every = "1s"

[checks.memory]
every = "1s"

[jobs.tick]
command = ["true"]
every = "1s"
"""
"""A configuration that reports each second, with a job that runs as often."""


def until(condition: Callable[[], Any], what: str, patience: float = 90) -> Any:
    """What the condition gives once it is true. Raises AssertionError with `what` after `patience` seconds."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"not within {patience:.0f} s: {what}"
        time.sleep(0.1)
    return found


class BridgeHome:
    """A collector's folder, served at one address for as long as it is told to."""

    def __init__(self, fleet: Fleet, folder: Path) -> None:
        self.folder = folder / "home"
        self._address = fleet.address
        self._port = "0"
        self.options: tuple[str, ...] = ()
        """More words for `serve`."""
        initialise(self.folder, fleet.address)
        witness_home(self.folder)

    @contextmanager
    def serving(self) -> Iterator[RealHome]:
        """Be there, at the same port each time, until the block ends."""
        with serving(self.folder, "--host", self._address, "--port", self._port, *self.options) as served:
            self._port = str(urlsplit(served.url).port)
            yield served


def enroll(host: Host, home: RealHome, configuration: str = OFTEN) -> None:
    """As an administrator does, with the commands of README.md on the host; the agent is configured and not started.

    From before its first start on, the host's database remembers what is committed.
    """
    host.write("/etc/hostward/agent.toml", configuration)
    host.write("token", enrolment_token(home.folder), 0o600)
    host.write("ca.pem", (home.folder / "ca.pem").read_text())
    host.run(["hostward", "enroll", "--collector", home.url, "--token-file", "token", "--ca", "ca.pem"])
    State.open(state(host)).close()
    witness_agent(state(host))


def start(*hosts: Host) -> None:
    """At this boot and the next ones."""
    for host in hosts:
        host.run(f"systemctl enable --now {UNIT}")


def state(host: Host) -> Path:
    """The agent's state folder, as this machine sees it."""
    return host.root / STATE


def at_home(home: RealHome, host: Host) -> dict[str, Any]:
    """What home says of a host."""
    return asked(home, f"/api/v1/hosts/{host.name}")


def asked(home: RealHome, path: str) -> dict[str, Any]:
    """What home's API answers."""
    with home.client() as client:
        answer = client.get(path, headers={"Authorization": f"Bearer {_token(home.folder)}"})
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()
    return found


@cache
def _token(folder: Path) -> str:
    """For the API of the home in a folder: made once, for that starts a program, and questions are asked often."""
    done = run("api-token", "create", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def settle(*hosts: Host) -> None:
    """Stop the agents once home has all that they have, so that both sides' books can be closed."""
    for host in hosts:
        for _ in range(10):
            host.run(f"systemctl stop {UNIT}")
            if undelivered(state(host)) == 0:
                break
            host.run(f"systemctl start {UNIT}")
            until(lambda: undelivered(state(host)) < 3, "what waits on the host has gone home")  # noqa: B023
        assert undelivered(state(host)) == 0


def assert_nothing_lost(home: Path, *hosts: Host) -> Counter[str]:
    """Home has each reading, event and result of the hosts exactly once, and counts none as lost.

    Returns how many it has of each.
    """
    theirs, ours = stored(home), [committed(state(host)) for host in hosts]
    for what in ("readings", "events", "job_results"):
        produced: Counter[tuple[object, ...]] = sum((getattr(books, what) for books in ours), Counter())
        arrived: Counter[tuple[object, ...]] = getattr(theirs, what)
        assert arrived == produced, f"{what}: {produced - arrived} are missing, {arrived - produced} came twice"
    assert lost(home).total() == 0
    return theirs.sizes()
