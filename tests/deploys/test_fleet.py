"""Home's hosts as pyinfra's groups."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.kit.fleet import FleetError, Row, Updates, grouped, groups, systems_of
from kit.homefile import VARIABLE
from tests.collector.support import initialise, run, serving
from tests.deploys.support import BIN, REPOSITORY, environment


@pytest.mark.parametrize(
    ("pretty", "names"),
    [
        ("Debian GNU/Linux 12 (bookworm)", {"debian", "debian_12"}),
        ("Ubuntu 24.04.1 LTS", {"ubuntu", "ubuntu_24_04"}),
        ("Rocky Linux 9.4 (Blue Onyx)", {"rocky", "rocky_9"}),
        ("AlmaLinux 9.4 (Seafoam Ocelot)", {"almalinux", "almalinux_9"}),
        ("Red Hat Enterprise Linux 9.4 (Plow)", {"red_hat_enterprise", "red_hat_enterprise_9"}),
        ("Arch Linux", {"arch_linux"}),
        ("", set()),
    ],
)
def test_systems_are_groups(pretty: str, names: set[str]) -> None:
    """By what os-release calls them."""
    assert systems_of(pretty) == names


def test_a_host_is_in_the_groups_that_home_and_its_facts_give_it() -> None:
    """And the combination that patching asks for is a group by itself."""
    row = Row(
        "web1",
        "warning",
        {"os": "Debian GNU/Linux 12 (bookworm)"},
        ["Web Shop"],
        {"address": "192.0.2.1", "zone": "a"},
        Updates(pending=3, security=1),
    )
    found = grouped([row, Row("db1", "ok", updates=Updates(0, 0))])
    assert found["all"] == [
        ("web1", {"hostward_name": "web1", "hostward_state": "warning", "ssh_hostname": "192.0.2.1", "zone": "a"}),
        ("db1", {"hostward_name": "db1", "hostward_state": "ok"}),
    ]
    assert found["debian_12_pending_security"] == [("web1", {})]
    assert {group for group, hosts in found.items() if ("web1", {}) in hosts} == {
        *("web_shop", "tag_address_192_0_2_1", "tag_zone_a", "state_warning", "debian", "debian_12"),
        *("pending_updates", "pending_security", "debian_pending_updates", "debian_pending_security"),
        *("debian_12_pending_updates", "debian_12_pending_security"),
    }
    assert {group for group, hosts in found.items() if ("db1", {}) in hosts} == {"state_ok"}


@settings(max_examples=50)
@given(
    st.lists(st.text(max_size=20), max_size=4),
    st.dictionaries(st.text(max_size=9), st.text(max_size=9), max_size=3),
    st.text(max_size=40),
)
def test_whatever_home_says_groups_are_names_that_pyinfra_takes(
    names: list[str], tags: dict[str, str], pretty: str
) -> None:
    """None is hidden, and none is everybody."""
    found = grouped([Row("web1", "ok", {"os": pretty}, names, tags)])
    assert all(group.isidentifier() and group.isascii() and not group.startswith("_") for group in found)
    assert len(found["all"]) == 1


def test_pyinfra_reads_homes_inventory_and_limits_it(tmp_path: Path) -> None:
    """A real home with two hosts in groups; and each mistake is one sentence."""
    folder = tmp_path / "data"
    initialise(folder, "127.0.0.1")
    token = run("api-token", "create", "--data-dir", str(folder)).stdout
    (tmp_path / "token").write_text(token)
    (tmp_path / "token").chmod(0o600)
    file = tmp_path / "home.toml"
    with serving(folder) as home:
        file.write_text(f'url = "{home.url}"\nca = "{folder / "ca.pem"}"\ntoken_file = "token"\n')
        assert asked(file).returncode == 0
    away = asked(file)
    assert away.returncode == 1
    assert "cannot be reached: Connection refused" in " ".join((away.stdout + away.stderr).split())
    assert "Traceback" not in away.stdout + away.stderr


def test_that_no_home_is_known_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FleetError, match=r"write ~/\.config/hostward/home\.toml"):
        groups()


def asked(file: Path) -> subprocess.CompletedProcess[str]:
    """What pyinfra makes of the inventory of the home that `file` names."""
    return subprocess.run(
        [str(BIN / "pyinfra"), "inventory/collector.py", "debug-inventory"],
        cwd=REPOSITORY,
        env={**environment(), VARIABLE: str(file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
