"""The agents that administrators know, each set to look at the host every INTERVAL, and asked as its server would."""

from __future__ import annotations

import random
import shutil
import socket
import struct
import urllib.request
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

INTERVAL = 15
"""Seconds."""
ZABBIX_ITEMS = (
    "agent.ping",
    "kernel.maxfiles",
    "kernel.maxproc",
    "net.if.discovery",
    "proc.num[]",
    "proc.num[,,run]",
    "system.boottime",
    "system.cpu.discovery",
    "system.cpu.intr",
    "system.cpu.num",
    "system.cpu.switches",
    "system.hostname",
    "system.localtime",
    "system.swap.size[,total]",
    "system.swap.size[,free]",
    "system.swap.size[,pfree]",
    "system.sw.arch",
    "system.uname",
    "system.uptime",
    "system.users.num",
    "vfs.dev.discovery",
    "vfs.file.cksum[/etc/passwd]",
    "vfs.fs.discovery",
    *(f"system.cpu.load[{which},{window}]" for which in ("all", "percpu") for window in ("avg1", "avg5", "avg15")),
    *(
        f"system.cpu.util[,{mode}]"
        for mode in ("user", "system", "idle", "nice", "iowait", "steal", "interrupt", "softirq", "guest")
    ),
    *(f"vm.memory.size[{what}]" for what in ("total", "available", "pavailable", "used", "cached", "buffers")),
    *(f"vfs.fs.size[/,{what}]" for what in ("total", "used", "free", "pused", "pfree")),
    *(f"vfs.fs.inode[/,{what}]" for what in ("total", "used", "pfree")),
    *(f"net.if.in[lo,{what}]" for what in ("bytes", "packets", "errors", "dropped")),
    *(f"net.if.out[lo,{what}]" for what in ("bytes", "packets", "errors", "dropped")),
)
"""What Zabbix's own template for a Linux host asks of the agent, for one disk and one interface."""
COLLECTD_PLUGINS = (
    "cpu",
    "memory",
    "load",
    "swap",
    "df",
    "disk",
    "interface",
    "processes",
    "vmem",
    "uptime",
    "users",
    "entropy",
    "contextswitch",
    "irq",
    "fhcount",
    "csv",
)


@dataclass(frozen=True, slots=True)
class Started:
    """How to start a peer, and what its server does at each interval."""

    command: Sequence[object]
    ask: Callable[[], None] | None = None


@dataclass(frozen=True, slots=True)
class Peer:
    """An agent that may be installed here."""

    name: str
    programs: Sequence[str]
    """Under which names it may be found, Debian's first."""
    package: str
    start: Callable[[Path, str], Started]
    """Takes a folder of its own and the program's path."""

    def program(self) -> str | None:
        """Its path, None where it is not installed."""
        return next(filter(None, (shutil.which(name) for name in self.programs)), None)


def free_port() -> int:
    """A port that nobody listens at now. Below 32768, for zabbix-agent2 takes no other."""
    while True:
        with socket.socket() as probe, suppress(OSError):
            probe.bind(("127.0.0.1", random.randrange(20_000, 32_768)))
            return int(probe.getsockname()[1])


def _get(url: str) -> None:
    with urllib.request.urlopen(url, timeout=10) as answer:
        answer.read()


def _node_exporter(_folder: Path, program: str) -> Started:
    address = f"127.0.0.1:{free_port()}"
    return Started([program, f"--web.listen-address={address}"], lambda: _get(f"http://{address}/metrics"))


def _zabbix(folder: Path, program: str) -> Started:
    port = free_port()
    configuration = folder / "zabbix_agent2.conf"
    configuration.write_text(
        f"Hostname=benchmark\nServer=127.0.0.1\nListenIP=127.0.0.1\nListenPort={port}\nLogType=console\n"
        f"ControlSocket={folder}/control.sock\nPluginSocket={folder}/plugin.sock\n"
    )

    def ask() -> None:
        for item in ZABBIX_ITEMS:
            with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
                # https://www.zabbix.com/documentation/6.0/en/manual/appendix/protocols/header_datalen
                connection.sendall(b"ZBXD\x01" + struct.pack("<II", len(item), 0) + item.encode())
                while connection.recv(65536):
                    pass

    return Started([program, "-f", "-c", configuration], ask)


def _collectd(folder: Path, program: str) -> Started:
    configuration = folder / "collectd.conf"
    plugins = "\n".join(f"LoadPlugin {name}" for name in COLLECTD_PLUGINS)
    configuration.write_text(
        f'Hostname "benchmark"\nFQDNLookup false\nInterval {INTERVAL}\nBaseDir "{folder}"\n'
        f'PIDFile "{folder}/collectd.pid"\n{plugins}\n<Plugin csv>\n  DataDir "{folder}/csv"\n</Plugin>\n'
    )
    return Started([program, "-f", "-C", configuration])


def _netdata(folder: Path, program: str) -> Started:
    configuration = folder / "netdata.conf"
    places = ("cache", "lib", "log")
    for place in places:
        (folder / place).mkdir()
    # As its package sets it up, but at the others' interval and without a registry or statistics of its own.
    configuration.write_text(
        f"[global]\n  hostname = benchmark\n[db]\n  update every = {INTERVAL}\n[directories]\n"
        + "".join(f"  {place} = {folder / place}\n" for place in places)
        + f"[web]\n  bind to = 127.0.0.1:{free_port()}\n[statsd]\n  enabled = no\n"
    )
    return Started([program, "-D", "-u", "root", "-c", configuration])


def _glances(folder: Path, program: str) -> Started:
    file = folder / "glances.csv"
    return Started([program, "--quiet", "--time", INTERVAL, "--export", "csv", "--export-csv-file", file])


PEERS = (
    Peer(
        "node_exporter, scraped",
        ("prometheus-node-exporter", "node_exporter"),
        "prometheus-node-exporter",
        _node_exporter,
    ),
    Peer(f"zabbix-agent2, {len(ZABBIX_ITEMS)} items asked", ("zabbix_agent2",), "zabbix-agent2", _zabbix),
    Peer("collectd, writing CSV", ("collectd",), "collectd-core", _collectd),
    Peer("netdata", ("netdata",), "netdata", _netdata),
    Peer("glances, writing CSV", ("glances",), "glances", _glances),
)
