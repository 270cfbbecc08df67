"""How many reports a collector acknowledges: simulated hosts with keys, signatures and TLS against the real server.

Requests are signed before the clock starts, so that the machine is left to the collector. They travel by connections
that are kept, the hosts in turn, and each is answered only after its report is committed.
"""

from __future__ import annotations

import asyncio
import os
import secrets
import ssl
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import quantiles

import msgspec
import psutil
import uvloop

from agent.checks.runner import rounded
from benchmarks.processes import collector, serving
from benchmarks.tables import Table, ratio
from benchmarks.workload import INTERVAL, Host
from collector.rules.intake import HostRecord
from collector.store.database import open_database
from collector.store.hosts import add_host
from kit.version import __version__
from wire import codec, protocol, signature
from wire.report import CheckState, Report

HOSTS = 2000
CONNECTIONS = 64
"""How many reports are on their way at once, at full speed."""
RATE = 500.0
"""Reports a second of the run that is not at full speed."""
BUDGET = 1500.0
"""Reports a second."""
FLEET = 500
"""Hosts whose share of a core is told."""


@dataclass(slots=True)
class Sender:
    """One host: its key, and its place in its stream of reports."""

    key: signature.PrivateKey
    id: str
    source: Host
    epoch: str
    sequence: int = 0

    def report(self) -> Report:
        """The next report, its values with as many digits as agents keep."""
        self.sequence += 1
        now = time.time()
        readings = [msgspec.structs.replace(r, value=rounded(r.value)) for r in self.source.sample(now)]
        checks = [
            CheckState(name=name, kind=name, state="ok", message="within bounds", since=now, time=now, interval=15)
            for name in dict.fromkeys(reading.check for reading in readings)
        ]
        return Report(
            host=self.id,
            epoch=self.epoch,
            sequence=self.sequence,
            boot="benchmark",
            agent=__version__,
            time=now,
            interval=INTERVAL,
            checks=checks,
            readings=readings,
        )

    def request(self) -> bytes:
        """The next report, signed, as it goes over the wire."""
        headers = {"Content-Type": protocol.REPORT_TYPE, "Content-Encoding": protocol.REPORT_ENCODING}
        return request(self.key, self.id, protocol.REPORTS, codec.encode(self.report()), headers)


def request(key: signature.PrivateKey, key_id: str, target: str, body: bytes, headers: dict[str, str]) -> bytes:
    """A signed POST."""
    nonce = secrets.token_urlsafe(18)
    signed = signature.sign(key, "POST", target, body, created=round(time.time()), nonce=nonce, key_id=key_id)
    lines = [f"POST {target} HTTP/1.1", "Host: localhost", f"Content-Length: {len(body)}"]
    lines += (f"{name}: {value}" for name, value in {**headers, **signed}.items())
    return "\r\n".join([*lines, "", ""]).encode() + body


class Connection:
    """A kept connection that sends a request and waits for its answer."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._reader = reader
        self._writer = writer

    @classmethod
    async def open(cls, port: int, context: ssl.SSLContext) -> Connection:
        """Connected, TLS and all."""
        return cls(*await asyncio.open_connection("127.0.0.1", port, ssl=context, server_hostname="localhost"))

    async def post(self, data: bytes) -> tuple[float, bytes]:
        """Seconds until the answer was there, and its body. Raises RuntimeError for any answer but 200."""
        began = time.perf_counter()
        self._writer.write(data)
        head = await self._reader.readuntil(b"\r\n\r\n")
        lines = head.decode().lower().split("\r\n")
        length = next(int(line.partition(":")[2]) for line in lines if line.startswith("content-length:"))
        body = await self._reader.readexactly(length)
        taken = time.perf_counter() - began
        if lines[0].split()[1] != "200":
            raise RuntimeError(f"the collector refuses: {body.decode()}")
        return taken, body

    async def close(self) -> None:
        """End it."""
        self._writer.close()
        await self._writer.wait_closed()


def run(quick: bool) -> Iterator[Table]:
    """At full speed, then at a steady rate."""
    hosts, each = (100, (1, 5, 5)) if quick else (HOSTS, (1, 9, 5))
    with collector() as (home, folder):
        senders = [Sender(signature.generate_key(), f"{n:016x}", Host(n), secrets.token_hex(8)) for n in range(hosts)]
        provide(home, senders)
        before = stored(home)
        with serving(home, folder) as (url, server), apart(server.pid):
            port = int(url.rpartition(":")[2])
            rows = uvloop.run(drive(port, home / "ca.pem", senders, psutil.Process(server.pid), each))
        reports = hosts * sum(each)
        last = senders[0].report()
        sizes = f"{len(msgspec.json.encode(last)) / 1000:.1f} KB, {len(codec.encode(last)) / 1000:.1f} KB as sent"
        yield Table(
            f"Ingest: {hosts} hosts, {reports} reports of {len(last.readings)} readings ({sizes})",
            [
                "load",
                "reports/s acknowledged",
                f"of the budget of {BUDGET:.0f}",
                "p50 / p99 ms",
                "CPU a report, µs",
                f"{FLEET} hosts take of a core",
                "RSS MB",
            ],
            rows,
            [
                "The collector has one core; the hosts are one process on another. "
                "Their requests were signed beforehand, and each host had sent one report before the clock started.",
                f"On disk {(stored(home) - before) / reports:.0f} bytes a report, hosts and series included, before "
                "what was taken in is packed into blocks of an hour.",
            ],
        )


def stored(home: Path) -> int:
    """Bytes of the database, where nobody writes to it."""
    return sum(file.stat().st_size for file in home.glob("collector.db*"))


@contextmanager
def apart(server: int) -> Iterator[None]:
    """The process `server` on one core and this one on the others, so that neither takes the other's time."""
    cores = os.sched_getaffinity(0)
    own, *others = sorted(cores)
    # A thread is moved by itself, and some have been started by now.
    for thread in psutil.Process(server).threads():
        os.sched_setaffinity(thread.id, {own})
    os.sched_setaffinity(0, others or cores)
    try:
        yield
    finally:
        os.sched_setaffinity(0, cores)


