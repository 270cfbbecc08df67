"""A PostgreSQL server that archives into a spool, a repository, jobs for both, and copies that are restored."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.agent.backups.wal.segments import SIZE
from tests.agent.checks.daemons import (
    Postgres,
    folder_of,
    postgres,
    postgres_program,
    running,
    seeing_all_as,
    until,
)
from tests.agent.cli.backup.repos import PASSWORD, Place
from tests.agent.daemon.daemons import HOSTWARD
from tests.ports import free_port
from tests.require import require_program

USER = "postgres" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name


@dataclass
class Archive:
    """All of it."""

    server: Postgres
    top: Path
    """The server's user's."""
    own: Path
    """Who runs the tests': with the configuration, and the state."""
    place: Place
    spool: Path

    def again(self, own: Path) -> Archive:
        """The same server and spool, with what the repository has now in another one."""
        shutil.copytree(self.place.folder, own / "repository")
        shutil.copy2(self.own / "password", own / "password")
        config = (self.own / "agent.toml").read_text().replace(f'"{self.own}/', f'"{own}/')
        (own / "agent.toml").write_text(config)
        return Archive(self.server, self.top, own, Place(own / "repository"), self.spool)

    def hostward(self, *words: object, code: int = 0) -> str:
        """A command of backups, with the jobs of this archive."""
        return self.place.hostward(*words, "--config", self.own / "agent.toml", code=code)

    def run(self, job: str, code: int = 0) -> str:
        """A run of a job."""
        return self.hostward("run", job, "--state-dir", self.own / "state", code=code)

    def restore(self, name: str, *words: object, code: int = 0) -> Path:
        """A restore into a new folder."""
        target = self.top / name
        self.hostward("restore-postgresql", "--job", "wal", "--target", target, *words, code=code)
        return target

    def archived(self) -> None:
        """Wait until all WAL up to now is in the spool, in whole segments."""
        (name,) = self.server.sql("SELECT pg_walfile_name(pg_switch_wal())")[0]
        until(lambda: self._has(name), f"the segment {name}")

    def _has(self, name: str) -> bool:
        (last,) = self.server.sql("SELECT last_archived_wal FROM pg_stat_archiver")[0]
        return last is not None and last[8:24] >= name[8:]

    def now(self) -> str:
        """The server's clock, between what was committed and what will be."""
        self.server.sql("SELECT pg_sleep(0.02)")
        (time,) = self.server.sql("SELECT clock_timestamp()")[0]
        self.server.sql("SELECT pg_sleep(0.02)")
        return str(time.isoformat())


@contextmanager
def archive(own: Path) -> Iterator[Archive]:
    """A server with segments of 1 MiB, and the jobs `base` and `wal` in one repository."""
    for program in ("pg_basebackup", "psql"):
        require_program(program)
    with folder_of(USER) as top:
        spool = top / "spool"
        spool.mkdir(mode=0o700)
        _give(spool)
        settings = (
            "archive_mode = on\n"
            f"archive_command = '{HOSTWARD} backup wal archive {spool} %p %f'\n"
            "max_wal_size = 64MB\nmin_wal_size = 5MB\n"
        )
        with postgres(settings, made_with=[f"--wal-segsize={SIZE >> 20}"], seeing_all=True) as server:
            place = Place.make(own / "repository")
            (own / "password").write_text(PASSWORD)
            (own / "password").chmod(0o600)
            (own / "agent.toml").write_text(
                f"""
[backups.base]
repository = "{place.folder}"
password_file = "{own}/password"
verify = false
nice = 0
[backups.base.postgresql_base]
host = "{server.folder}"
port = {server.port}
scratch = "{top}/scratch"
checkpoint = "fast"
run_as = "{USER if os.geteuid() == 0 else ""}"
[backups.wal]
repository = "{place.folder}"
password_file = "{own}/password"
verify = false
nice = 0
[backups.wal.postgresql_wal]
spool = "{spool}"
"""
            )
            yield Archive(server, top, own, place, spool)


@contextmanager
def started(data: Path, *, settings: str = "") -> Iterator[Postgres]:
    """A server in a restored folder, on a port of its own, once it takes sessions."""
    with folder_of(USER) as folder:
        found = Postgres(folder, free_port(), data)
        words = [*seeing_all_as(USER), postgres_program("postgres"), "-D", data, "-p", found.port, "-k", folder]
        words += [f"-c{each}" for each in ("fsync=off", *filter(None, settings.split(";")))]
        with running(words, "root" if os.geteuid() == 0 else USER, folder, end=signal.SIGQUIT) as process:
            found.process = process

            def is_up() -> bool:
                assert process.poll() is None, _log(folder)
                return found.is_up()

            until(is_up, f"PostgreSQL in {data}")
            yield found


def is_recovered(server: Postgres) -> bool:
    """Whether recovery is at the moment that was asked for, and waits there, or is over."""
    with suppress(Exception):
        (paused,) = server.sql("SELECT NOT pg_is_in_recovery() OR pg_get_wal_replay_pause_state() = 'paused'")[0]
        return bool(paused)
    return False


def rows(server: Postgres, statement: str) -> list[tuple[Any, ...]]:
    """Once recovery is where it should be."""
    until(lambda: is_recovered(server), "the moment")
    return server.sql(statement)


def remove(*folders: Path) -> None:
    """What a restore made."""
    for folder in folders:
        shutil.rmtree(folder, ignore_errors=True)


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        entry = pwd.getpwnam(USER)
        os.chown(folder, entry.pw_uid, entry.pw_gid)


def _log(folder: Path) -> str:
    return "".join(file.read_text(errors="replace")[-2000:] for file in folder.glob("log-*"))
