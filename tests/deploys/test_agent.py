"""The agent on hosts that have nothing but Debian, Python and sshd."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.deploys.support import by_sudo, changes, deploy, inventory
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import BridgeHome, asked, at_home, until
from tests.fleet.host import Host

FIRST, SECOND, BROKEN = "0.9.1", "0.9.2", "0.9.3"
PYTHON = "/opt/hostward/current/bin/python"
SECRET = "a-password-that-nobody-sees"
CONFIG = {"home": {"interval": "1s"}, "checks": {"cpu": {"every": "1s"}}}


def source(checkout: Path, folder: Path, version: str) -> Path:
    """A checkout of another version."""
    target = folder / version
    layers.copy(checkout, target)
    (target / "kit/version.py").write_text(f'"""Which."""\n\n__version__ = "{version}"\n')
    return target


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A cache of the test's own, but for what comes from the package index."""
    fetched = layers.CACHE / "wheels"
    fetched.mkdir(parents=True, exist_ok=True)
    (tmp_path / "cache/hostward").mkdir(parents=True)
    (tmp_path / "cache/hostward/wheels").symlink_to(fetched)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def status(host: Host) -> dict[str, Any]:
    """What the agent says of itself."""
    found: dict[str, Any] = json.loads(host.run("hostward status --json").stdout)
    return found