def provide(home: Path, senders: Sequence[Sender]) -> None:
    """Make the hosts known: two thousand enrolments would take longer than the benchmark."""
    database = open_database(home / "collector.db")
    now = time.time()
    try:
        with database.write() as connection:
            for number, sender in enumerate(senders):
                record = HostRecord(
                    id=sender.id,
                    name=f"host-{number}",
                    enrolled=now,
                    agent=__version__,
                    facts={},
                    since=now,
                    message="Enrolled; no report has come yet.",
                )
                add_host(connection, record, bytes(sender.key.verify_key))
    finally:
        database.close()


async def drive(
    port: int, ca: Path, senders: Sequence[Sender], server: psutil.Process, each: tuple[int, int, int]
) -> list[list[str]]:
    """Send so many reports from each: that home knows its series, at full speed, at RATE. A row for the last two."""
    context = ssl.create_default_context(cafile=ca)
    rows: list[list[str]] = []
    phases = ("", None), ("as fast as it goes", None), (f"{RATE:.0f} a second", RATE)
    for number, (name, rate) in zip(each, phases, strict=True):
        requests = [sender.request() for _ in range(number) for sender in senders]
        # Only now, for home closes a connection that nothing comes by.
        connections = [await Connection.open(port, context) for _ in range(CONNECTIONS)]
        cpu, began = sum(server.cpu_times()[:2]), time.perf_counter()
        waits = await asyncio.gather(
            *(
                send(
                    connection,
                    requests[place::CONNECTIONS],
                    began,
                    None if rate is None else (place / rate, CONNECTIONS / rate),
                )
                for place, connection in enumerate(connections)
            )
        )
        seconds = time.perf_counter() - began
        cpu = sum(server.cpu_times()[:2]) - cpu
        for connection in connections:
            await connection.close()
        if not name:
            continue
        taken = [wait for part in waits for wait in part]
        percent = quantiles(taken, n=100)
        rows.append(
            [
                name,
                f"{len(taken) / seconds:.0f}",
                ratio(len(taken) / seconds, BUDGET) if rate is None else "",
                f"{1000 * percent[49]:.1f} / {1000 * percent[98]:.1f}",
                f"{1e6 * cpu / len(taken):.0f}",
                f"{100 * cpu / len(taken) * FLEET / INTERVAL:.1f} %",
                f"{server.memory_info().rss / 1e6:.0f}",
            ]
        )
    return rows


async def send(
    connection: Connection, requests: Sequence[bytes], began: float, pace: tuple[float, float] | None
) -> list[float]:
    """Seconds that each answer took; `pace` says when the first is due after `began`, and how far apart they are.

    A report that could not be sent in time because the one before was not answered has waited since it was due.
    """
    taken: list[float] = []
    for number, data in enumerate(requests):
        late = 0.0
        if pace is not None:
            due = began + pace[0] + number * pace[1]
            await asyncio.sleep(max(due - time.perf_counter(), 0))
            late = time.perf_counter() - due
        wait, _ = await connection.post(data)
        taken.append(wait + late)
    return taken
