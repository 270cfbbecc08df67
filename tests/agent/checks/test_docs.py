"""Every kind of check has its place in docs/checks.md, its cases, and says what it reads."""

from __future__ import annotations

import re
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.checks.certificate import CertificateCheck, CertificateOptions
from agent.checks.command import CommandOptions, PluginCommand
from agent.checks.container import ContainerOptions
from agent.checks.container import derive as derive_containers
from agent.checks.contract import Check, CommandCheck, Context, Finished, Sample
from agent.checks.cpu import Cpu, CpuOptions
from agent.checks.disk import Disk, DiskOptions, RemoteDisk, RemoteDiskOptions
from agent.checks.disk_io import DiskIo, DiskIoOptions
from agent.checks.dns import Answer as DnsAnswer
from agent.checks.dns import DnsOptions, Question
from agent.checks.dns import derive as derive_dns
from agent.checks.engine import Container
from agent.checks.file import File, FileOptions
from agent.checks.http import Http, HttpOptions
from agent.checks.log import Journal, Log, LogOptions, Pattern
from agent.checks.memory import Memory, MemoryOptions
from agent.checks.network import Network, NetworkOptions
from agent.checks.ntp import Exchange
from agent.checks.ntp import derive as derive_ntp
from agent.checks.packages import Pending, UpdatesMemory
from agent.checks.pressure import Pressure, PressureOptions
from agent.checks.process import Process, ProcessOptions
from agent.checks.registry import CHECKS, load
from agent.checks.sntp import Answer
from agent.checks.systemd import Systemd, SystemdOptions
from agent.checks.tcp import Tcp, TcpOptions
from agent.checks.textfile import Textfile, TextfileOptions
from agent.checks.timesync import derive as derive_time
from agent.checks.updates import Host, UpdatesOptions
from agent.checks.updates import derive as derive_updates
from agent.config.load import load as load_configuration
from agent.paths import System
from tests.agent.checks import (
    test_backup,
    test_cpu,
    test_disk_io,
    test_drill,
    test_memory,
    test_mysql,
    test_network,
    test_postgresql,
    test_pressure,
    test_process,
    test_rabbitmq,
    test_redis,
    test_rotation,
    test_sqlite,
    test_systemd,
    test_timesync,
)
from tests.agent.checks.journals import write_journal
from tests.agent.checks.servers import certificate, serve
from tests.agent.checks.tree import NOW, collect, tree

ROW = re.compile(r"^\| `([a-z_]+)` \|([^|]*)\|([^|]*)\|", re.MULTILINE)


