"""Home's hosts as pyinfra's groups."""

from __future__ import annotations

import re
import subprocess
import time
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.tls import create_authority
from deploys.kit.fleet import FleetError, Row, Updates, grouped, groups, systems_of
from kit.homefile import VARIABLE
from tests.collector.support import Host, enrolment_token, initialise, run, serving
from tests.deploys.support import BIN, REPOSITORY, environment
from wire.packages import Packages, PendingUpdate

ODD = "a name, !of *& its own|"
LOOK = ("--data", "ssh_port=1", "exec", "--", "true")
"""Words with which pyinfra tries to reach hosts, at a port where nobody is."""


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
    found = grouped([row, Row("db1", "ok", updates=Updates(0, 0)), Row("@local", "ok")])
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


def test_pyinfra_chooses_hosts_by_what_they_reported_to_home(tmp_path: Path) -> None:
    """By group, and by system and updates, whatever names they gave themselves. Each mistake is one sentence."""
    folder = tmp_path / "data"
    initialise(folder, "127.0.0.1")
    create_authority(tmp_path, datetime.now(UTC))  # another home's
    token = run("api-token", "create", "--data-dir", str(folder)).stdout.strip()
    file = tmp_path / "home.toml"
    with serving(folder) as home:
        with home.client() as client:
            for name in ("web1", "calm", ODD, "@local", "gone"):
                report(client, folder, name)
        assert run("host", "revoke", "gone", "--data-dir", str(folder)).returncode == 0
        knows(file, home.url, folder, token)
        assert reached(file, "web") == {"web1", "calm"}
        assert reached(file, "debian_12_pending_security") == {"web1", ODD}
        everybody = asked(file, *LOOK)
        assert "left out, which pyinfra takes for other machines: @local" in words(everybody)
        assert names(everybody) == {"web1", "calm", ODD}
        another = "hwa_" + "x" * 43
        knows(file, home.url, folder, another)
        refuses(file, "takes no such API token: it is another home's, has expired or was revoked", another)
        knows(file, home.url, tmp_path, token)
        refuses(file, "is not the home that its certificate should prove", token)
        knows(file, home.url, folder, token)
    refuses(file, "cannot be reached: Connection refused", token)


def report(client: httpx.Client, folder: Path, name: str) -> None:
    """A host is enrolled, reports, and gets its place in groups. Nobody listens where ssh shall find it."""
    host = Host(client, time.time)
    assert host.enroll(enrolment_token(folder), name).status_code == 200
    waiting = PendingUpdate("openssl", "1", "2", name != "calm", time.time())
    told = Packages(manager="apt", pending=[waiting])
    assert host.send(host.report(facts={"os": "Debian GNU/Linux 12 (bookworm)"}, packages=told)).status_code == 200
    groups = ["web"] if name in ("web1", "calm") else []
    words = ("host", "groups", host.id, *groups, "--tag", "address=127.0.0.1", "--data-dir", str(folder))
    assert run(*words).returncode == 0


def knows(file: Path, url: str, authority: Path, token: str) -> None:
    """The administrator's machine knows home by this authority, and has this token."""
    (file.parent / "token").write_text(token)
    (file.parent / "token").chmod(0o600)
    file.write_text(f'url = "{url}"\nca = "{authority / "ca.pem"}"\ntoken_file = "token"\n')


def reached(file: Path, group: str) -> set[str]:
    """The hosts of a group, which pyinfra tries to reach."""
    return names(asked(file, "--limit", group, *LOOK))


def names(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The hosts that pyinfra says anything of."""
    return set(re.findall(r"^ *\[(.+)\] +Could not connect ", done.stderr, flags=re.MULTILINE))


def refuses(file: Path, sentence: str, secret: str) -> None:
    """In one line, which holds no secret."""
    done = asked(file, *LOOK)
    assert done.returncode == 1
    [line] = [line for line in (done.stdout + done.stderr).splitlines() if not line.endswith("...") and line.strip()]
    assert sentence in line
    assert secret not in line


def test_that_no_home_is_known_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With what to do about it."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv(VARIABLE, raising=False)
    with pytest.raises(FleetError, match=r"write ~/\.config/hostward/home\.toml"):
        groups()


def words(done: subprocess.CompletedProcess[str]) -> str:
    """All that was printed, in one line."""
    return " ".join((done.stdout + done.stderr).split())


def asked(file: Path, *more: str) -> subprocess.CompletedProcess[str]:
    """What pyinfra makes of the inventory of the home that `file` names."""
    return subprocess.run(
        [str(BIN / "pyinfra"), "inventory/collector.py", "-y", *more],
        cwd=REPOSITORY,
        env={**environment(), VARIABLE: str(file)},
        capture_output=True,
        text=True,
        timeout=60,
    )
