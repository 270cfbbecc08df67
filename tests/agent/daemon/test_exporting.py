"""A real agent and its metrics: the port, the check, a live change, and a real Prometheus."""

from __future__ import annotations

import contextlib
import json
import socket
import subprocess
import sys
import urllib.parse
from pathlib import Path
from typing import Any

import pytest

from agent.metrics.address import DEFAULT
from tests.agent.daemon.daemons import Agent, agent_in, wait_for
from tests.agent.metrics.exporter import families, fetch
from tests.ports import free_port
from tests.require import require_program

JOB = '[jobs.tidy]\ncommand = ["true"]\nevery = "1s"\n'


def configure(agent: Agent, listen: str, more: str = "") -> None:
    """Memory and CPU alone, and metrics there."""
    agent.config.write_text(
        f'[agent]\ndefault_checks = false\n[metrics]\nlisten = "{listen}"\n'
        f'[checks.memory]\nevery = "1s"\n[checks.cpu]\nevery = "1s"\n{more}'
    )


def answers(port: int) -> bool:
    """Whether somebody listens."""
    try:
        socket.create_connection(("127.0.0.1", port), timeout=10).close()
    except OSError:
        return False
    return True


def test_the_text_is_of_what_the_agent_knows(tmp_path: Path) -> None:
    """States, readings, jobs; promtool has nothing to say of the agent's own names."""
    promtool, port = require_program("promtool"), free_port()
    with agent_in(tmp_path) as agent:
        configure(agent, f"127.0.0.1:{port}", JOB)
        agent.start()
        text = ""

        def complete() -> bool:
            nonlocal text
            text = fetch(f"http://127.0.0.1:{port}/metrics")
            return "hostward_cpu_used_percent" in text and 'hostward_job_last_outcome{job="tidy"' in text

        wait_for(complete)
        found = families(text)
        state = found["hostward_check_state"].values
        for check in ("memory", "cpu", "config", "metrics", "job:tidy"):
            assert sum(value for (_, labels), value in state.items() if ("check", check) in labels) == 1
        (total,) = found["hostward_memory_total_bytes"].values.values()
        assert total == found["node_memory_MemTotal_bytes"].values[("node_memory_MemTotal_bytes", frozenset())]
        assert agent.wait_for_check("metrics", "ok")["message"] == f"http://127.0.0.1:{port}/metrics"
    done = subprocess.run([promtool, "check", "metrics"], input=text, capture_output=True, text=True)
    # Of node_exporter's own names it dislikes some; 3 is lint, 1 would be a text that it cannot read.
    assert done.returncode in (0, 3), done.stderr
    assert not [line for line in done.stderr.splitlines() if not line.startswith("node_")]


def test_a_port_that_is_taken_is_told_and_taken_when_it_is_free(tmp_path: Path) -> None:
    """The agent watches on meanwhile."""
    with socket.create_server(("127.0.0.1", 0)) as other, agent_in(tmp_path) as agent:
        port = other.getsockname()[1]
        configure(agent, f"127.0.0.1:{port}")
        agent.start()
        check = agent.wait_for_check("metrics", "warning")
        assert "another program has it" in check["message"]
        agent.wait_for_check("memory", "ok")
        other.close()
        agent.wait_for_check("metrics", "ok")
        assert "node_load1" in fetch(f"http://127.0.0.1:{port}/metrics")


def test_the_default_port_taken_is_no_fault(tmp_path: Path) -> None:
    """A second agent on a host has no check that warns; its log says why nothing is served."""
    with contextlib.ExitStack() as stack:
        with contextlib.suppress(OSError):  # another test's agent has it: that will do as well
            stack.enter_context(socket.create_server(DEFAULT))
        agent = stack.enter_context(agent_in(tmp_path))
        configure(agent, "auto")
        agent.start()
        agent.wait_for_check("memory", "ok")
        assert "metrics" not in agent.checks()
        assert "metrics: " in agent.said()


def test_no_check_can_have_the_name_of_the_agents_own(tmp_path: Path) -> None:
    """It would stand in the place of the one that tells about the port."""
    with agent_in(tmp_path) as agent:
        configure(agent, "off", '[checks.metrics]\ntype = "memory"\n')
        done = agent.call("config", "check", "--config", str(agent.config))
    assert done.returncode == 2
    assert "which watches the metrics: choose another" in done.stderr


