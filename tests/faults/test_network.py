"""A network that cuts, delays and loses what goes between agent and home."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import struct
import subprocess
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from agent.state import State
from tests.agent.daemon.daemons import QUIET, agent_in, wait_for
from tests.agent.daemon.homes import Home, enrol, home_in
from tests.faults import books
from tests.faults.lives import Life
from tests.require import require_program, require_root

Cut = tuple[str, int]
"""After how many bytes `to` home, or `from` it."""


class Cutter:
    """A way to home that resets each connection at the byte that is next on its list, and none when that is empty."""

    def __init__(self, port: int) -> None:
        self.cuts: list[Cut] = []
        self.made = 0
        self.passed = {"to": 0, "from": 0}
        """Bytes of the last connection."""
        self._home = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._home))
            except OSError:
                near.close()
                continue
            cut = self.cuts.pop(0) if self.cuts else ("never", 0)
            self.passed = {"to": 0, "from": 0}
            for direction, source, sink in (("to", near, far), ("from", far, near)):
                limit = cut[1] if cut[0] == direction else None
                threading.Thread(target=self._pump, args=(direction, source, sink, limit), daemon=True).start()

    def _pump(self, direction: str, source: socket.socket, sink: socket.socket, limit: int | None) -> None:
        passed = 0
        with contextlib.suppress(OSError):
            while data := source.recv(65536 if limit is None else max(1, min(65536, limit - passed))):
                if limit is not None and passed + len(data) > limit:
                    break
                sink.sendall(data)
                passed += len(data)
                self.passed[direction] = passed
                if passed == limit:
                    break
        for end in (source, sink):
            if limit is not None and passed >= limit:
                self.made += 1
                with contextlib.suppress(OSError):  # a reset, and no good end
                    end.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            with contextlib.suppress(OSError):
                end.shutdown(socket.SHUT_RDWR)
            end.close()


@pytest.fixture
def cutter(home: Home) -> Iterator[Cutter]:
    """Between the agent and home."""
    cutter = Cutter(home.port)
    yield cutter
    cutter.close()


@pytest.fixture
def life(tmp_path: Path, home: Home, cutter: Cutter) -> Iterator[Life]:
    """The agent's parts, enrolled through the cutter."""
    with agent_in(tmp_path) as agent:
        agent.state.mkdir(mode=0o700)
        State.open(agent.state).close()
        enrol(agent, home, port=cutter.port)
        books.witness_agent(agent.state)
        life = Life(agent.state)
        life.sender.start()
        yield life
        assert life.sender.stop(60)
        life.state.close()


def test_a_connection_that_is_cut_anywhere_loses_and_repeats_nothing(life: Life, home: Home, cutter: Cutter) -> None:
    """In the handshake, the head, the body, between home's commit and its answer, and within the answer."""

    def deliver() -> None:
        life.turn()
        life.compose()
        life.deliver()

    # Of a connection for itself: so many bytes go each way for one report.
    deliver()
    life.sender._transport.close()
    deliver()
    whole = dict(cutter.passed)
    assert whole["to"] > 500 and whole["from"] > 500
    chance = random.Random(9)
    cuts: list[Cut] = [("from", whole["from"] - step) for step in (0, 1, 20, 100, 200)]  # within the answer
    for direction, size in whole.items():
        cuts += [(direction, size * step // 12) for step in range(12)]
        cuts += [(direction, chance.randrange(size)) for _ in range(8)]
    for cut in cuts:
        made = cutter.made
        life.sender._transport.close()
        cutter.cuts.append(cut)
        deliver()
        assert not cutter.cuts, "the connection was not used"
        assert cutter.made >= made
    assert cutter.made > len(cuts), "both ends of a connection count"
    arrived = books.assert_balanced(life.state.folder, home.folder)
    assert books.lost(home.folder).total() == 0
    assert arrived["events"] == len(cuts) + 2


@pytest.fixture
def apart(tmp_path: Path) -> Iterator[tuple[str, str, Callable[[str], None]]]:
    """A network of two: home's namespace with an address, the agent's namespace, and what sets rules between them."""
    require_root()
    for program in ("ip", "tc", "nft"):
        require_program(program)
    name = f"hw{os.getpid() % 100000}"
    near, far = f"{name}a", f"{name}h"

    def run(command: str) -> None:
        subprocess.run(command.split(), check=True, timeout=30, capture_output=True)

    def rules(text: str) -> None:
        subprocess.run(
            ["ip", "netns", "exec", far, "nft", "-f", "-"],
            input=f"flush ruleset\n{text}", text=True, check=True, timeout=30, capture_output=True,
        )  # fmt: skip

    try:
        for space in (near, far):
            run(f"ip netns add {space}")
            run(f"ip -n {space} link set lo up")
        run(f"ip link add {near} netns {near} type veth peer name {far} netns {far}")
        for space, address in ((near, "10.231.7.1/24"), (far, "10.231.7.2/24")):
            run(f"ip -n {space} address add {address} dev {space}")
            run(f"ip -n {space} link set {space} up")
        # A short queue before a slow line, which delays what waits in it and drops the rest.
        run(f"ip netns exec {near} tc qdisc add dev {near} root tbf rate 256kbit burst 4kb latency 400ms")
        yield near, far, rules
    finally:
        for space in (near, far):
            subprocess.run(["ip", "netns", "delete", space], check=False, timeout=30, capture_output=True)


@pytest.mark.root
@pytest.mark.timeout(600)  # chance and the agent's growing pauses decide how long it takes, seldom more than 20 s
def test_a_slow_network_that_drops_loses_nothing(
    tmp_path: Path, apart: tuple[str, str, Callable[[str], None]]
) -> None:
    """A tenth of all packets is lost, then all of them, then a rule resets what goes on; all arrives once."""
    near, far, rules = apart
    with home_in(tmp_path / "home", "10.231.7.2") as home, agent_in(tmp_path) as agent:
        home.within = ["ip", "netns", "exec", far]
        agent.within = ["ip", "netns", "exec", near]
        agent.config.write_text(QUIET + '[home]\ninterval = "1s"\ntimeout = "3s"\n[checks.memory]\nevery = "1s"\n')
        agent.state.mkdir(mode=0o700)
        State.open(agent.state).close()
        home.start()
        books.witness_home(home.folder)
        enrol(agent, home, within=agent.within)
        books.witness_agent(agent.state)

        drop = "table ip t {{\n chain c {{\n type filter hook input priority 0\n {}\n }}\n }}\n"
        rules(drop.format("numgen random mod 10 < 1 drop"))
        agent.start()
        wait_for(lambda: books.stored(home.folder).readings.total() > 20)
        rules(drop.format("drop"))
        wait_for(lambda: bool(agent.status()["home"]["error"]))
        rules(drop.format("numgen random mod 10 < 2 drop"))
        wait_for(lambda: agent.status()["home"]["error"] is None, patience=200)
        # A report takes a dozen packets: with more resets than these the agent would rightly wait longer and longer.
        rules(drop.format("meta l4proto tcp numgen random mod 50 < 1 reject with tcp reset"))
        seen = books.stored(home.folder).readings.total()
        wait_for(lambda: books.stored(home.folder).readings.total() > seen + 10, patience=200)
        rules("")
        agent.config.write_text(QUIET + '[home]\ninterval = "1s"\n')
        agent.wait_for_check("config", "ok")
        wait_for(lambda: books.is_settled(agent.state, home.folder), patience=60)
        agent.end(signal.SIGKILL)
        books.assert_balanced(agent.state, home.folder)
