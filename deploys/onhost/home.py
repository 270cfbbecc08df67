"""Brings a release of home, its files and folder into force on a host, and puts them back where it is not ready.

It runs in a unit of its own, as deploys/onhost/apply.py does for the agent. `before.json` is on the disk until home
is judged: whoever finds that file starts this again, and what was there is put back.

`python3 -m deploys.onhost.home FOLDER`: FOLDER/plan.json says what to do (`Plan` in deploys/operations/home.py), and
FOLDER/result.json afterwards what became of it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sqlite3
import ssl
import sys
import time
from http import HTTPStatus
from http.client import HTTPException, HTTPSConnection
from pathlib import Path
from typing import Any

from deploys.onhost.course import Steps, carry_out
from deploys.onhost.parts import (
    ApplyError,
    change_back,
    copy,
    exchange,
    kept,
    link,
    owner,
    put,
    quiet,
    run,
    succeeds,
    sync,
    target_of,
    tidy,
    write,
)

DATA = Path("/var/lib/hostward-collector")
DATABASE = DATA / "collector.db"
COPYING = 3600
"""Seconds in which all of home's database has to be read or written, where PostgreSQL has it."""
CHOICE = DATA / "database.toml"
"""Which database home has that is not this file."""
HOME = "hostward-collector.service"
AGENT = "hostward-agent.service"
OTHERS = (AGENT, "hostward-logs.service", "hostward-backup-watch@*.service")
"""What else may run of the release."""
ADDRESS, PORT, READY = "127.0.0.1", 8443, "/readyz"
"""The unit has this port."""
OWN = (DATA / "server.pem", CHOICE)
"""Files that are home's own, in its folder."""
REVISION = """
import sys
from pathlib import Path
from collector.store.database import connect, told
from collector.store.place import place_of
from collector.store.schema import revision
from kit.errors import HostwardError
try:
    place = place_of(Path(sys.argv[1]))
    with told(place), connect(place).read() as connection:
        print(revision(connection) or "")
except HostwardError as error:
    sys.exit(f"hostward: {error}")
"""
CHECK = """
import sys
from pathlib import Path
from collector.settings import load_settings
from kit.errors import HostwardError
try:
    load_settings(Path(sys.argv[1]))
except HostwardError as error:
    sys.exit(f"hostward: {error}")
"""


def main(folder: Path) -> None:
    """Do what the plan says, after putting back what a run before did not bring to its end."""
    carry_out(folder, Steps(check, remember, apply, watch, put_back, forget, tidy))


def check(plan: dict[str, Any], folder: Path) -> None:
    """What can be known before anything is touched. Raises ApplyError."""
    name = f".{plan['version']}.new" if plan["built"] else plan["version"]
    python = str(Path(plan["prefix"], name, "bin/python"))
    trial = folder / "collector.toml"
    for file in plan["files"]:
        if file["path"].endswith("/collector.toml") and file["text"] is not None:
            write(trial, file["text"], 0o600)
            try:
                asked(python, CHECK, str(trial))
            except ApplyError as error:
                said = str(error).replace(str(trial), file["path"])
                raise ApplyError(f"the configuration has mistakes: {said}") from None
            finally:
                trial.unlink()
    known = run([python, "-I", "-c", "from collector.store.tables import REVISION; print(REVISION)"]).strip()
    serves = plan["database"] is not None or CHOICE.exists()
    found = served(plan, folder, python) if serves else revision()
    if found is not None and found > known:
        what = "home's database" if serves else str(DATABASE)
        raise ApplyError(
            f"{what} was written by a newer Hostward (schema {found}, {plan['version']} knows {known}): home "
            "would not start. To go back, restore a backup of the database that the older version made"
        )
    plan["migrates"] = found is not None and found != known
    if plan["migrates"] and size(plan) * 1.1 > shutil.disk_usage(folder).free:
        raise ApplyError(
            f"there is no room in {folder} for a copy of home's database, without which nothing can be put back"
        )


def served(plan: dict[str, Any], folder: Path, python: str) -> str | None:
    """The schema of a database of PostgreSQL's, the one that home is to have; None where it is empty."""
    if plan["database"] is None:
        return asked(python, REVISION, str(DATA)).strip() or None
    trial = folder / CHOICE.name
    write(trial, plan["database"]["text"], 0o600)
    try:
        return asked(python, REVISION, str(folder)).strip() or None
    finally:
        trial.unlink()


