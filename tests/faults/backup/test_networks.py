"""Repositories behind real servers, to which connections are cut: restic's REST protocol, and SFTP."""

from __future__ import annotations

import itertools
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import pytest

from backup.stores.contract import FileKind
from tests.backup.stores.servers import Proxy, rclone, sshd
from tests.faults.backup.ground import listing
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.trial import READS, Trial, Trials
from tests.peers import every_restic

Turn = str | None
"""The direction in which a connection is cut, `up` before the server knows or `down` before the answer is there."""


@dataclass(frozen=True)
class Network:
    """A server before which a proxy stands."""

    trials: Trials
    port: int
    """Of the server."""
    scheme: str
    home: Callable[[int], dict[str, str]]
    """What the environment needs to reach it by a port."""

    def reach(self, port: int, folder: Path) -> str:
        """The location of a folder by a port."""
        if self.scheme == "sftp":
            return f"sftp:vault:{folder}"
        return f"rest:http://127.0.0.1:{port}/{folder.parent.name}/{folder.name}/"


class Tried(NamedTuple):
    """A trial over a network."""

    trial: Trial
    proxy: Proxy
    cuts: str
    ports: list[int]
    """The one by which the repository is reached."""


@pytest.fixture(scope="module")
def rest(trials: Trials, memory: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("rest")
    (memory / "root").mkdir(exist_ok=True)
    (folder / "root").symlink_to(memory / "root")
    with rclone(folder, "restic", "--cache-objects=false") as port:
        yield Network(Trials(trials.ground, trials.zygote, memory / "root"), port, "rest", lambda port: {})


@pytest.fixture(scope="module")
def sftp(trials: Trials, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Network]:
    folder = tmp_path_factory.mktemp("sshd")
    homes = itertools.count()
    with sshd(folder) as server:
        yield Network(
            trials,
            server.port,
            "sftp",
            lambda port: {"HOME": str(server.home(folder / f"home{next(homes)}", port=port))},
        )


@contextmanager
def cutting(proxy: Proxy, turns: Iterator[Turn], folder: Path) -> Iterator[str]:
    """A socket; who connects to it has connections cut as the next of `turns` says."""
    path = folder / "cuts"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen(64)

        def answer() -> None:
            with suppress(OSError):
                while True:
                    asking, _ = listener.accept()
                    with asking:
                        if turn := next(turns):
                            proxy.cut_after(0, turn)

        thread = threading.Thread(target=answer)
        thread.start()
        try:
            yield str(path)
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()
    path.unlink()


@contextmanager
def tried(network: Network, name: str, turns: Iterator[Turn], folder: Path) -> Iterator[Tried]:
    """A trial of an operation by a proxy."""
    with Proxy(network.port) as proxy, cutting(proxy, turns, folder) as cuts:
        ports = [proxy.port]
        with network.trials.trial(OPERATIONS[name], reach=lambda path: network.reach(ports[0], path)) as trial:
            yield Tried(trial, proxy, cuts, ports)


def ends_well(trial: Trial, number: int) -> None:
    """All is done, and nothing is left over."""
    assert trial.operation.reached(trial)
    assert not trial.locks() and not trial.spooled()
    assert not list(trial.changed.rglob("*-temp-*"))
    program = every_restic()[number % len(every_restic())]
    trial.ground.accepts(trial.changed, trial.operation.keeps(trial), programs=[program])


TURNS: dict[str, tuple[Turn, ...]] = {
    "rest": ("up", "down", None),
    "sftp": (None, None, "up", None, None, None, "down", None),
}
BY_SFTP = ("backup", "forget and prune", "key passwd", "repair packs")
"""Connections of this kind take long to make, and what is tried again does not depend on the operation."""


@pytest.mark.parametrize(
    ("scheme", "name"), [*(("rest", name) for name in OPERATIONS), *(("sftp", name) for name in BY_SFTP)]
)
def test_connections_that_are_cut(request: pytest.FixtureRequest, tmp_path: Path, scheme: str, name: str) -> None:
    """Again and again, before the server knows of an operation and before its answer: it is tried again, and all
    that should be done is done."""
    network: Network = request.getfixturevalue(scheme)
    with tried(network, name, itertools.cycle(TURNS[scheme]), tmp_path) as (trial, proxy, cuts, _):
        outcome = trial.run(cuts=cuts, environment=network.home(proxy.port))
        assert outcome.code == 0, outcome.said
        assert proxy.cuts > 2 and "trying again" in outcome.said
        ends_well(trial, list(OPERATIONS).index(name))


@pytest.mark.parametrize("name", OPERATIONS)
def test_a_server_that_goes_away(trials: Trials, rest: Network, tmp_path: Path, name: str) -> None:
    """For good, before the last thing is written: the operation fails and nothing is lost; when the server is back,
    the rest is done."""
    operation = OPERATIONS[name]
    calls = trials.calls(operation)
    last = max(at for at, (what, kind) in enumerate(calls) if what not in READS and kind != FileKind.LOCK)
    at = last * (2 + sum(name.encode()) % 3) // 6
    gone = itertools.chain(itertools.repeat(None, at), itertools.repeat("up"))
    with tried(rest, name, gone, tmp_path) as (trial, _, cuts, ports):
        before = listing(trial.changed)
        outcome = trial.run(cuts=cuts, patience=0.05)
        assert outcome.code in (1, 11) and "Traceback" not in outcome.said, outcome
        trial.unlock(by_restic=False)
        if operation.sound and listing(trial.changed) != before:
            trial.ground.accepts(trial.changed, operation.keeps(trial), programs=every_restic()[:1])
        ports[0] = rest.port
        if not operation.reached(trial):
            for then in (False, True) if operation.then else (False,):
                again = trial.run(then=then)
                assert again.code == 0, again.said
        ends_well(trial, at)
