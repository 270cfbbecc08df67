"""What docs/deploys.md and docs/patching.md show, run as shown: blank hosts are enrolled and patched in waves."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.collector.support import RealHome, run
from tests.deploys.apt import WORKS, Package, Repository
from tests.deploys.support import BIN, environment, inventory
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import BridgeHome, asked, enroll, start, until
from tests.fleet.host import Host

TOKEN = [sys.executable, "-c", "import sys; from collector.cli import main; sys.exit(main())", "token", "create"]
QUICK = {
    "soak": {"samples": 1, "every": 0.5, "limit": 2.0},
    "ignore_checks": ["updates", "network"],
    "refresh": False,
}
BUSY = ("cpu", "memory", "pressure", "disk", "disk_io", "network")
"""Checks that tell of the machine on which the tests run."""
GATE = "--samples 2 --every 1s --patience 15s"


class Admin:
    """An administrator's machine: a home folder, an inventory, and the shell of a checkout."""

    def __init__(self, folder: Path, repository: Path, hosts: list[Host], home: RealHome) -> None:
        self.repository = repository
        self.own = folder / "own"
        known = self.own / ".config/hostward"
        known.mkdir(parents=True)
        (known / "ca.pem").write_text((home.folder / "ca.pem").read_text())
        made = run("api-token", "create", "--role", "operator", "--data-dir", str(home.folder))
        (known / "api-token").write_text(made.stdout)
        (known / "api-token").chmod(0o600)
        (known / "home.toml").write_text(f'url = "{home.url}"\nca = "ca.pem"\ntoken_file = "api-token"\n')
        agent = {
            "home": {
                "url": home.url,
                "ca": str(known / "ca.pem"),
                "token": {"command": [*TOKEN, "--data-dir", str(home.folder)]},
            },
            "patience": 240,
            "config": {"home": {"interval": "1s"}, "checks": {name: {"enabled": False} for name in BUSY}},
        }
        data = {"agent": agent, "patch": QUICK}
        self.inventory = inventory(folder / "example.py", hosts, {"web": [host.name for host in hosts]}, data)
        # What comes from the package index is fetched once for all tests.
        cache = folder / "cache/hostward"
        cache.mkdir(parents=True)
        fetched = layers.CACHE / "wheels"
        fetched.mkdir(exist_ok=True)
        (cache / "wheels").symlink_to(fetched)

    @property
    def environment(self) -> Mapping[str, str]:
        """Of the shell."""
        return {
            **environment(),
            "HOME": str(self.own),
            "XDG_CACHE_HOME": str(self.inventory.parent / "cache"),
            "PATH": f"{BIN}:{os.environ['PATH']}",
        }

    def sh(self, script: str, *, code: int = 0) -> str:
        """What a script prints. Raises AssertionError unless it ends with `code`."""
        done = subprocess.run(
            ["bash", "-e", "-c", self.own_words(script)],
            cwd=self.repository,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=400,
        )
        assert done.returncode == code, f"{script}: {done.returncode}\n{done.stdout}{done.stderr}"
        assert "Traceback" not in done.stdout + done.stderr
        return done.stdout + done.stderr

    def own_words(self, script: str) -> str:
        """With the inventory of these hosts, and gates that are quicker than the ones shown."""
        script = script.replace("inventory/example.py", str(self.inventory))
        return re.sub(r"(hostward-rollout (?:agent|patch) .*)", rf"\1 {GATE}", script)


def shown(repository: Path, page: str, heading: str) -> list[str]:
    """The blocks of sh under a heading of a page of docs/."""
    text = (repository / "docs" / page).read_text()
    part = re.split(rf"^## {re.escape(heading)}$", text, flags=re.MULTILINE)[1]
    part = re.split(r"^## ", part, flags=re.MULTILINE)[0]
    return re.findall(r"^```sh\n(.*?)^```$", part, flags=re.MULTILINE | re.DOTALL)


def versions(hosts: list[Host]) -> list[str]:
    """Of the package on each host, and of the service that it brings."""
    words = "dpkg-query -W -f '${Version}' shop; echo; systemctl is-active shop"
    return [" ".join(host.run(words).stdout.split()) for host in hosts]


def record(admin: Admin, home: RealHome) -> dict[str, Any]:
    """The newest rollout, as home has it."""
    found: dict[str, Any] = json.loads(admin.sh("hostward-rollout show --json"))
    return asked(home, f"/api/v1/rollouts/{found['id']}")


