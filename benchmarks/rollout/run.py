"""The tables of the benchmark of rollouts.

Each way gets fresh hosts of its own (systemd-nspawn, sshd, a network namespace each; see tests/fleet), installs the
agent on them, and then does it again, where nothing is to be changed.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.measure import Run, measure
from benchmarks.processes import BIN, environment
from benchmarks.tables import Table, ratio
from deploys.facts.agent import WHEELS
from deploys.kit.source import CHECKOUT, Source
from tests.deploys.support import inventory
from tests.fleet.command import UnavailableError
from tests.fleet.fleet import Fleet, fleet
from tests.fleet.host import Host
from tests.fleet.layers import CACHE

SIZES = (3, 8)
ROUNDS = 3
"""Of what changes nothing; the first rollout can be had once on each host."""
CONFIG: dict[str, Any] = {"checks": {"cpu": {"every": "5s"}}}
PLAYBOOK = Path(__file__).with_name("playbook.yml")
DEPLOY = CHECKOUT / "deploys/agent.py"
OURS = {
    "pyinfra": [],
    "hostward-rollout, no looks, all but the canary at once": ["--samples", "0", "--batch", "100%"],
    "hostward-rollout": [],
}
"""Ways to run deploys/agent.py, with the options of each."""
THEIRS = {"ansible-playbook, pipelining": True, "ansible-playbook": False}
"""Ways to run the playbook, and whether modules are piped through the connection that is there."""
PEER = "ansible-playbook, pipelining"


@dataclass(frozen=True, slots=True)
class Found:
    """What a way took."""

    first: Run
    again: Sequence[Run]
    """Where nothing was to be changed."""
    peak: int
    """Bytes of all its processes, in one more of these."""

    @property
    def seconds(self) -> float:
        """Of a run that changes nothing."""
        return median(run.seconds for run in self.again)


def run(quick: bool) -> Iterator[Table]:
    """All ways, one after another, on each number of hosts; quick: ours on one."""
    with tempfile.TemporaryDirectory(prefix="hostward-bench-") as name:
        folder = Path(name)
        try:
            with fleet(CHECKOUT) as made:
                ansible = None if quick else _ansible(folder)
                for size in (1,) if quick else SIZES:
                    yield table(
                        measured(made, folder, size, 1 if quick else ROUNDS, ansible), size, _version(ansible)
                    )
        except UnavailableError as error:
            yield Table("The agent on real hosts", ["way", "over pyinfra"], [["all", f"no hosts here: {error}"]])


def measured(made: Fleet, folder: Path, size: int, rounds: int, ansible: Path | None) -> dict[str, Found]:
    """By the name of a way."""
    found: dict[str, Found] = {}
    payload = folder / "payload"
    for name in [*OURS, *(THEIRS if ansible is not None else ())]:
        work = folder / f"{size}-{len(found)}"
        work.mkdir()
        with made.hosts(size, made.blank) as hosts:
            variables = _variables(folder, work)
            if name in OURS:
                words = _ours(name, work, hosts)
                # What hosts need is fetched and built before the clock runs: Ansible is given it, too.
                subprocess.run(
                    [BIN / "pyinfra", work / "hosts.py", DEPLOY, "-y", "--dry"],
                    env=variables,
                    stdin=subprocess.DEVNULL,
                    capture_output=True,
                    check=True,
                )
            else:
                assert ansible is not None
                words = _theirs(ansible, work, hosts, payload)
                variables |= {"ANSIBLE_FORKS": str(size), "ANSIBLE_PIPELINING": str(THEIRS[name])}
            first = measure(words, variables, work / "log")
            if not payload.exists():
                _pack(hosts[0], payload)
            again = [measure(words, variables, work / "log") for _ in range(rounds)]
            found[name] = Found(first, again, measure(words, variables, work / "log", memory=True).pss)
    return found


def table(found: Mapping[str, Found], size: int, version: str) -> Table:
    """Each way's, over pyinfra's, and what the peer took over it."""
    base = found["pyinfra"]
    peer = found.get(PEER)
    return Table(
        f"The agent on {size} hosts",
        [
            "way",
            "first, s (CPU s)",
            "over pyinfra",
            "again, s (CPU s)",
            "over pyinfra",
            "ansible, pipelining, over it",
            "MB at the peak",
        ],
        [
            [
                name,
                f"{one.first.seconds:.1f} ({one.first.cpu:.1f})",
                ratio(one.first.seconds, base.first.seconds),
                f"{one.seconds:.2f} ({median(run.cpu for run in one.again):.1f})",
                ratio(one.seconds, base.seconds),
                ratio(peer.seconds, one.seconds) if peer is not None else "",
                f"{one.peak / 1e6:.0f}",
            ]
            for name, one in found.items()
        ],
        [version] if version else [],
    )


def _variables(folder: Path, work: Path) -> dict[str, str]:
    """The program's environment; what comes from the package index is shared with the tests of the fleet."""
    cache = folder / "cache/hostward"
    cache.mkdir(parents=True, exist_ok=True)
    (CACHE / "wheels").mkdir(exist_ok=True)
    with suppress(FileExistsError):
        (cache / "wheels").symlink_to(CACHE / "wheels")
    return {**environment(work), "XDG_CACHE_HOME": str(folder / "cache")}


