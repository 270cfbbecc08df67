"""A host that is gone is built again from a blank one."""

from __future__ import annotations

import json
import os
import shlex
import signal
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from collector.api.groups import HostPackages
from deploys.facts.recovery import parse
from deploys.rules.recorded_packages import Choice, Recorded, choose, offers, read
from kit.homefile import VARIABLE
from tests.collector.support import RealHome, run
from tests.deploys import apt
from tests.deploys.support import BIN, REPOSITORY, changes, deploy, environment, inventory
from tests.deploys.test_agent import cache, plain  # noqa: F401 -- a fixture is found by its name
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import BridgeHome, asked, enroll, start, until
from tests.fleet.host import Host
from tests.fleet.test_backups import postgresql
from tests.kit.test_homefile import written
from wire.packages import Package, Packages

COLLECTOR = [sys.executable, "-c", "import sys; from collector.cli import main; sys.exit(main())"]
PASSWORD = "kept elsewhere, too"
CONFIG = """\
[home]
interval = "1s"

[backups.files]
repository = "/srv/backup"
init = true
password_file = "/etc/hostward/backup.password"
paths = ["/srv/shop", "/etc/shop.ini", '/srv/of ${HOME} "100%"']

[backups.orders]
repository = "/srv/backup"
init = true
password_file = "/etc/hostward/backup.password"
postgresql = { run_as = "postgres" }
"""
ODD = '/srv/of ${HOME} "100%"'
"""Any name is one; so is that of a database."""
SERVES = "exec python3 -m http.server 8080 --directory /srv/shop"
ASKS = "curl -sf http://127.0.0.1:8080/prices.csv; cat /etc/shop.ini; stat -c '%a %U' /srv/shop/prices.csv"
COUNTS = "SELECT count(*), sum(id) FROM orders"


