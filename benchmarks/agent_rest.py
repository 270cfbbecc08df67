"""What an agent takes at rest: all checks that fit this host, every 15 s, signed and sent to a collector."""

from __future__ import annotations

import shutil
import socket
import subprocess
import time
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack

from benchmarks.processes import BIN, Weight, call, collector, running, serving, weigh
from benchmarks.tables import Table, ratio

EXPORTERS = ("prometheus-node-exporter", "node_exporter")
"""Under which names node_exporter is installed: Debian's, and its own."""
SCRAPE = 15.0
BUDGET = "RSS ≤ 40 MB, CPU ≤ node_exporter's"


def run(quick: bool) -> Iterator[Table]:
    """Agent and peer at once, so that both meet the same machine."""
    warm_up, seconds = (5.0, 15.0) if quick else (60.0, 120.0)
    with ExitStack() as stack:
        home, folder = stack.enter_context(collector())
        url, _ = stack.enter_context(serving(home, folder))
        token = call(folder, BIN / "hostward-collector", "token", "create", "--data-dir", home)
        state = folder / "agent"
        (folder / "agent.toml").touch()
        enroll = ("enroll", "--collector", url, "--ca", home / "ca.pem", "--token-file", "-", "--state-dir", state)
        call(folder, BIN / "hostward", *enroll, stdin=token)
        agent = ("run", "--state-dir", state, "--config", folder / "agent.toml")
        subjects = {"hostward run": stack.enter_context(running(folder, BIN / "hostward", *agent))}
        address = f"127.0.0.1:{free_port()}"
        exporter = next(filter(None, map(shutil.which, EXPORTERS)), None)
        if exporter:
            subjects["node_exporter, scraped every 15 s"] = stack.enter_context(
                running(folder, exporter, f"--web.listen-address={address}")
            )
        scraped = f"http://{address}/metrics" if exporter else None
        rest(scraped, warm_up)
        before = {name: weigh(process) for name, process in subjects.items()}
        rest(scraped, seconds)
        yield table(subjects, before, seconds, warm_up)


def table(
    subjects: dict[str, subprocess.Popen[bytes]], before: dict[str, Weight], seconds: float, warm_up: float
) -> Table:
    """What each took meanwhile, and how many times the agent's own that is."""
    taken = {name: weigh(process) for name, process in subjects.items()}
    cpu = {name: max((taken[name].cpu - before[name].cpu) * 60 / seconds, 0.01) for name in taken}
    own = taken["hostward run"]
    rows = [
        [
            name,
            f"{weight.rss / 1e6:.1f} ({ratio(weight.rss, own.rss)})",
            f"{weight.pss / 1e6:.1f} ({ratio(weight.pss, own.pss)})",
            f"{cpu[name]:.3f} ({ratio(cpu[name], cpu['hostward run'])})",
            BUDGET if weight is own else "",
        ]
        for name, weight in taken.items()
    ]
    if len(subjects) == 1:
        rows.append(["node_exporter", "not installed", "", "", ""])
    return Table(
        "Agent at rest",
        ["agent", "RSS MB", "PSS MB", "CPU s per minute", "budget"],
        rows,
        [
            f"Processes with all their children, {seconds:.0f} s after {warm_up:.0f} s of warm-up; "
            "in brackets how many times the agent's. The system counts CPU in steps of 0.01 s."
        ],
    )


def rest(scraped: str | None, seconds: float) -> None:
    """Wait, and scrape the exporter as a Prometheus would."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, SCRAPE))
        if scraped:
            with urllib.request.urlopen(scraped, timeout=10) as answer:
                answer.read()


def free_port() -> int:
    """A port that nobody listens at now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