@pytest.fixture(scope="module")
def sections() -> dict[str, str]:
    """Heading to text."""
    text = (Path(__file__).resolve().parents[3] / "docs" / "checks.md").read_text()
    parts = re.split(r"^## (.+)$", text, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def documented(section: str) -> dict[str, tuple[str, set[str]]]:
    """Reading to its unit and labels."""
    return {
        name: (unit.strip(), set(re.findall(r"`(\w+)`", labels.split(":")[0])))
        for name, unit, labels in ROW.findall(section)
    }


def twice(check: Check[Any], system: System, then: dict[str, str] | None = None) -> Sample:
    first = collect(check, system)
    return collect(check, tree(system.root, then or {}), after=first)


def printed(check: CommandCheck[Any], output: str) -> Sample:
    return check.parse(Context(system=System(), now=NOW), Finished(0, output, ""))


def of_tcp(_: Path) -> Sample:
    with socket.create_server(("127.0.0.1", 0)) as server:
        return collect(Tcp(TcpOptions(host="127.0.0.1", port=server.getsockname()[1])))


def of_http(_: Path) -> Sample:
    with serve() as server:
        return collect(Http(HttpOptions(url=f"{server.url}/health")))


def of_remote_disk(root: Path) -> Sample:
    line = f"30 1 0:30 / {root} rw - nfs4 home:/export rw\n"
    return collect(RemoteDisk(RemoteDiskOptions()), tree(root, {"proc/self/mountinfo": line}))


def of_certificate(root: Path) -> Sample:
    _, file = certificate(root)
    options = CertificateOptions(files=(str(file),), ca_file=str(file))
    return collect(CertificateCheck(options))


def of_log(root: Path) -> Sample:
    """Of a file and of a journal together."""
    pattern = Pattern(name="p", match="(?P<address>[0-9.]+)")
    (root / "x.log").write_text("1.1.1.1\n")
    write_journal(root / "journal", [{"MESSAGE": "1.1.1.1"}])
    files = LogOptions(files=(str(root / "x.log"),), patterns=(pattern,), begin="beginning")
    journal = LogOptions(journal=Journal(directory=str(root / "journal")), patterns=(pattern,), begin="beginning")
    samples = [collect(Log(options)) for options in (files, journal)]
    return Sample([m for sample in samples for m in sample.measurements])


def of_textfile(root: Path) -> Sample:
    return collect(Textfile(TextfileOptions(folders=("/f",))), tree(root, {"f/a.prom": "# nothing\n"}))


CONTAINERS = [
    Container("1", "a", "running", health="healthy", started=NOW),
    Container("2", "b", "exited", finished=NOW),
]

PLUGIN = "OK | a=1 b=1% c=1s d=1B e=1c"

SAMPLES: dict[str, Callable[[Path], Sample]] = {
    "backup": test_backup.sample,
    "certificate": of_certificate,
    "command": lambda root: printed(PluginCommand(CommandOptions(command=("x",))), PLUGIN),
    "container": lambda root: derive_containers(ContainerOptions(), CONTAINERS, {}, NOW),
    "cpu": lambda root: twice(
        Cpu(CpuOptions()),
        tree(root, {"proc/stat": test_cpu.BEFORE, "proc/loadavg": test_cpu.LOAD}),
        {"proc/stat": test_cpu.AFTER},
    ),
    "dns": lambda root: derive_dns(
        DnsOptions(names=("x",)), [(Question("x", "A", "r"), DnsAnswer(0.1, "NOERROR", ["y"]))]
    ),
    "disk": lambda root: collect(Disk(DiskOptions(mounts=("/",)))),
    "disk_io": lambda root: twice(
        DiskIo(DiskIoOptions()),
        tree(root, test_disk_io.WHOLE | {"proc/diskstats": test_disk_io.BEFORE}),
        {"proc/diskstats": test_disk_io.AFTER},
    ),
    "drill": test_drill.sample,
    "file": lambda root: collect(File(FileOptions(paths=("/x",))), tree(root, {"x": "x"})),
    "http": of_http,
    "log": of_log,
    "memory": lambda root: collect(
        Memory(MemoryOptions()), tree(root, {"proc/meminfo": test_memory.MEMINFO, "proc/vmstat": test_memory.VMSTAT})
    ),
    "mysql": lambda root: test_mysql.whole(),
    "network": lambda root: twice(Network(NetworkOptions()), tree(root, test_network.dev(eth0=(1, 1, 1, 1, 1, 1)))),
    "ntp": lambda root: derive_ntp("x", Exchange(Answer(1, True, 0, 0, NOW, NOW), NOW, NOW)),
    "postgresql": lambda root: test_postgresql.whole(),
    "pressure": lambda root: twice(Pressure(PressureOptions()), tree(root, test_pressure.pressure())),
    "process": lambda root: twice(
        Process(ProcessOptions(name="x")), tree(root, test_process.proc(test_process.stat(7, "x")))
    ),
    "rabbitmq": lambda root: test_rabbitmq.whole(),
    "redis": lambda root: test_redis.whole(),
    "remote_disk": of_remote_disk,
    "rotation": lambda root: test_rotation.whole(),
    "sqlite": test_sqlite.whole,
    "systemd": lambda root: printed(Systemd(SystemdOptions(units=("nginx",))), test_systemd.OUTPUT),
    "tcp": of_tcp,
    "textfile": of_textfile,
    "time": lambda root: derive_time(test_timesync.IN_STEP),
    "updates": lambda root: derive_updates(
        UpdatesOptions(), Pending(), Host(lists=NOW, services=()), UpdatesMemory(), NOW
    ),
}
"""A sample of each kind that holds all that it can measure."""


@pytest.mark.parametrize("kind", CHECKS)
def test_what_a_check_measures_is_documented(kind: str, sections: dict[str, str], tmp_path: Path) -> None:
    """Every reading with its unit and its labels, and no reading that there is not."""
    sample = SAMPLES[kind](tmp_path)
    measured = {m.name: (m.unit, set(m.labels)) for m in sample.measurements}
    if kind == "command":
        measured["plugin_value"] = ("as the plugin has it", {"label"})
    told = documented(sections["disk" if kind == "remote_disk" else kind])
    # Where the file system has no fixed number of inodes, and until there is a history.
    optional = {"disk_inodes_used_percent", "disk_full_days"} - measured.keys()
    assert measured == {name: unit for name, unit in told.items() if name not in optional}
    assert [finding for finding in sample.findings if finding.state == "unknown"] == []


@pytest.mark.parametrize("kind", CHECKS)
def test_a_check_has_its_section_its_options_and_its_cases(kind: str, sections: dict[str, str]) -> None:
    """One heading, a link to its options, a line in the table of kinds, an example, and a file of tests."""
    assert f"(configuration.md#{kind})" in sections[kind]
    assert "```toml" in sections[kind]
    text = (Path(__file__).resolve().parents[3] / "docs" / "checks.md").read_text()
    assert f"| [{kind}](#{kind}) |" in text
    module = load(kind).__module__.rpartition(".")[2]
    assert (Path(__file__).parent / f"test_{module}.py").exists()


def test_every_example_is_a_valid_configuration(sections: dict[str, str], tmp_path: Path) -> None:
    """As the agent reads it, with the options of the section's own kind."""
    count = 0
    for heading, section in sections.items():
        for block in re.findall(r"^```toml\n(.*?)^```$", section, flags=re.MULTILINE | re.DOTALL):
            file = tmp_path / "agent.toml"
            file.write_text(block)
            config = load_configuration(file, must_exist=True)
            assert config.checks
            if heading in CHECKS:
                assert {options.type or name for name, options in config.checks.items()} == {heading}
            count += 1
    assert count > len(CHECKS)


@pytest.mark.parametrize("kind", CHECKS)
def test_defaults_are_the_options_of_their_kind(kind: str) -> None:
    """A check that is there by itself is turned on."""
    check = load(kind)
    options = check.default(System())
    if options is not None:
        assert type(options) is check.Options
        assert options.enabled


def test_a_kind_that_is_not_registered_is_an_error() -> None:
    """The registry invents nothing."""
    with pytest.raises(KeyError):
        load("nonsense")
