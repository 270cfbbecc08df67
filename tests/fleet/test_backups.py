"""A host with PostgreSQL and files that only root reads backs up home by its own timetable, is taken over, and all
comes back.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.agent.checks.daemons import postgres, postgres_program
from tests.collector.support import RealHome
from tests.fleet import layers
from tests.fleet.fleet import Fleet
from tests.fleet.homes import BridgeHome, asked, enroll, start, until
from tests.fleet.host import Host
from tests.peers import newest_restic

PASSWORD = "kept elsewhere, too"
FILES, ROWS = 40, 300
CONFIGURATION = """\
[home]
interval = "1s"

[backups.files]
repository = "home"
init = true
password_file = "/etc/hostward/backup.password"
paths = ["/srv/shop"]
every = "4s"
verify = true
privileged = { capabilities = ["CAP_DAC_READ_SEARCH"], network = true }

[backups.orders]
repository = "home"
password_file = "/etc/hostward/backup.password"
every = "4s"
verify = true

[backups.orders.postgresql]
user = "hostward"
databases = ["shop"]
role_passwords = false

[drills.files]
backup = "files"
kind = "full"
every = "5s"
rpo = "1h"
rto = "1h"

[drills.orders]
backup = "orders"
kind = "database"
every = "5s"
rpo = "1h"
rto = "1h"
assertion = { sql = "select count(*) from orders", database = "shop", expect = "300" }
"""
INTRUDER = Path(__file__).with_name("intruder.py")


@pytest.fixture
def shop(fleet: Fleet, repository: Path) -> Iterator[Host]:
    """A host with files and a database that are worth something."""
    with fleet.hosts(1, layers.layers(repository, layers.SERVERS)) as [host]:
        host.run("systemctl start postgresql", timeout=120)
        host.run("mkdir /srv/shop")
        for number in range(FILES):
            text = hashlib.sha256(str(number).encode()).hexdigest() * 50
            (host.root / f"srv/shop/order-{number}.txt").write_text(text)
            (host.root / f"srv/shop/order-{number}.txt").chmod(0o600)
        host.run("systemctl start hostward-jobs.socket")
        postgresql(host, "CREATE ROLE hostward LOGIN", "GRANT pg_read_all_data TO hostward", "CREATE DATABASE shop")
        postgresql(
            host,
            "CREATE TABLE orders (id int PRIMARY KEY, what text)",
            f"INSERT INTO orders SELECT n, md5(n::text) FROM generate_series(1, {ROWS}) n",
            database="shop",
        )
        yield host


def postgresql(host: Host, *statements: str, database: str = "postgres") -> str:
    """What psql prints of them, as the superuser."""
    words = " ".join(f"-c '{statement}'" for statement in statements)
    return host.run(f"cd / && runuser -u postgres -- psql -XqAt -v ON_ERROR_STOP=1 {words} {database}").stdout


def backups(home: RealHome, host: Host) -> tuple[dict[str, Any], dict[str, Any]]:
    """What home shows of the host's jobs and drills, by name."""
    found = asked(home, f"/api/v1/hosts/{host.name}/backups")
    return ({each["job"]: each for each in found["jobs"]}, {each["name"]: each for each in found["drills"]})


def digests(folder: Path) -> dict[str, str]:
    """The files below a folder."""
    return {
        str(file.relative_to(folder)): hashlib.sha256(file.read_bytes()).hexdigest()
        for file in folder.rglob("*")
        if file.is_file()
    }