@pytest.mark.usefixtures("cache")
def test_a_destroyed_host_is_built_again_and_serves_the_same_data(
    fleet: Fleet, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Packages as home knows them, files with their owners, databases and services as they were at a moment, at home
    under its name. A host that is used is left alone, a recovery that is killed goes on, and one that is done changes
    nothing.
    """
    packages = apt.Repository(tmp_path / "repository")
    packages.add(apt.Package("shop", "1.0", service=SERVES))
    packages.add(apt.Package("shop", "1.1", service=SERVES))
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    at_home = BridgeHome(fleet, tmp_path)
    with at_home.serving() as home:
        data: dict[str, Any] = {
            "agent": {
                "config": tomllib.loads(CONFIG),
                "patience": 240,
                "home": {
                    "url": home.url,
                    "ca": str(at_home.folder / "ca.pem"),
                    "token": {"command": [*COLLECTOR, "token", "create", "--data-dir", str(at_home.folder)]},
                },
            },
            "recover": {
                "repository": "/srv/backup",
                "password": {"file": str(secret)},
                "files": {"files": ["/srv/shop", "/etc/shop.ini", ODD]},
                "databases": ["orders"],
                "services": ["postgresql.service", "shop.service"],
                "checks": ["disk", "systemd"],
                "patience": 240,
            },
        }
        with fleet.hosts(1, layers.layers(repository, layers.SERVERS)) as [lost]:
            free = [*COLLECTOR, "host", "revoke", lost.name, "--data-dir", str(at_home.folder)]
            data["recover"] |= {"name": lost.name, "free_name": free}
            serve(lost, packages, home)
            token = run("api-token", "create", "--data-dir", str(at_home.folder)).stdout.strip()
            file = written(tmp_path, home.url, ca=str(at_home.folder / "ca.pem"), token=token)
            monkeypatch.setenv(VARIABLE, str(file))
            before = lost.run(ASKS).stdout
            orders = postgresql(lost, COUNTS, database="orders")
            data["recover"]["at"] = spoil(lost)
            spoilt = lost.run(ASKS).stdout
            assert spoilt != before
            saved = tmp_path / "backup"
            subprocess.run(["cp", "-a", str(lost.root / "srv/backup"), str(saved)], check=True)
            refused = deploy(inventory(tmp_path / "hosts.py", [lost], data=data), "recover", check=False)
            assert "this host is not blank (Hostward is installed)" in plain(refused)
            assert "(left alone)" in plain(refused)
            assert lost.run(ASKS).stdout == spoilt

        debian, _, servers, _ = layers.layers(repository, layers.SERVERS)
        with fleet.hosts(1, [debian, servers]) as [blank]:
            packages.give(blank)
            subprocess.run(["cp", "-a", str(saved), str(blank.root / "srv/backup")], check=True)
            hosts = inventory(tmp_path / "hosts.py", [blank], data=data)
            killed(hosts, blank)
            blank.run(TAKEN)
            refused = deploy(hosts, "recover", check=False)
            assert "somebody else is at work on it: patch by ann@desk (left alone)" in plain(refused)
            blank.run("rm /run/hostward-deploys/lease.json")
            done = plain(deploy(hosts, "recover"))
            assert blank.run(ASKS).stdout == before
            assert postgresql(blank, COUNTS, database="orders") == orders
            assert blank.read(f"{ODD}/file") == "odd\n"
            assert ODD in postgresql(blank, "SELECT datname FROM pg_database").splitlines()
            assert blank.run("dpkg-query -W -f '${Version}' shop").stdout == "1.0"
            assert f"{lost.name} is back after " in done
            assert blank.run("ls /var/lib/hostward-deploys/recover").stdout.split() == [
                "packages.json",
                "progress.json",
            ]
            assert changes(deploy(hosts, "recover")) == 0
            assert [row["name"] for row in asked(home, "/api/v1/hosts")["hosts"]] == [lost.name]


TAKEN = """cd /run/hostward-deploys; echo '99999999 patch by ann@desk' >holder
echo '{"holder": "patch by ann@desk", "until": 99999999, "boot": ""}' >lease.json"""
AT_HOME = """\
[home]
interval = "1s"

[backups.files]
repository = "home"
init = true
password_file = "/etc/hostward/backup.password"
paths = ["/srv/shop"]
every = "2s"
privileged = { capabilities = ["CAP_DAC_READ_SEARCH"], network = true }
"""


@pytest.mark.usefixtures("cache")
def test_a_repository_at_home_is_given_to_the_host_that_takes_the_lost_ones_place(
    fleet: Fleet, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Home gives who enrols a repository of its own. So the run says which is to be given to the host, and the same
    command brings all back once that is so.
    """
    secret = tmp_path / "password"
    secret.write_text(PASSWORD)
    settings = tmp_path / "collector.toml"
    settings.write_text('[backups]\nkeep_free = "1MiB"\n')
    at_home = BridgeHome(fleet, tmp_path)
    at_home.options = ("--config", str(settings))
    with at_home.serving() as home, fleet.hosts(1) as [lost]:
        name = lost.name
        lost.write("/srv/shop/prices.csv", "tea,3\n", 0o640)
        lost.run("chown -R www-data: /srv/shop")
        lost.write("/etc/hostward/backup.password", PASSWORD, 0o600)
        enroll(lost, home, AT_HOME)
        lost.run("hostward backup run files")
        start(lost)
        until_packages(home, lost)
        [row] = asked(home, "/api/v1/hosts")["hosts"]
        token = run("api-token", "create", "--data-dir", str(home.folder)).stdout.strip()
        file = written(tmp_path, home.url, ca=str(at_home.folder / "ca.pem"), token=token)
        monkeypatch.setenv(VARIABLE, str(file))
        url = home.url
    data = {
        "agent": {
            "config": tomllib.loads(AT_HOME),
            "patience": 240,
            "home": {
                "url": url,
                "ca": str(at_home.folder / "ca.pem"),
                "token": {"command": [*COLLECTOR, "token", "create", "--data-dir", str(at_home.folder)]},
            },
        },
        "recover": {
            "name": name,
            "repository": "home",
            "password": {"file": str(secret)},
            "free_name": [*COLLECTOR, "host", "revoke", name, "--data-dir", str(at_home.folder)],
            "files": {"files": ["/srv/shop"]},
            "checks": ["disk"],
            "patience": 240,
        },
    }
    with fleet.hosts(1, fleet.blank) as [blank]:
        hosts = inventory(tmp_path / "hosts.py", [blank], data=data)
        with at_home.serving():
            refused = plain(deploy(hosts, "recover", check=False))
            assert f'[backups.repositories.{row["id"]}] hosts = ["{name}"]' in refused
            assert "Traceback" not in refused
            assert blank.run("ls /srv").stdout == ""
        settings.write_text(f'{settings.read_text()}[backups.repositories.{row["id"]}]\nhosts = ["{name}"]\n')
        with at_home.serving() as home:
            deploy(hosts, "recover")
            assert (
                blank.run("cat /srv/shop/prices.csv; stat -c '%a %U' /srv/shop/*").stdout == "tea,3\n640 www-data\n"
            )
            assert changes(deploy(hosts, "recover")) == 0
            assert [found["name"] for found in asked(home, "/api/v1/hosts")["hosts"]] == [name]


def serve(host: Host, packages: apt.Repository, home: RealHome) -> None:
    """A host with a service, files and a database, which it saves, and whose packages home knows."""
    packages.give(host)
    host.run("apt-get install -qq shop=1.0 && systemctl start postgresql", timeout=120)
    host.write("/srv/shop/prices.csv", "tea,3\n", 0o640)
    host.write("/etc/shop.ini", "colour = green\n")
    host.write(f"{ODD}/file", "odd\n")
    host.run("chown -R www-data: /srv/shop && systemctl restart shop")
    postgresql(host, "CREATE ROLE clerk LOGIN", "CREATE DATABASE orders OWNER clerk")
    host.run(f"cd / && runuser -u postgres -- createdb {shlex.quote(ODD)}")
    postgresql(
        host,
        "CREATE TABLE orders (id int PRIMARY KEY)",
        "INSERT INTO orders SELECT n FROM generate_series(1, 300) n",
        database="orders",
    )
    host.write("/etc/hostward/backup.password", PASSWORD, 0o600)
    enroll(host, home, CONFIG)
    host.run("hostward backup run files orders")
    start(host)
    until_packages(home, host)


def until_packages(home: RealHome, host: Host) -> None:
    """Wait until home knows the packages of the host."""
    with home.client() as client:
        token = run("api-token", "create", "--data-dir", str(home.folder)).stdout.strip()
        path, words = f"/api/v1/hosts/{host.name}/packages", {"Authorization": f"Bearer {token}"}
        until(lambda: client.get(path, headers=words).status_code == 200, "home knows the packages")


def spoil(host: Host) -> str:
    """Lose what the service and the database have, and save that, too. Returns the moment before."""
    moment = host.run("sleep 1; date '+%F %T'; sleep 1").stdout.strip()
    host.run("echo lost >/srv/shop/prices.csv")
    postgresql(host, "DELETE FROM orders", database="orders")
    host.run("hostward backup run files orders")
    return moment


def killed(hosts: Path, host: Host) -> None:
    """A recovery whose machine is killed when the files are back."""
    words = [str(BIN / "pyinfra"), str(hosts), "deploys/recover.py", "-y"]
    with subprocess.Popen(
        words,
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    ) as process:
        try:
            progress = "/var/lib/hostward-deploys/recover/progress.json"

            def are_back() -> bool:
                assert process.poll() is None, process.communicate()[0]
                return "files of files" in host.run(f"cat {progress}", check=False).stdout

            until(are_back, "the files are back", 240)
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)


