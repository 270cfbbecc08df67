"""Waves over real hosts: what ssh, sudo, full disks and power cuts do to them."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path
from typing import Any

import pytest

from rollout.protocol import Began, Health, Looked, Message, Phase
from tests.deploys.support import connection
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.rollout.engine.support import carried_out, ended, of, without_agent, write

PASSWORD = "a-pass-word"
PREPARE = f"""\
set -e
useradd --create-home --shell /bin/bash admin
echo 'admin:{PASSWORD}' | chpasswd
echo 'admin ALL=(ALL) ALL' >/etc/sudoers.d/admin
install -d -o admin -m 700 ~admin/.ssh
install -o admin -m 600 ~/.ssh/authorized_keys ~admin/.ssh/authorized_keys
systemctl start hostward-agent.service
mkdir /small && mount -t tmpfs -o size=16k tmpfs /small
"""
DEPLOY = """\
from io import StringIO
from pyinfra import host
from pyinfra.operations import files, server

if host.data.get("big"):
    files.put(name="place", src=StringIO("x" * 100_000), dest="/small/big")
server.shell(name="whoami", commands=["test $(id -u) = 0"])
if host.data.get("long"):
    server.shell(name="long", commands=["sleep 600"])
"""


def ways(host: Host, folder: Path) -> dict[str, dict[str, Any]]:
    """The same host, reached well and badly."""
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / "other")], check=True)
    kind, key, _ = (folder / "other.pub").read_text().split()
    (folder / "wrong").write_text(f"{host.address} {kind} {key}\n")
    (folder / "empty").write_text("")
    (folder / "config").write_text(
        f"Host behind\n  ProxyJump {host.address}\nHost *\n  UserKnownHostsFile {folder}/empty\n"
    )
    root = connection(host)
    admin = {**root, "ssh_user": "admin", "_sudo": True}
    # Keys must be known also where the inventory says nothing of it.
    silent = {key: value for key, value in root.items() if key != "ssh_strict_host_key_checking"}
    nowhere = host.address.rpartition(".")[0] + ".250"
    return {
        "good": root,
        "sudo": {**admin, "_sudo_password": PASSWORD},
        "wrong-sudo": {**admin, "_sudo_password": "another-word"},
        "no-sudo": admin,
        "wrong-key": {**root, "ssh_key": str(folder / "other")},
        "wrong-host-key": {**root, "ssh_known_hosts_file": str(folder / "wrong")},
        "unknown-host-key": {**silent, "ssh_known_hosts_file": str(folder / "empty")},
        "behind": {**root, "ssh_hostname": "behind", "ssh_config_file": str(folder / "config")},
        "full": {**root, "big": True},
        "nowhere": {**root, "ssh_hostname": nowhere},
    }


def logins(host: Host) -> int:
    """How often somebody was let in by ssh."""
    return int(
        host.run("journalctl --sync; journalctl --quiet --unit=ssh.service --grep='^Accepted ' | wc -l").stdout
    )


def test_hosts_fail_with_one_sentence_each_and_never_hang(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of those that cannot be reached nothing was done; a host that dies in the middle is noticed."""
    # Nothing of whoever runs the tests: their keys, and the hosts that they know.
    monkeypatch.setenv("HOME", str(tmp_path))
    with fleet.hosts(1) as [host], without_agent():
        host.run(PREPARE)
        rows = ways(host, tmp_path)
        write(tmp_path, DEPLOY, {**rows, "dies": {**connection(host), "long": True}})
        ends = ended(carried_out(tmp_path, hosts=list(rows), connect_timeout=3.0))
        told = {name: (end.state, end.message, end.outcome) for name, end in ends.items()}
        assert told["good"] == told["sudo"] == ("done", "", None)
        assert told["wrong-sudo"][0] == "failed"
        assert "sudo refuses" in told["wrong-sudo"][1]
        assert told["no-sudo"][:2] == ("failed", "sudo asks for a password, and the inventory gives none")
        unreachable = {
            "wrong-key": "it takes neither the key nor the password that the inventory gives",
            "wrong-host-key": "its host key is not the one that is known",
            "unknown-host-key": f"the host key of {host.address} is not known",
            "behind": f"the host key of {host.address} is not known",
            "nowhere": "",
        }
        for name, why in unreachable.items():
            assert told[name][0] == "unreachable", told[name]
            assert told[name][2] == "left_alone"
            assert told[name][1].startswith(f"{name} cannot be reached: {why}")
        assert told["full"][:2] == ("failed", "place failed: no space is left on the host for /small/big")
        assert PASSWORD not in (tmp_path / "log").read_text()

        [health] = of(Health, carried_out(tmp_path, task="gate", hosts=["sudo"]))
        assert (health.reachable, health.installed, health.running) == (True, True, True), health
        assert health.version
        assert {check.state for check in health.checks} <= {"ok", "warning", "critical", "unknown"}

        for parallel, connections in ((0, 1), (1, 2)):
            before = logins(host)
            said = carried_out(tmp_path, look=["good"], hosts=["good", "sudo"], parallel=parallel)
            assert [type(one) for one in said[:3]] == [Health, Looked, Began]
            assert {end.state for end in ended(said).values()} == {"done"}
            assert logins(host) - before == connections + 1  # and the other host's

        # A connection that is closed meanwhile, as by a firewall that forgets it, is made anew.
        def forget() -> None:
            host.run("pkill -u admin; while pgrep -u admin; do sleep 0.1; done")
            time.sleep(0.5)  # until it is heard of here

        said = carried_out(tmp_path, look=["sudo"], hosts=["sudo"], between=forget)
        assert ended(said)["sudo"].state == "done", said

        def cut(message: Message) -> None:
            if isinstance(message, Phase) and message.text == "long":
                subprocess.run(["ip", "link", "set", f"vb-{host.machine}"[:15], "down"], check=True)

        end = ended(carried_out(tmp_path, meanwhile=cut, hosts=["dies"], silence=6.0))["dies"]
        assert (end.state, end.outcome) == ("failed", None)
        assert end.message == (
            "long: the connection was lost: it gave no sign of life for 6 s; how the host was left is not known"
        )
        # Nor does the gate wait for a host that is gone.
        [health] = of(Health, carried_out(tmp_path, task="gate", hosts=["good"], connect_timeout=2.0))
        assert not health.reachable
        assert health.problem.startswith("good cannot be reached")