def test_what_was_backed_up_home_survives_whoever_takes_the_host_over(
    shop: Host, fleet: Fleet, tmp_path: Path
) -> None:
    """By the agent's own timetable, with drills that report what they measured. Home is killed in the midst, and so
    is the agent. Then somebody with root removes what can be removed; stock restic restores all of it from home."""
    at_home = BridgeHome(fleet, tmp_path)
    place = tmp_path / "place"
    place.mkdir()
    settings = tmp_path / "collector.toml"
    settings.write_text(f'[backups]\nplace = "{place}"\nkeep_free = "1MiB"\n')
    at_home.options = ("--config", str(settings))
    with at_home.serving() as home:
        shop.write("/etc/hostward/backup.password", PASSWORD, 0o640)
        enroll(shop, home, CONFIGURATION)
        shop.run("chown root:hostward /etc/hostward/backup.password")
        start(shop)

        def all_is_well() -> bool:
            jobs, drills = backups(home, shop)
            return {*jobs} == {*drills, "files"} and all(
                each["state"] == "ok" for each in (*jobs.values(), *drills.values())
            )

        until(all_is_well, "both jobs and both drills were told, and are well")
        _, drills = backups(home, shop)
        for drill in drills.values():
            assert drill["recovery_time"] > 0
            assert not drill["estimated"]
            assert drill["recovery_point"] < 3600
        assert drills["orders"]["assertion"] == "held"
        os.kill(home.process.pid, signal.SIGKILL)
    with at_home.serving() as home:
        shop.run("systemctl kill --signal=KILL hostward-agent", check=False)
        began = float(shop.run("date +%s").stdout)

        def goes_on() -> bool:
            jobs, _ = backups(home, shop)
            return all((each["last_verified"] or 0) > began for each in jobs.values())

        until(goes_on, "new runs after both were killed")
        shop.run("systemctl stop hostward-agent")
        files = digests(shop.root / "srv/shop")
        rows = postgresql(shop, "SELECT * FROM orders ORDER BY id", database="shop")
        assert (len(files), len(rows.splitlines())) == (FILES, ROWS)
        access = json.loads(shop.run("hostward backup credentials --json").stdout)
        before = {name: digest for name, digest in digests(place).items() if "/locks/" not in name}

        answers = attack(shop)
        assert before.items() <= digests(place).items(), "something was removed or changed"
        assert set(answers.pop("add")) == {200}
        answers.pop("remove locks", None)  # those that the killed agent left are the host's own
        for what, codes in answers.items():
            assert all(400 <= code < 500 for code in codes), (what, codes)

        (tmp_path / "ca.pem").write_text((home.folder / "ca.pem").read_text())
        variables = {**access, "RESTIC_CACERT": str(tmp_path / "ca.pem"), "RESTIC_PASSWORD": PASSWORD}
        comes_back(variables, tmp_path, files, rows)


def attack(host: Host) -> dict[str, list[int]]:
    """Root of the host does what root can do, and says how home answered."""
    host.write("intruder.py", INTRUDER.read_text())
    said = host.run('eval "$(hostward backup credentials)" && python3 intruder.py', timeout=120).stdout
    for command in (
        "hostward backup forget --job files --keep-last 1 --prune",
        "hostward backup forget --job files --unsafe-allow-remove-all --tag job:files",
        "hostward backup prune --job files --max-unused 0",
        "hostward backup rewrite --job files --forget --exclude '*.txt'",
        "hostward backup repair index --job files",
    ):
        assert host.run(command, check=False, timeout=120).returncode != 0, command
    host.run("rm -rf /srv/shop /var/lib/hostward /etc/hostward")
    found: dict[str, list[int]] = json.loads(said)
    return found


def comes_back(variables: dict[str, str], folder: Path, files: dict[str, str], rows: str) -> None:
    """Stock restic finds the repository whole, and restores files and database as they were."""

    def restic(*words: str) -> str:
        command = [str(newest_restic()), "--cache-dir", str(folder / "cache"), *words]
        done = subprocess.run(command, env={**os.environ, **variables}, capture_output=True, text=True, timeout=120)
        assert done.returncode == 0, done.stderr
        return done.stdout

    restic("check", "--read-data")
    restic("restore", "latest", "--tag", "job:files", "--target", str(folder / "restored"))
    assert digests(folder / "restored/srv/shop") == files
    restic("restore", "latest", "--tag", "job:orders", "--target", str(folder / "dumps"))
    with postgres() as server:
        server.sql("CREATE DATABASE shop")
        reach = ["-h", str(server.folder), "-p", str(server.port), "-U", "postgres", "-d", "shop"]
        dump = str(folder / "dumps/postgresql/shop.dump")
        subprocess.run([str(postgres_program("pg_restore")), "--no-owner", *reach, dump], check=True, timeout=60)
        again = "".join(f"{id}|{what}\n" for id, what in server.sql("SELECT * FROM orders ORDER BY id", "shop"))
    assert again == rows