def test_what_was_asked_for_comes_back_in_its_version_where_it_is_to_be_had() -> None:
    """What it needs comes with it."""
    recorded = [
        Recorded("shop", "1.0", manual=True),
        Recorded("nginx", "1", manual=True),
        Recorded("gone", "1", manual=True),
        Recorded("there", "1", manual=True),
        Recorded("library", "1"),
    ]
    offered = offers(
        ["   shop | 1.0 | file:/srv Packages", " shop | 1.1 | file:/srv Packages", "nginx | 2 | x", "junk"]
    )
    assert choose(recorded, ["there"], offered) == Choice(("nginx", "shop=1.0"), ("nginx",), ("gone",))
    unknown = [Recorded("shop", "1.1"), Recorded("library", "1")]
    assert choose(unknown, [], offered) == Choice(("shop=1.1",), (), ("library",))


def test_a_record_is_read_in_rows_or_objects_and_another_managers_is_refused() -> None:
    """As reports and homes have them."""
    rows = b'{"manager": "apt", "installed": [["shop", "1.0", "all", true], ["library", "2"]]}'
    assert read(rows) == [Recorded("shop", "1.0", manual=True), Recorded("library", "2")]
    objects = b'{"manager": "apt", "installed": [{"name": "shop", "version": "1.0", "manual": true}]}'
    assert read(objects) == [Recorded("shop", "1.0", manual=True)]
    with pytest.raises(ValueError, match="packages of dnf cannot be installed again"):
        read(b'{"manager": "dnf", "installed": []}')


def test_a_record_with_what_is_no_package_is_refused() -> None:
    """A name goes to programs that take words for options."""
    for name in ("-oDir::Bin::dpkg=/bin/sh", "a b", "a\nb", ""):
        with pytest.raises(ValueError, match="which is no package's name"):
            read(json.dumps({"manager": "apt", "installed": [[name, "1", "amd64", True]]}).encode())


def test_what_homes_api_answers_is_a_record() -> None:
    """Encoded as home does."""
    installed = [Package("shop", "1.0", "all", manual=True), Package("library", "2", "all")]
    answer = HostPackages(host="x", received=1.0, packages=Packages(manager="apt", installed=installed))
    assert read(msgspec.json.encode(answer)) == [Recorded("shop", "1.0", manual=True), Recorded("library", "2")]


@settings(max_examples=50)
@given(st.binary(max_size=60) | st.sampled_from([b"[]", b'{"manager":"apt"}', b'{"manager":"apt","installed":[1]}']))
def test_what_is_no_record_is_said_to_be_none(answer: bytes) -> None:
    """In one sentence."""
    with pytest.raises(ValueError, match=r"no record of packages|cannot be installed again"):
        read(answer)


def test_a_host_tells_how_far_it_is_and_why_it_is_not_blank() -> None:
    """Line by line."""
    found = parse(['progress {"name":"a","at":"","asked":"","began":1.0}', "used /srv/shop holds something"])
    assert found.progress is not None
    assert found.progress.name == "a"
    assert found.used == ("/srv/shop holds something",)
