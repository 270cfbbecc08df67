"""What the kernel gives out is used up: descriptors, processes, memory, inotify; and a folder holds far too much."""

from __future__ import annotations

import os
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.agent.daemon.daemons import QUIET, Agent, agent_in, wait_for
from tests.require import require_program, require_root

COMMAND = '[checks.plugin]\ntype = "command"\nevery = "1s"\ncommand = ["true"]\n'
CALL = '[checks.port]\ntype = "tcp"\nevery = "1s"\nhost = "127.0.0.1"\nport = 1\n'
OTHER = 64999
"""A user without a name and without any other process."""
PAGES = '[checks.memory]\nevery = "1s"\n'


@pytest.fixture
def agent() -> Iterator[Agent]:
    """An agent with a check in the loop, one that is a program and one in the fork server; anybody may run it."""
    with tempfile.TemporaryDirectory() as folder, agent_in(Path(folder)) as agent:
        Path(folder).chmod(0o755)
        agent.config.write_text(QUIET + PAGES + COMMAND + CALL)
        yield agent


def limit(agent: Agent, what: str) -> None:
    """Set a limit of the running agent."""
    assert agent.process is not None
    require_program("prlimit")
    assert os.spawnlp(os.P_WAIT, "prlimit", "prlimit", "--pid", str(agent.process.pid), what) == 0


def open_descriptors(pid: int) -> list[int]:
    """Their numbers."""
    return [int(file.name) for file in Path(f"/proc/{pid}/fd").iterdir()]


def descriptors(agent: Agent) -> int:
    """How many it has open."""
    assert agent.process is not None
    return len(open_descriptors(agent.process.pid))


@pytest.mark.parametrize("what", ["nofile", "as"])
def test_what_cannot_start_is_unknown_until_it_can(agent: Agent, what: str) -> None:
    """No descriptor or no memory is left for a child: its check says so, the others go on, and it comes back by
    itself when there is some."""
    agent.start()
    agent.wait_for_check("plugin", "ok")
    agent.wait_for_check("memory", "ok")
    agent.wait_for_check("port", "critical")  # the fork server runs
    before = descriptors(agent)
    assert agent.process is not None
    highest = max(open_descriptors(agent.process.pid))
    limit(agent, {"nofile": f"--nofile={highest + 1}:4096", "as": "--as=1000000:unlimited"}[what])
    _expect_unknown(agent)
    limit(agent, {"nofile": "--nofile=4096:4096", "as": "--as=unlimited"}[what])
    agent.wait_for_check("plugin", "ok")
    wait_for(lambda: descriptors(agent) <= before + 3)
    assert "Traceback" not in agent.said()
    assert agent.end() == 0


@pytest.mark.root
def test_without_processes_a_program_is_unknown_until_there_are_some(agent: Agent) -> None:
    """Others of the same user have taken all that it may have; when they end, its check comes back by itself."""
    require_root()  # which is above this limit: the agent must be somebody else
    agent.state.mkdir(mode=0o700)
    os.chown(agent.state, OTHER, OTHER)
    other = ["setpriv", f"--reuid={OTHER}", "--clear-groups", "--bounding-set=-all", "--inh-caps=-all", "--"]
    agent.within = ["prlimit", "--nproc=60:60", *other]
    agent.start()
    agent.wait_for_check("plugin", "ok")
    with ExitStack() as others:
        for _ in range(60):
            sleeper = others.enter_context(subprocess.Popen([*other, "sleep", "300"]))
            others.callback(sleeper.kill)
        _expect_unknown(agent)
    agent.wait_for_check("plugin", "ok")
    assert "Traceback" not in agent.said()
    assert agent.end() == 0


def _expect_unknown(agent: Agent) -> None:
    """The check that is a program says why it is unknown, and the one in the loop goes on."""
    assert agent.wait_for_check("plugin", "unknown")["message"]
    during = agent.checks()["memory"]["time"]
    wait_for(lambda: agent.checks()["memory"]["time"] > during)


def test_ten_thousand_files_of_configuration(agent: Agent) -> None:
    """They are read within a start, and one that is added to them takes effect; most are no configuration at all."""
    folder = agent.config.parent / "agent.d"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"{number:05}.{'toml' if number % 20 == 0 else 'bak'}").touch()
    agent.start()
    agent.wait_for_check("memory", "ok")
    (folder / "zz.toml").write_text('[checks.more]\ntype = "memory"\nevery = "1s"\n')
    agent.wait_for_check("more", "ok")
    assert descriptors(agent) < 100
    assert agent.end() == 0


@pytest.mark.root
def test_without_inotify_the_files_are_looked_at_instead(agent: Agent) -> None:
    """Another program of the user has taken all instances: it says that it polls, and a change takes effect."""
    require_root()
    # In a user namespace of its own the limit is its own.
    agent.within = ["unshare", "--user", "--map-root-user", "sh", "-c", LIMITED, "sh"]
    agent.start()
    wait_for(lambda: "instead of being watched" in agent.said())
    agent.wait_for_check("memory", "ok")
    agent.config.write_text(QUIET + PAGES + '[checks.more]\ntype = "memory"\nevery = "1s"\n')
    agent.wait_for_check("more", "ok")
    assert agent.end() == 0


LIMITED = 'echo 0 > /proc/sys/user/max_inotify_instances && exec "$@"'