def test_a_change_takes_effect_at_once(tmp_path: Path) -> None:
    """Another port, then none: the old one is free, and the check goes with it."""
    one, two = free_port(), free_port()
    with agent_in(tmp_path) as agent:
        configure(agent, f"127.0.0.1:{one}")
        agent.start()
        wait_for(lambda: answers(one))
        configure(agent, f"127.0.0.1:{two}")
        wait_for(lambda: answers(two) and not answers(one))
        configure(agent, "off")
        wait_for(lambda: not answers(two))
        wait_for(lambda: "metrics" not in agent.checks())
        assert agent.end() == 0


@pytest.mark.parametrize("listen", ["0.0.0.0:9843", "192.0.2.1:80", "here"])
def test_an_address_that_others_reach_is_refused(tmp_path: Path, listen: str) -> None:
    """With a sentence that says what is taken."""
    with agent_in(tmp_path) as agent:
        configure(agent, listen)
        done = agent.call("config", "check", "--config", str(agent.config))
    assert done.returncode == 2
    assert f'listen is "{listen}": expected an address of this host alone' in done.stderr


def test_a_real_prometheus_scrapes_it(tmp_path: Path) -> None:
    """The target is up, both kinds of series can be queried, and none was refused."""
    program, port, own = require_program("prometheus"), free_port(), free_port()
    config = tmp_path / "prometheus.yml"
    config.write_text(
        "global: {scrape_interval: 1s}\nscrape_configs:\n"
        f"  - job_name: hostward\n    static_configs: [{{targets: ['127.0.0.1:{port}']}}]\n"
    )

    def query(expression: str) -> list[dict[str, Any]]:
        address = f"http://127.0.0.1:{own}/api/v1/query?" + urllib.parse.urlencode({"query": expression})
        found: list[dict[str, Any]] = json.loads(fetch(address))["data"]["result"]
        return found

    with agent_in(tmp_path) as agent:
        configure(agent, f"127.0.0.1:{port}")
        agent.start()
        log = (tmp_path / "prometheus.log").open("wb")
        arguments = [f"--config.file={config}", f"--storage.tsdb.path={tmp_path}/tsdb"]
        arguments += [f"--web.listen-address=127.0.0.1:{own}", "--log.level=warn"]
        with log, subprocess.Popen([str(program), *arguments], stdout=log, stderr=log, cwd=tmp_path) as process:
            try:
                wait_for(lambda: [one["value"][1] for one in query("up")] == ["1"])
                wait_for(lambda: bool(query('rate(node_cpu_seconds_total{mode="user"}[10s])')))
                (free,) = query("node_memory_MemAvailable_bytes / node_memory_MemTotal_bytes")
                assert 0 < float(free["value"][1]) < 1
                wait_for(lambda: bool(query('hostward_check_state{check="memory",state="ok"} == 1')))
                assert query("hostward_memory_used_percent")[0]["metric"]["check"] == "memory"
                assert [one["value"][1] for one in query("scrape_samples_scraped > 300")]
                (target,) = json.loads(fetch(f"http://127.0.0.1:{own}/api/v1/targets"))["data"]["activeTargets"]
                assert (target["health"], target["lastError"]) == ("up", "")
            finally:
                process.kill()
    assert b"duplicate" not in (tmp_path / "prometheus.log").read_bytes()


SHORT_OF = """
import os, resource, sys, threading
from pathlib import Path
import agent.metrics.server
from agent.config.schema import MetricsOptions
from agent.daemon.exporting import Exporting
from agent.daemon.ledger import Ledger
from agent.paths import System
from agent.state import State

folder, listen = Path(sys.argv[1]), sys.argv[2]
ledger = Ledger(State.open(folder), "boot")
exporting = Exporting(ledger, System(), folder)
hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
for free in range(5):
    used = max(map(int, os.listdir("/proc/self/fd")))
    before = len(os.listdir("/proc/self/fd"))
    resource.setrlimit(resource.RLIMIT_NOFILE, (used + free, hard))
    exporting.adopt(MetricsOptions(listen=listen), {})
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    print(ledger.checks["metrics"].state.state)
    exporting.adopt(MetricsOptions(listen="off"), {})
    assert len(os.listdir("/proc/self/fd")) == before
"""


def test_an_agent_out_of_descriptors_lives_without_metrics(tmp_path: Path) -> None:
    """However few are left, it goes on, leaves none open, and says what is missing."""
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", SHORT_OF, str(tmp_path), f"127.0.0.1:{free_port()}"],
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert (done.returncode, done.stderr.count("Traceback")) == (0, 0), done.stderr
    assert done.stdout.split()[0] == "warning"
    assert done.stdout.split()[-1] == "ok"