def _ours(name: str, work: Path, hosts: Sequence[Host]) -> list[object]:
    path = inventory(work / "hosts.py", hosts, data={"agent": {"config": CONFIG, "patience": 240}})
    if name == "pyinfra":
        return [BIN / "pyinfra", path, DEPLOY, "-y"]
    return [BIN / "hostward-rollout", DEPLOY, "-i", path, "--yes", "--no-home", *OURS[name]]


def _theirs(ansible: Path, work: Path, hosts: Sequence[Host], payload: Path) -> list[object]:
    (work / "hosts").write_text(
        "".join(
            f"{host.name} ansible_host={host.address} ansible_user=root ansible_ssh_private_key_file={host.key} "
            f"ansible_ssh_common_args='-o UserKnownHostsFile={host.known_hosts}' "
            "ansible_python_interpreter=/usr/bin/python3\n"
            for host in hosts
        )
    )
    source = Source(CHECKOUT)
    values = {
        "version": source.version,
        "release": str(payload),
        "files": str(payload / "files"),
        "pip": (payload / "pip").read_text(),
        "units": list(source.units("agent")),
    }
    return [ansible, "-i", work / "hosts", PLAYBOOK, "--extra-vars", json.dumps(values)]


def _pack(host: Host, payload: Path) -> None:
    """What Ansible sends: the very wheels, lock, units and configuration that a host of ours got."""
    (payload / "files").mkdir(parents=True)
    wheels = host.root / WHEELS.lstrip("/")
    with tarfile.open(payload / "wheels.tar", "w") as archive:
        for wheel in sorted(wheels.glob("*.whl")):
            archive.add(wheel, wheel.name)
    shutil.copy(wheels / "lock", payload / "lock")
    (pip,) = wheels.glob("pip-*.whl")
    (payload / "pip").write_text(pip.name)
    for name, text in Source(CHECKOUT).units("agent").items():
        (payload / "files" / name).write_text(text)
    shutil.copy(host.root / "etc/hostward/agent.toml", payload / "files/agent.toml")


def _ansible(folder: Path) -> Path | None:
    """The newest that this Python runs, in an environment of its own; None where it cannot be had."""
    place = folder / "ansible"
    subprocess.run([sys.executable, "-m", "venv", place], check=True)
    done = subprocess.run(
        [place / "bin/pip", "install", "--quiet", "ansible-core"], env=os.environ, capture_output=True, check=False
    )
    return place / "bin/ansible-playbook" if done.returncode == 0 else None


def _version(ansible: Path | None) -> str:
    if ansible is None:
        return "No Ansible was measured."
    said = subprocess.run([ansible, "--version"], capture_output=True, text=True, check=True).stdout
    return said.partition("\n")[0]