def asked(python: str, program: str, *words: str) -> str:
    """What a program says that is given to home's own Python. Raises ApplyError, with its reason alone."""
    try:
        return run([python, "-I", "-c", program, *words])
    except ApplyError as error:
        raise ApplyError(str(error).partition(": hostward: ")[2] or str(error)) from None


def revision() -> str | None:
    """The database's schema; None where there is no database, or none that is complete."""
    if not DATABASE.exists():
        return None
    with contextlib.closing(sqlite3.connect(f"{DATABASE.resolve().as_uri()}?mode=ro", uri=True, timeout=30)) as found:
        try:
            row = found.execute("SELECT version_num FROM alembic_version").fetchone()
        except sqlite3.OperationalError:
            return None
    return None if row is None else str(row[0])


def size(plan: dict[str, Any]) -> int:
    """Bytes of the database with what belongs to it."""
    if CHOICE.exists():
        return int(json.loads(run([collector(plan), "database", "show", "--json"]))["size"])
    return sum(file.stat().st_size for file in (DATABASE, beside()) if file.exists())


def beside() -> Path:
    """What SQLite has written and not yet moved into the database."""
    return DATABASE.with_name(f"{DATABASE.name}-wal")


def collector(plan: dict[str, Any]) -> str:
    """The program of the release in use."""
    return str(Path(plan["prefix"], "current/bin/hostward-collector"))


def remember(plan: dict[str, Any], folder: Path) -> None:
    """Have on the disk what is needed to put all back."""
    prefix = Path(plan["prefix"])
    before: dict[str, Any] = {
        "prefix": plan["prefix"],
        "version": plan["version"],
        "built": plan["built"],
        "release": plan["release"],
        "current": target_of(prefix / "current"),
        "replaces": (prefix / plan["version"]).exists() and plan["built"],
        "files": [
            *(kept(file["path"]) for file in plan["files"]),
            *(kept(str(path), links=False) for path in OWN),
        ],
        "links": {path: target_of(Path(path)) for path in plan["links"]},
        "active": [unit for unit in (HOME, AGENT) if succeeds(["systemctl", "is-active", "--quiet", unit])],
        "enabled": succeeds(["systemctl", "is-enabled", "--quiet", HOME]),
        "migrates": plan["migrates"],
        "copied": False,
    }
    plan["agent"] = AGENT in before["active"]
    write(folder / "before.json", json.dumps(before), 0o600)
    if plan["migrates"]:
        run(["systemctl", "stop", HOME])
        save(plan, folder / "database")
        before["copied"] = True
        write(folder / "before.json", json.dumps(before), 0o600)


def save(plan: dict[str, Any], target: Path) -> None:
    """A copy of the database, as the release in use knows it."""
    if not CHOICE.exists():
        move(DATA, target)
        return
    target.mkdir(mode=0o700, exist_ok=True)
    (target / DATABASE.name).unlink(missing_ok=True)
    run([collector(plan), "database", "save", str(target / DATABASE.name)], timeout=COPYING)


def move(source: Path, target: Path) -> None:
    """The database, which nobody has open, from folder to folder, with what belongs to it."""
    target.mkdir(mode=0o700, exist_ok=True)
    for name in (beside().name, f"{DATABASE.name}-shm"):
        (target / name).unlink(missing_ok=True)
    for name in (DATABASE.name, beside().name):
        copy(source / name, target / name)
    sync(target)


def apply(plan: dict[str, Any], folder: Path) -> None:
    """Have it so. Raises ApplyError."""
    prefix = Path(plan["prefix"])
    if plan["built"]:
        exchange(prefix, plan["version"])
    if plan["release"]:
        link(prefix / "current", plan["version"])
    for path, target_path in plan["links"].items():
        link(Path(path), target_path)
    run(["sh", "-e", "-c", plan["accounts"]])
    for file in plan["files"]:
        put(file)
    run(["systemctl", "daemon-reload"])
    command = str(prefix / "current/bin/hostward-collector")
    if plan["password"] is not None:
        set_up(command, plan, folder)
    else:
        if plan["database"] is not None:
            write(CHOICE, plan["database"]["text"], 0o600, owner(DATA.stat()))
        if plan["names"]:
            run([command, "certificate", "issue", *named(plan)])
    if plan["certificate"] is not None:
        # As `init` and the service have the others: nobody else's.
        write(DATA / "server.pem", plan["certificate"], 0o600, owner(DATA.stat()))
    run(["systemctl", "enable", "--quiet", HOME])
    run(["systemctl", "restart", HOME])
    if plan["release"]:
        quiet(["systemctl", "try-restart", *OTHERS])


