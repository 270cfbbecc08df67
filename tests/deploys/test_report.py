"""What waits on hosts, told."""

from __future__ import annotations

import json
import re
import subprocess
import time
from pathlib import Path

import pytest

from deploys.rules.waiting import Update, Waiting, since, told
from tests.agent.daemon.daemons import wait_for
from tests.deploys.apt import Package, Repository
from tests.deploys.support import BIN, REPOSITORY, changes, deploy, environment, inventory
from tests.deploys.test_patch_refusals import UPDATE, responses
from tests.fleet.fleet import Fleet


def test_each_host_tells_what_waits_and_one_that_cannot_says_why(tmp_path: Path) -> None:
    """And none is changed."""
    broken = responses({}, {"--with-new-pkgs": "E: Malformed entry 1 in list file\nexit 100"})
    listing = {"pending": [{"name": "shop", "since": 5.0}, {"name": "else", "since": 1.0}]}
    told = {"--with-new-pkgs": f"{UPDATE}held\n", "hostward packages": json.dumps(listing)}
    well = responses({"reboot": True}, told)
    calm = {"fake_delay": 0, "fake_delay_jitter": 0}
    hosts = [
        ("@fake/one", {**calm, "fake_responses": well}),
        ("@fake/two", {**calm, "fake_responses": broken}),
    ]
    path = tmp_path / "inventory.py"
    path.write_text(f"all = ({hosts!r}, {{}})\n")
    done = subprocess.run(
        [str(BIN / "pyinfra"), str(path), "deploys/report.py", "-y", "--data", "report.json=true"],
        cwd=REPOSITORY,
        env={**environment(), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    found = {
        line.split("]")[0].partition("[")[2]: json.loads(line[line.index("{") :])
        for line in said.splitlines()
        if "] {" in line
    }
    assert found["@fake/two"] == {"problem": "E: Malformed entry 1 in list file"}
    assert found["@fake/one"] == {
        "manager": "apt",
        "pending": [{"name": "shop", "installed": "1.0", "candidate": "1.1", "security": True, "since": 5.0}],
        "held": [],
        "deferred": [],
        "since": 5.0,
        "reboot": True,
        "unfinished": None,
    }
    assert done.returncode == 1


def test_a_real_host_tells_what_waits_as_its_agent_saw_it_and_is_not_changed(fleet: Fleet, tmp_path: Path) -> None:
    """Twice the same, without a home."""
    packages = Repository(tmp_path / "repository")
    packages.add(Package("shop", "1.0"))
    with fleet.hosts(1) as [host]:
        packages.give(host)
        host.run("apt-get install -qq shop")
        packages.add(Package("shop", "1.1"), suite="stable-security")
        packages.give(host)
        host.write("/etc/hostward/agent.toml", '[checks.updates]\nevery = "1s"\n')
        host.run("systemctl enable --now hostward-agent", timeout=120)

        def seen() -> bool:
            said = host.run("hostward packages --pending --json", check=False).stdout
            return "shop" in since(said)

        wait_for(seen)
        path = inventory(tmp_path / "inventory.py", [host])
        running = host.run("uname -r").stdout.strip()
        newer = re.sub("^[0-9]+", lambda major: str(int(major[0]) + 1), running)
        for waits in (False, True):
            done = deploy(path, "report", "--data", "report.json=true")
            assert changes(done) == 0
            said = next(line for line in (done.stdout + done.stderr).splitlines() if "] {" in line)
            found = json.loads(said[said.index("{") :])
            (shop,) = found["pending"]
            assert (shop["name"], shop["installed"], shop["candidate"]) == ("shop", "1.0", "1.1")
            assert shop["since"] == found["since"] > 1.7e9
            assert found["reboot"] is waits
            host.run(f"touch /boot/vmlinuz-{newer}")
        done = deploy(path, "report")
        moment = time.strftime("%Y-%m-%d %H:%M", time.localtime(shop["since"]))
        said = done.stdout + done.stderr
        assert f"[{host.name}] 1 update pending, 1 for security, the oldest since {moment}" in said
        assert re.search(rf"shop +1\.0 +1\.1 +security +{moment}", said)


def test_what_waits_is_told_in_a_table_with_what_holds_it_up() -> None:
    """In the order in which it comes."""
    one = Update(name="shop", installed="1.0", candidate="1.1", security=False, since=1_800_000_000.0)
    new = Update(name="libshop", installed=None, candidate="2", security=True, since=None)
    found = Waiting(
        manager="apt",
        pending=[one, new],
        held=["nginx"],
        deferred=["snapd", "base-files"],
        since=one.since,
        reboot=True,
        unfinished="soak",
    )
    said = told(found, "{:.0f}".format)
    assert (
        "\n".join(said)
        == """\
2 updates pending, 1 for security, the oldest since 1800000000
  PACKAGE  INSTALLED  PENDING  FOR       SINCE
  shop     1.0        1.1                1800000000
  libshop  -          2        security  -
held: nginx
not for this host yet, for it comes in phases: snapd, base-files
a reboot waits
a patch did not end (soak): run deploys/patch.py again"""
    )
    calm = Waiting(manager="dnf", pending=[], held=[], deferred=[], since=None, reboot=False, unfinished=None)
    assert told(calm, str) == ("nothing waits to be updated",)


@pytest.mark.parametrize("printed", ["", "null", "[1]", '{"pending": null}', '{"pending": [{"name": "x"}]}', "x"])
def test_an_agent_that_does_not_tell_since_when_is_no_reason_to_tell_nothing(printed: str) -> None:
    """It may be an older one, or have looked for nothing yet."""
    assert since(printed) == {}