@pytest.mark.timeout(900)
def test_three_blank_hosts_are_enrolled_and_patched_in_waves(fleet: Fleet, tmp_path: Path, repository: Path) -> None:
    """A good package goes through, a bad one stops at the canary, and a killed rollout resumes."""
    bridge = BridgeHome(fleet, tmp_path)
    with fleet.hosts(3, fleet.blank) as hosts, bridge.serving() as home:
        admin = Admin(tmp_path, repository, hosts, home)

        [readme] = shown(repository, "../README.md", "Many servers")
        assert readme.startswith("make admin ")
        admin.sh(readme.partition("\n")[2].replace(".venv/bin/", ""))
        setting_up, rolling_out, asking = shown(repository, "deploys.md", "From nothing to three hosts")
        assert setting_up.startswith("make admin ")
        again = admin.sh(rolling_out)
        assert again.count("done, no change") == 3
        for host in hosts:
            until(lambda name=host.name: reports(home, name), f"{host.name} reports home")  # type: ignore[misc]
        admin.sh(asking)

        packages = Repository(tmp_path / "repository")
        packages.add(Package("shop", "1.0", service=WORKS))
        packages.give(*hosts)
        for host in hosts:
            host.run("apt-get install -qq shop")
        packages.add(Package("shop", "1.1", service=WORKS), suite="stable-security")
        packages.give(*hosts)
        for block in shown(repository, "patching.md", "What is pending"):
            assert "shop" in admin.sh(block)
        [patching] = shown(repository, "patching.md", "In waves")
        admin.sh(patching)
        assert versions(hosts) == ["1.1 active"] * 3
        told = record(admin, home)
        assert told["state"] == "done"
        assert [len(wave["hosts"]) for wave in told["waves"]] == [1, 1, 1]
        assert all(
            host["before"]["shop"] == "1.0" and host["after"]["shop"] == "1.1" for host in told["hosts"].values()
        )
        assert asked(home, "/api/v1/windows")["windows"] == []

        packages.add(Package("shop", "1.2", service=WORKS, postinst="exit 1"), suite="stable-security")
        packages.give(*hosts)
        said = admin.sh(patching, code=1)
        assert "hostward-rollout resume" in said
        assert versions(hosts) == ["1.1 active"] * 3
        told = record(admin, home)
        states = [told["hosts"][host.name]["state"] for host in hosts]
        assert states == ["failed", "waiting", "waiting"]
        assert told["hosts"][hosts[0].name]["outcome"] == "rolled_back"

        packages.remove("shop", "1.2")
        packages.add(Package("shop", "1.3", service=WORKS, postinst="sleep 3"), suite="stable-security")
        packages.give(*hosts)
        killed = subprocess.Popen(
            ["bash", "-c", f"exec {admin.own_words(patching).strip()}"],
            cwd=repository,
            env=dict(admin.environment),
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
        )
        try:
            until(lambda: at_work(admin, hosts[1]), "the second host is at work", patience=200)
        finally:
            killed.send_signal(signal.SIGKILL)
            killed.wait()
        assert versions(hosts)[0] == "1.3 active"
        time.sleep(1)
        [resuming] = [block for block in shown(repository, "deploys.md", "Waves") if "resume" in block]
        said = admin.sh(resuming)
        assert f"{hosts[0].name}: connected" not in said
        assert versions(hosts) == ["1.3 active"] * 3
        assert record(admin, home)["state"] == "done"


@pytest.mark.timeout(300)
def test_a_home_that_is_away_pauses_a_rollout_where_it_is_required_and_no_other(
    fleet: Fleet, tmp_path: Path, repository: Path
) -> None:
    """Why is said in one line. Hosts are patched without it, and it learns later of what it missed."""
    bridge = BridgeHome(fleet, tmp_path)
    packages = Repository(tmp_path / "repository")
    packages.add(Package("shop", "1.0", service=WORKS))
    quiet = "".join(f"[checks.{name}]\nenabled = false\n" for name in BUSY)
    with fleet.hosts(2) as hosts:
        with bridge.serving() as home:
            admin = Admin(tmp_path, repository, hosts, home)
            for host in hosts:
                enroll(host, home, f'[home]\ninterval = "1s"\n{quiet}')
                start(host)
                packages.give(host)
                host.run("apt-get install -qq shop")
            for host in hosts:
                until(lambda name=host.name: reports(home, name), f"{host.name} reports home")  # type: ignore[misc]
        packages.add(Package("shop", "1.1", service=WORKS), suite="stable-security")
        packages.give(*hosts)

        words = "hostward-rollout patch --inventory inventory/example.py --yes"
        said = admin.sh(f"{words} --home-required", code=3)
        [why] = [line for line in said.splitlines() if "paused: " in line]
        assert "cannot be reached: Connection refused" in why
        assert versions(hosts) == ["1.0 active"] * 2
        paused = json.loads(admin.sh("hostward-rollout show --json"))
        assert paused["state"] == "paused"

        said = admin.sh(f"{words} --limit {hosts[0].name}")
        assert said.count("cannot be reached") == 1, said
        assert versions(hosts) == ["1.1 active", "1.0 active"]

        back = time.time()
        with bridge.serving() as home:
            assert asked(home, "/api/v1/rollouts")["rollouts"] == []
            said = admin.sh("hostward-rollout list")
            assert said.count(": home knows now that it is ") == 2, said
            assert asked(home, f"/api/v1/rollouts/{paused['id']}")["state"] == "paused"
            for host in hosts:
                # Agents try again ever more rarely; until then home takes them for down.
                until(
                    lambda name=host.name: reports(home, name, back),  # type: ignore[misc]
                    f"{host.name} is back",
                    patience=200,
                )
            admin.sh(f"hostward-rollout resume {paused['id']}")
            assert versions(hosts) == ["1.1 active"] * 2
            assert asked(home, f"/api/v1/rollouts/{paused['id']}")["state"] == "done"


def reports(home: RealHome, name: str, since: float = 0.0) -> bool:
    """Whether home has had a report of the host, later than that."""
    rows = asked(home, "/api/v1/hosts")["hosts"]
    return any(row["name"] == name and (row["last_received"] or 0.0) > since for row in rows)


def at_work(admin: Admin, host: Host) -> bool:
    """Whether the rollout that runs has begun on the host."""
    found: dict[str, Any] = json.loads(admin.sh("hostward-rollout show --json"))
    return bool(found["hosts"][host.name]["state"] == "running")
