"""Twenty hosts that back up at once: into home, and into the servers of restic's protocol that others have."""

from __future__ import annotations

import itertools
import json
import os
import random
import shutil
import subprocess
import sysconfig
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

import psutil
import requests

from benchmarks.backup.corpora import MIB
from benchmarks.backup.tools import Hostward, Restic, Tool, installed, version
from benchmarks.peers import free_port
from benchmarks.processes import BIN, START, call, collector, running, serving, weigh
from benchmarks.tables import Table, ratio
from tests import newer

HOSTS = 20
AMOUNT = 32 * MIB
"""Bytes of each host."""
ROUNDS = 3
_LOOK = 0.2
"""Seconds between looks at a server's memory."""


@dataclass(frozen=True)
class Served:
    """A server that is up."""

    process: subprocess.Popen[bytes]
    hosts: Sequence[Mapping[str, str]]
    """For each host the variables by which restic finds its repository."""


Serve = Callable[[Path, int], AbstractContextManager[Served]]
"""Takes a folder of its own and how many hosts there are."""


@dataclass
class Seen:
    """What one round of all hosts took."""

    seconds: list[float]
    """Of each host."""
    wall: float
    server_cpu: float
    server_pss: int


@dataclass
class Row:
    """One server with one client."""

    server: str
    client: str
    seen: list[Seen] = field(default_factory=list)


def run(quick: bool) -> Iterator[Table]:
    """Every server with every client; the servers in turn, round by round."""
    hosts, amount = (2, MIB) if quick else (HOSTS, AMOUNT)
    with tempfile.TemporaryDirectory(prefix="hostward-bench-", dir="/var/tmp") as name:
        place = Path(name)
        sources = [_source(place / "sources" / f"{number:02}", number, amount) for number in range(hosts)]
        clients = [tool for tool in installed(place / "homes") if isinstance(tool, Hostward | Restic)]
        servers = _servers()
        if quick:
            clients, servers = clients[-1:], dict([*servers.items()][:2])
        rows = [Row(server, client.name) for server in servers for client in clients]
        for number in range(1 if quick else ROUNDS):
            for (server, serve), client in itertools.product(servers.items(), clients):
                row = next(row for row in rows if (row.server, row.client) == (server, client.name))
                row.seen.append(_round(place / f"round-{number}", serve, client, sources, settled=not quick))
        yield _table(rows, {client.name: version(client) for client in clients}, hosts, amount)


def _servers() -> dict[str, Serve]:
    """By name, ours first."""
    found: dict[str, Serve] = {"hostward-collector": _home}
    if (rclone := Path(sysconfig.get_path("scripts"), "rclone")).exists():
        found["rclone serve restic"] = _rclone(rclone)
    if newer.REST_SERVER.exists():
        found["rest-server"] = _rest_server
    return found


@contextmanager
def _home(folder: Path, hosts: int) -> Iterator[Served]:
    """A collector with hosts that are enrolled."""
    with collector() as (home, place):
        (place / "collector.toml").write_text(f'[backups]\nplace = "{folder}"\nkeep_free = "1MiB"\n')
        with serving(home, place, "--config", place / "collector.toml") as (url, process):
            variables = []
            for number in range(hosts):
                state = place / f"host-{number}"
                token = call(place, BIN / "hostward-collector", "token", "create", "--data-dir", home)
                words = ("enroll", "--collector", url, "--ca", home / "ca.pem", "--token-file", "-")
                call(place, BIN / "hostward", *words, "--name", f"host-{number}", "--state-dir", state, stdin=token)
                shown = call(place, BIN / "hostward", "backup", "credentials", "--state-dir", state, "--json")
                variables.append(json.loads(shown))
            yield Served(process, variables)


def _rclone(program: Path) -> Serve:
    @contextmanager
    def serve(folder: Path, hosts: int) -> Iterator[Served]:
        port = free_port()
        with collector() as (home, place):  # for a certificate
            words = ("--cert", home / "server.pem", "--key", home / "server.pem", "--append-only")
            command = (program, "serve", "restic", folder, "--addr", f"127.0.0.1:{port}", *words)
            with running(place, *command, "--config", place / "rclone.conf") as process:
                yield Served(process, _places(home / "ca.pem", port, hosts))

    return serve


@contextmanager
def _rest_server(folder: Path, hosts: int) -> Iterator[Served]:
    port = free_port()
    with collector() as (home, place):
        words = ("--tls", "--tls-cert", home / "server.pem", "--tls-key", home / "server.pem", "--no-auth")
        command = (newer.REST_SERVER, "--path", folder, "--listen", f"127.0.0.1:{port}", "--append-only", *words)
        with running(place, *command) as process:
            yield Served(process, _places(home / "ca.pem", port, hosts))