def test_an_agent_from_nothing_to_its_end(fleet: Fleet, tmp_path: Path, repository: Path, cache: None) -> None:
    """Installed, enrolled, upgraded, put back where it is broken or cut down, and removed; no rerun changes more.

    All of it by a user who becomes root by sudo.
    """
    home = BridgeHome(fleet, tmp_path)
    secret = tmp_path / "secret"
    secret.write_text(SECRET)
    with fleet.hosts(1, fleet.blank) as [host], home.serving() as served:
        token = [sys.executable, "-c", "import sys; from collector.cli import main; sys.exit(main())"]
        token += ["token", "create", "--data-dir", str(home.folder)]
        options: dict[str, Any] = {
            "source": str(source(repository, tmp_path, FIRST)),
            "config": CONFIG,
            "credentials": {"database": {"file": str(secret)}},
            "home": {"url": served.url, "ca": str(home.folder / "ca.pem"), "token": {"command": token}},
        }

        admin = {host.name: by_sudo(host)}

        def run(changed: Mapping[str, Any], *words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
            hosts = inventory(tmp_path / "hosts.py", [host], data={"agent": {**options, **changed}}, each=admin)
            done = deploy(hosts, "agent", *words, check=check)
            assert SECRET not in done.stdout + done.stderr
            return done

        # Debian without the package python3-venv.
        host.run("rm -r /usr/lib/python3.11/ensurepip /usr/share/python-wheels")
        assert f"hostward: none to {FIRST}" in plain(run({}))
        first = status(host)
        assert first["agent"]["version"] == FIRST
        assert host.run("systemctl is-enabled hostward-agent").stdout.strip() == "enabled"
        shown = host.run(
            "stat -c '%a %U' /etc/hostward/credentials/database; ls -A /var/lib/hostward-deploys/release"
        )
        assert shown.stdout.split() == ["600", "root", "program", "result.json"]
        assert at_home(served, host)["host"]["agent"] == FIRST
        assert changes(run({})) == 0

        second = {"source": str(source(repository, tmp_path, SECOND))}
        as_it_was = fingerprint(host)
        assert "Will write /etc/hostward/agent.toml" in plain(run({**second, "config": {}}, "--dry", "--diff"))
        assert fingerprint(host) == as_it_was
        assert f"hostward: {FIRST} to {SECOND}" in plain(run(second))
        assert status(host)["agent"]["version"] == SECOND
        options |= second

        before = fingerprint(host)
        broken = source(repository, tmp_path, BROKEN)
        (broken / "agent/cli/run.py").write_text('raise SystemExit("this one does not start")\n')
        other = {**CONFIG, "checks": {"cpu": {"every": "2s"}}}
        # What changes it is killed in the middle: the rerun puts back what it left.
        kill = f"until [ -e /opt/hostward/{BROKEN} ]; do sleep 0.1; done; systemctl kill -s KILL hostward-release"
        with subprocess.Popen([*host.ssh, kill], stdin=subprocess.DEVNULL):
            done = run({"source": str(broken), "config": other}, check=False)
        assert "the change was cut down; a rerun puts back what it left (broken)" in plain(done)
        assert fingerprint(host) != before
        run({})
        assert fingerprint(host) == before

        older = {"source": str(tmp_path / FIRST)}
        module = f"/opt/hostward/{FIRST}/lib/python3.11/site-packages/agent/cli/run.py"
        known = host.run(f"{PYTHON} -c 'from agent.state import MIGRATIONS; print(len(MIGRATIONS))'").stdout.strip()
        newer = "import sqlite3; sqlite3.connect('/var/lib/hostward/agent.db').execute('PRAGMA user_version = 99')"
        host.run(f"mv {module} {module}.away")
        # It changes what the agent remembers, too, so that the version before would not know it.
        host.write(module, f"{newer}\nraise SystemExit('it is broken')\n")
        done = run({**older, "config": other, "patience": 6}, check=False)
        why = r"did not check in healthy within 6 s: it does not run: .*it is broken.* \(rolled back\)"
        assert re.search(why, plain(done)), plain(done)
        assert fingerprint(host) == before
        until(lambda: at_home(served, host)["host"]["agent"] == SECOND, "home hears of it")
        assert len(asked(served, "/api/v1/hosts")["hosts"]) == 1

        hosts = tmp_path / "hosts.py"
        deploy(hosts, "agent_config", "--data", "agent_config.set=checks.cpu.every=3s")
        until(
            lambda: [c["interval"] for c in status(host)["checks"] if c["name"] == "cpu"] == [3.0], "it is in force"
        )
        assert changes(deploy(hosts, "agent_config", "--data", "agent_config.set=checks.cpu.every=3s")) == 0
        done = deploy(hosts, "agent_config", "--data", "agent_config.set=checks.cpu.every=3 sheep", check=False)
        assert done.returncode == 1
        assert re.search(r"the configuration has mistakes: .*zz-settings.toml:4.*\(left alone\)", plain(done))
        assert 'every = "3s"' in host.read("/etc/hostward/agent.d/zz-settings.toml")

        host.run(f"mv {module}.away {module}")
        host.run(["python3", "-c", newer])
        refused = plain(run(older, check=False))
        assert "was written by a newer Hostward (schema 99, 0.9.1 knows " in refused
        assert "(left alone)" in refused
        host.run(["python3", "-c", newer.replace("99", known)])
        assert f"hostward: {SECOND} to {FIRST}" in plain(run(older))
        assert host.run("ls /opt/hostward").stdout.split() == [FIRST, SECOND, "current"]

        run({"state": "absent"})
        gone = "/opt/hostward /usr/local/bin/hostward /etc/systemd/system/hostward* /var/cache/hostward-wheels"
        assert host.run(f"ls -d {gone}", check=False).stdout == ""
        assert host.run("ls /var/lib/hostward/identity.json").returncode == 0
        assert changes(run({"state": "absent"})) == 0


def fingerprint(host: Host) -> str:
    """All that a change of the release may touch, but for when it was written."""
    return host.run(
        "ls /opt/hostward; readlink /opt/hostward/current; systemctl is-active hostward-agent; "
        "cd /etc; find hostward systemd/system -name 'hostward*' -o -path 'hostward/*' | sort | while read -r file; "
        "do stat -c '%n %a %U' $file; [ ! -f $file ] || sha256sum <$file; done; "
        "sha256sum /var/lib/hostward/identity.key"
    ).stdout


def plain(done: subprocess.CompletedProcess[str]) -> str:
    """What was printed, without colours."""
    return re.sub(r"\x1b\[[0-9;]*m", "", done.stdout + done.stderr)


def test_every_mistake_of_a_configuration_is_told_before_anything_is_done(tmp_path: Path) -> None:
    """With its host, its line and what was expected; in tables that groups and hosts share, too."""
    good, bad = {"checks": {"cpu": {"every": "30s"}}}, {"checks": {"disk": {"evry": "1m"}}}
    path = tmp_path / "inventory.py"
    path.write_text(
        f"all = ([('@fake/one', {{'agent': {{'config': {bad!r}}}}}), '@fake/two'], "
        f"{{'fake_delay': 0, 'fake_delay_jitter': 0, 'agent': {{'config': {good!r}}}}})\n"
        f"web = (['@fake/two'], {{'agent': {{'config': {{'home': {{'interval': 'often'}}}}}}}})\n"
    )
    done = deploy(path, "agent", check=False)
    assert done.returncode == 1
    said = plain(done)
    assert "@fake/one: agent.toml:7: checks.disk.evry: " in said
    assert "@fake/two: agent.toml:7: home.interval: expected a duration" in said
    assert "Traceback" not in said
    assert "Beginning operation run" not in said


def test_a_host_that_cannot_have_an_agent_says_why(tmp_path: Path) -> None:
    """In one sentence, with what to do, and is left alone."""
    told = ["os rhel 9.4", "family rhel fedora", "machine x86_64", "libc glibc 2.34", "systemd", "root"]
    data = {"fake_delay": 0, "fake_delay_jitter": 0, "agent": {}}
    data["fake_responses"] = {"os-release": [*told, "python 3 9 /usr/bin/python3"]}
    path = tmp_path / "inventory.py"
    path.write_text(f"all = (['@fake/old'], {data!r})\n")
    done = deploy(path, "agent", check=False)
    assert done.returncode == 1
    assert "/usr/bin/python3 is 3.9, and Python 3.11 or later is needed: dnf install python3.11" in plain(done)
    assert "(left alone)" in plain(done)
