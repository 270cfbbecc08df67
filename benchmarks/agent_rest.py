"""What an agent takes at rest: all checks that fit this host, every 15 s, signed and sent to a collector."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack

from benchmarks.peers import INTERVAL, PEERS, free_port
from benchmarks.processes import BIN, Weight, call, collector, running, serving, weigh
from benchmarks.tables import Table, ratio

OWN = "hostward run"
BUDGET = "RSS ≤ 40 MB, CPU ≤ node_exporter's"


def run(quick: bool) -> Iterator[Table]:
    """Agent and peers at once, so that all meet the same machine."""
    warm_up, seconds = (15.0, 15.0) if quick else (60.0, 180.0)
    with ExitStack() as stack:
        home, folder = stack.enter_context(collector())
        url, _ = stack.enter_context(serving(home, folder))
        token = call(folder, BIN / "hostward-collector", "token", "create", "--data-dir", home)
        state = folder / "agent"
        (folder / "agent.toml").write_text(f'[metrics]\nlisten = "127.0.0.1:{free_port()}"\n')
        enroll = ("enroll", "--collector", url, "--ca", home / "ca.pem", "--token-file", "-", "--state-dir", state)
        call(folder, BIN / "hostward", *enroll, stdin=token)
        agent = ("run", "--state-dir", state, "--config", folder / "agent.toml")
        subjects = {OWN: stack.enter_context(running(folder, BIN / "hostward", *agent))}
        asked: list[Callable[[], None]] = []
        missing: list[str] = []
        for number, peer in enumerate(PEERS):
            program = peer.program()
            if program is None:
                missing.append(peer.package)
                continue
            (place := folder / f"peer-{number}").mkdir()
            started = peer.start(place, program)
            subjects[peer.name] = stack.enter_context(running(place, *started.command))
            if started.ask:
                asked.append(started.ask)
        rest(asked, warm_up)
        before = {name: weigh(process) for name, process in subjects.items()}
        rest(asked, seconds)
        yield table(subjects, before, seconds, warm_up, missing)


def table(
    subjects: dict[str, subprocess.Popen[bytes]],
    before: dict[str, Weight],
    seconds: float,
    warm_up: float,
    missing: Sequence[str],
) -> Table:
    """What each took meanwhile, and how many times the agent's own that is."""
    taken = {name: weigh(process) for name, process in subjects.items()}
    cpu = {name: max((taken[name].cpu - before[name].cpu) * 60 / seconds, 0.01) for name in taken}
    own = taken[OWN]
    rows = [
        [
            name,
            f"{weight.rss / 1e6:.1f} ({ratio(weight.rss, own.rss)})",
            f"{weight.pss / 1e6:.1f} ({ratio(weight.pss, own.pss)})",
            f"{cpu[name]:.3f} ({ratio(cpu[name], cpu[OWN])})",
            BUDGET if weight is own else "",
        ]
        for name, weight in taken.items()
    ]
    rows += [[package, "not installed", "", "", ""] for package in missing]
    return Table(
        f"Agent at rest, every {INTERVAL} s",
        ["agent", "RSS MB", "PSS MB", "CPU s per minute", "budget"],
        rows,
        [
            f"Processes with all their children, {seconds:.0f} s after {warm_up:.0f} s of warm-up; "
            "in brackets how many times the agent's. The system counts CPU in steps of 0.01 s."
        ],
    )


def rest(asked: Sequence[Callable[[], None]], seconds: float) -> None:
    """Wait, and ask the peers as their servers would."""
    end = time.monotonic() + seconds
    while (left := end - time.monotonic()) > 0:
        time.sleep(min(left, INTERVAL))
        for ask in asked:
            ask()