def _places(ca: Path, port: int, hosts: int) -> list[Mapping[str, str]]:
    """A repository for each host of a server that asks for no password, once it answers."""
    url = f"https://localhost:{port}/"
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        try:
            requests.get(url, verify=str(ca), timeout=5)
            break
        except requests.ConnectionError:
            time.sleep(0.05)
    return [{"RESTIC_REPOSITORY": f"rest:{url}host-{n}/", "RESTIC_CACERT": str(ca)} for n in range(hosts)]


def _source(path: Path, seed: int, amount: int) -> Path:
    """What no other host has: half of it can be compressed."""
    path.mkdir(parents=True)
    source = random.Random(seed)
    for number in range(max(amount // (4 * MIB), 1)):
        pieces = (source.randbytes(65536) if n % 2 else source.randbytes(256) * 256 for n in range(64))
        (path / f"file-{number}").write_bytes(b"".join(pieces)[:amount])
    return path


def _round(folder: Path, serve: Serve, client: Tool, sources: Sequence[Path], *, settled: bool) -> Seen:
    (folder / "repositories").mkdir(parents=True)
    with serve(folder / "repositories", len(sources)) as served:
        commands = []
        for number, (variables, source) in enumerate(zip(served.hosts, sources, strict=True)):
            (own := folder / f"home-{number}").mkdir()
            environment = {**client.variables(), **variables, "HOME": str(own)}
            repository = Path("unused")  # both take it from the environment
            for command in (client.init(repository), client.backup(repository, source, verify=True)):
                at = [str(word) for word in command]
                del at[at.index("--repo") : at.index("--repo") + 2]
                commands.append((at, environment, folder / f"log-{number}"))
        for first in commands[::2]:
            _ended(*first, _started(*first))
        if settled:
            os.sync()
        seen = _at_once(served.process, commands[1::2])
    shutil.rmtree(folder)
    return seen


def _at_once(server: subprocess.Popen[bytes], commands: Sequence[tuple[list[str], dict[str, str], Path]]) -> Seen:
    before, peak, over = weigh(server).cpu, [0], threading.Event()

    def watch() -> None:
        while not over.wait(_LOOK):
            peak[0] = max(peak[0], psutil.Process(server.pid).memory_full_info().pss)

    watcher = threading.Thread(target=watch)
    watcher.start()
    began = time.perf_counter()
    took = [0.0] * len(commands)

    def finish(number: int, process: subprocess.Popen[bytes]) -> None:
        process.wait()
        took[number] = time.perf_counter() - began

    processes = [_started(*command) for command in commands]
    waiters = [threading.Thread(target=finish, args=(number, each)) for number, each in enumerate(processes)]
    for waiter in waiters:
        waiter.start()
    for waiter in waiters:
        waiter.join()
    wall = time.perf_counter() - began
    over.set()
    watcher.join()
    for command, process in zip(commands, processes, strict=True):
        _ended(*command, process)
    return Seen(took, wall, weigh(server).cpu - before, peak[0])


def _started(command: Sequence[str], variables: Mapping[str, str], log: Path) -> subprocess.Popen[bytes]:
    with log.open("wb") as output:
        return subprocess.Popen(command, env=dict(variables), stdin=subprocess.DEVNULL, stdout=output, stderr=output)


def _ended(
    command: Sequence[str], _variables: Mapping[str, str], log: Path, process: subprocess.Popen[bytes]
) -> None:
    """Raises RuntimeError where it failed."""
    if code := process.wait():
        raise RuntimeError(f"{' '.join(command)} ended with {code}:\n{log.read_text()[-2000:]}")


def _table(rows: Sequence[Row], versions: Mapping[str, str], hosts: int, amount: int) -> Table:
    def total(row: Row) -> float:
        return median(seen.wall for seen in row.seen)

    ours = {row.client: total(row) for row in rows if row.server == "hostward-collector"}
    return Table(
        f"{hosts} hosts back up {amount / MIB:.0f} MiB each at once",
        [
            "server",
            "client",
            "all done after, s",
            "over hostward-collector",
            "MiB/s",
            "slowest host over fastest",
            "CPU s of the server",
            "MB of the server",
        ],
        [
            [
                row.server,
                versions[row.client],
                f"{total(row):.1f}",
                ratio(total(row), ours[row.client]),
                f"{hosts * amount / MIB / total(row):.0f}",
                ratio(*(median(pick(seen.seconds) for seen in row.seen) for pick in (max, min))),
                f"{median(seen.server_cpu for seen in row.seen):.1f}",
                f"{median(seen.server_pss for seen in row.seen) / 1e6:.0f}",
            ]
            for row in rows
        ],
        [
            f"Medians of {len(rows[0].seen)} rounds. Clients and server share this machine, all speak TLS. The "
            "collector asks for a password and checks and syncs each file before it is acknowledged, rclone and "
            "rest-server ask for none here. The memory is the server's at its peak (PSS)."
        ],
    )
