"""An upgrade in place: what an older version has spooled, the newer one brings home."""

from __future__ import annotations

from pathlib import Path

from tests.collector.support import RealHome
from tests.faults.books import committed, undelivered
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import UNIT, BridgeHome, assert_nothing_lost, at_home, enroll, settle, start, state, until
from tests.fleet.host import Host

OLDER = "0.0.9"
AGE = """\
set -eu
cd {prefix}
now=$(readlink current)
cp -a "$now" {older}
sed -i 's/^__version__ = .*/__version__ = "{older}"/' {older}/lib/python3*/site-packages/kit/version.py
find {older}/bin {older}/pyvenv.cfg -type f -exec sed -i "s|{prefix}/$now|{prefix}/{older}|g" {{}} +
ln -sfn {older} current
rm -rf "$now"
"""


def age(host: Host) -> None:
    """Let the host have an older version, in the place where an installation of that would be."""
    host.run(AGE.format(prefix=f"/{layers.PREFIX}", older=OLDER))
    assert host.run("hostward --version").stdout == f"hostward {OLDER}\n"


def upgrade(host: Host, checkout: Path) -> str:
    """`make install` in a copy of the checkout on the host, and what docs/agent.md says comes next.

    Returns what the installation says.
    """
    layers.copy(checkout, host.root / "usr/src/hostward")
    said = host.run(layers.install("/usr/src/hostward", layers.version(checkout), []), timeout=300).stdout
    host.run(f"systemctl restart {UNIT}")
    return said


def test_what_an_older_version_spooled_gets_home_after_the_upgrade(
    fleet: Fleet, host: Host, tmp_path: Path, repository: Path
) -> None:
    """The older version runs while home is away; the newer takes its place, and home gets every item once."""
    age(host)
    bridge = BridgeHome(fleet, tmp_path)
    with bridge.serving() as home:
        enroll(host, home)
    start(host)
    until(lambda: undelivered(state(host)) > 5 and committed(state(host)).job_results, "the older version spools")
    assert "restart hostward-agent" in upgrade(host, repository)
    assert host.run("readlink /opt/hostward/current").stdout.strip() == layers.version(repository)
    assert host.run("ls /opt/hostward").stdout.split() == sorted(["current", OLDER, layers.version(repository)])
    with bridge.serving() as home:
        told = f"agent {layers.version(repository)} started"
        until(lambda: told in messages(home, host), "home hears of the newer version", patience=120)
        assert f"agent {OLDER} started" in messages(home, host)
        assert at_home(home, host)["host"]["agent"] == layers.version(repository)
        settle(host)
    assert_nothing_lost(bridge.folder, host)


def messages(home: RealHome, host: Host) -> list[str]:
    """What home tells of the host's events."""
    return [event["message"] for event in at_home(home, host)["events"]]