def set_up(command: str, plan: dict[str, Any], folder: Path) -> None:
    """The folder, and the first administrator with the password that is given; also what a run before began."""
    pending = folder / "password.pending"
    pending.touch(mode=0o600)
    if not plan["initialised"]:
        run([command, "init", *named(plan), *database(plan, folder)])
        (folder / "database.password").unlink(missing_ok=True)
    run([command, "user", "password", "admin"], input=plan["password"] + "\n")
    pending.unlink()


def database(plan: dict[str, Any], folder: Path) -> list[str]:
    """The words that say where it is; none for SQLite's file."""
    if plan["database"] is None:
        return []
    words = ["--database", plan["database"]["url"]]
    if plan["database"]["password"]:
        secret = folder / "database.password"
        write(secret, plan["database"]["password"] + "\n", 0o600)
        words += ["--database-password-file", str(secret)]
    return words


def named(plan: dict[str, Any]) -> list[str]:
    """The names that a certificate is to have, as words."""
    return [word for name in plan["names"] for word in ("--name", name)]


def watch(plan: dict[str, Any]) -> None:
    """Until home is ready, and the agent of the same release is up. Raises ApplyError when they are not in time."""
    end = time.monotonic() + plan["patience"]
    while why := ill(agent=plan["agent"]):
        if time.monotonic() >= end:
            raise ApplyError(f"home was not ready within {plan['patience']:.0f} s: {why}")
        time.sleep(0.5)


def ill(*, agent: bool) -> str | None:
    """Why home is not ready yet, or None."""
    if not succeeds(["systemctl", "is-active", "--quiet", HOME]):
        said = quiet(["journalctl", "--quiet", "--no-pager", "-u", HOME, "-n", "1", "-o", "cat"]).strip()
        return f"it does not run{f': {said}' if said else ''}"
    # It is this host's own, whoever signed its certificate and for whatever name.
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    connection = HTTPSConnection(ADDRESS, PORT, timeout=5, context=context)
    try:
        connection.request("GET", READY)
        status = connection.getresponse().status
    except (OSError, HTTPException) as error:
        return f"{READY} cannot be asked: {error}"
    finally:
        connection.close()
    if status != HTTPStatus.OK:
        return f"{READY} says {status}"
    if agent and not succeeds(["systemctl", "is-active", "--quiet", AGENT]):
        return f"{AGENT} does not run"
    return None


def put_back(folder: Path) -> None:
    """As it was. Doing it again changes nothing. Raises ApplyError."""
    before = json.loads((folder / "before.json").read_text())
    prefix, version = Path(before["prefix"]), before["version"]
    failed: list[str] = []
    quiet(["systemctl", "stop", HOME])
    if before["current"] is not None:
        link(prefix / "current", before["current"])
    else:
        (prefix / "current").unlink(missing_ok=True)
    if before["built"]:
        change_back(prefix, version, was_there=before["replaces"])
    if not before["enabled"]:
        quiet(["systemctl", "disable", "--quiet", HOME])
    for file in before["files"]:
        # A folder that was set up meanwhile stays, and what is its own with it.
        if "base64" in file or Path(file["path"]) not in OWN:
            put(file)
    for path, target_path in before["links"].items():
        if target_path is None:
            Path(path).unlink(missing_ok=True)
        else:
            link(Path(path), target_path)
    if before["copied"] and CHOICE.exists():
        saved = str(folder / "database" / DATABASE.name)
        run([collector(before), "database", "load", "--replace", saved], failed, timeout=COPYING)
    elif before["copied"]:
        move(folder / "database", DATA)
    quiet(["systemctl", "daemon-reload"])
    for unit in before["active"]:
        run(["systemctl", "reset-failed", unit], failed)
        run(["systemctl", "restart", unit], failed)
    if before["release"]:
        quiet(["systemctl", "try-restart", *OTHERS])
    if failed:
        raise ApplyError("; ".join(failed))
    forget(folder)


def forget(folder: Path) -> None:
    """It is judged, and is not put back any more."""
    (folder / "before.json").unlink()
    shutil.rmtree(folder / "database", ignore_errors=True)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
