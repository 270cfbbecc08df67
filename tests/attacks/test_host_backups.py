"""Users of a host, the users of its databases among them, against the backups and drills that root does there."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import sqlite3
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from agent.backups.frozen import btrfs
from agent.backups.frozen.contract import FrozenError, Volume
from agent.backups.frozen.mounts import holding, parse
from agent.backups.programs import Output, ProgramError
from agent.backups.scratch import daemon, registry
from agent.backups.scratch.contract import ScratchError
from agent.backups.sources import postgresql_base, postgresql_wal
from agent.backups.sources.contract import Run, SourceError
from agent.backups.wal.base import BaseFile, ManifestError
from agent.backups.wal.spool import content_of, take_away, waiting
from agent.cli.backup.job_run import work_folder
from agent.config.backup_sources.docker import DockerSource
from agent.config.backup_sources.postgresql_base import PostgresqlBaseSource
from agent.config.backup_sources.postgresql_wal import PostgresqlWalSource
from agent.config.backups import BackupOptions
from backup.select.wal_names import BASE_MARK, Base, parse_tag
from tests.agent.backups.wal.segments import SYSTEM, segment
from tests.agent.cli.backup.repos import Place
from tests.require import require, require_program, require_root

SECRET = "root:$y$j9T$what-nobody-else-may-read"
NAME = "000000010000000000000003"


@pytest.fixture
def victim(place: Path) -> Iterator[Path]:
    """A file of root's, which is as it was afterwards."""
    require_root()
    file = place / "victim"
    file.write_text(SECRET)
    file.chmod(0o600)
    before = file.stat()
    yield file
    assert file.read_text() == SECRET
    assert (file.stat().st_uid, file.stat().st_mode) == (before.st_uid, before.st_mode)


@pytest.fixture
def folder() -> Iterator[Path]:
    """An empty one with a short path, which the server's user can reach."""
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as name:
        yield Path(name)


def given(path: Path, user: str = "nobody") -> Path:
    """It belongs to the attacker from now on."""
    entry = pwd.getpwnam(user)
    os.chown(path, entry.pw_uid, entry.pw_gid, follow_symlinks=False)
    return path


# The servers in which dumps are tried.


def test_a_scratch_server_is_nobody_who_owns_anything(folder: Path) -> None:
    """A dump runs what the users of a database wrote into it: as the live server's user it could take that over."""
    require_root()
    require_program("redis-server")
    with registry.opened("redis", folder, patience=60):
        assert pwd.getpwuid(folder.stat().st_uid).pw_name in ("hostward-scratch", "nobody")


def test_a_link_in_the_place_of_a_dump_is_not_written_through(folder: Path, victim: Path) -> None:
    """The folder is the server's user's, and root writes the dump into it."""
    require_program("redis-server")
    with (
        pytest.raises(ScratchError),
        registry.opened("redis", folder, patience=60) as server,
        tempfile.TemporaryFile() as dump,
    ):
        (folder / "dump.rdb").symlink_to(victim)
        dump.write(b"no dump" * 100)
        dump.seek(0)
        server.load("/redis/dump.rdb", dump.fileno())


def test_a_link_in_the_place_of_a_servers_log_is_not_read_through(folder: Path, victim: Path) -> None:
    """Its last words are told in the report."""
    user = daemon.unprivileged()
    swap = f'echo said; rm server.log; ln -s "{victim}" server.log; exit 1'
    with (
        pytest.raises(ScratchError, match=r": said$"),
        daemon.owned(folder, user),
        daemon.running(["sh", "-c", swap], folder, user, is_up=lambda: False, patience=60, end=signal.SIGKILL),
    ):
        pass


def test_what_is_deeper_than_a_path_can_say_goes_too() -> None:
    """What runs in a dump may leave it so."""
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/dev/shm") as name:  # where depth costs nothing
        folder = Path(name)
        with daemon.owned(folder, ""):
            here = os.open(folder, os.O_RDONLY)
            for _ in range(1500):
                os.mkdir("deeper", dir_fd=here)
                inner = os.open("deeper", os.O_RDONLY, dir_fd=here)
                os.close(here)
                here = inner
            os.close(here)
        assert list(folder.iterdir()) == []


def test_a_view_without_an_end_ends_with_the_patience(folder: Path, tmp_path: Path) -> None:
    """In the place of a table that an assertion asks for."""
    with closing(sqlite3.connect(tmp_path / "db")) as connection:
        connection.execute(
            "create view orders as with recursive n(i) as (select 1 union all select i + 1 from n) select i from n"
        )
    with registry.opened("sqlite", folder, patience=0.3) as server, (tmp_path / "db").open("rb") as dump:
        server.load("/sqlite/db", dump.fileno())
        with pytest.raises(ScratchError, match=r"no answer within 0.3 s"):
            server.query("select count(*) from orders")


# Base backups.


@pytest.mark.parametrize("oid", ["../../etc/cron.d", "16384/..", "", "x", "1" * 11])
def test_a_base_backup_names_no_folder_by_what_should_be_a_number(oid: str) -> None:
    """It becomes the name of a link that is made, and of one that is removed."""
    told = BaseFile(
        system=SYSTEM,
        timeline=1,
        start="0/1",
        stop="0/2",
        next_xid=3,
        taken=1.0,
        version="15.6",
        tablespaces={oid: "/a"},
    )
    with pytest.raises(ManifestError, match=r"base\.json"):
        BaseFile.decode(told.encode())


@pytest.fixture
def base(tmp_path: Path) -> Path:
    """A base backup that holds next to nothing."""
    folder = tmp_path / "base"
    (folder / "data" / "global").mkdir(parents=True)
    (folder / "data" / "pg_tblspc").mkdir()
    (folder / "data" / "PG_VERSION").write_text("15\n")
    (folder / "data" / "global" / "pg_control").write_bytes(SYSTEM.to_bytes(8, "little"))
    (folder / "tablespaces" / "16384").mkdir(parents=True)
    told = BaseFile(
        system=SYSTEM,
        timeline=1,
        start="0/1000028",
        stop="0/1000100",
        next_xid=700,
        taken=1.7e9,
        version="15.6",
        tablespaces={"16384": str(tmp_path / "space")},
    )
    (folder / "base.json").write_bytes(told.encode())
    return folder


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("postgresql.auto.conf", "is no regular file"),
        ("pg_tblspc", "is no folder"),
        ("PG_VERSION", "Too many levels of symbolic links"),
    ],
)
def test_a_link_in_a_base_backup_leads_root_nowhere(
    tmp_path: Path, base: Path, victim: Path, name: str, said: str
) -> None:
    """Whoever the scratch folder belongs to may put links into what is saved; the restore gives all of it to them."""
    there = victim.parent / "elsewhere"
    there.mkdir()
    (there / "16384").write_text("a file of root's")
    shutil.rmtree(base / "data" / name, ignore_errors=True)
    (base / "data" / name).unlink(missing_ok=True)
    (base / "data" / name).symlink_to(there if name == "pg_tblspc" else victim)
    repository = Place.make(tmp_path / "repository")
    tag = Base(SYSTEM, 1, 0x1000028, 0x1000100, 700).tag()
    repository.hostward("run", base, "--tag", f"{BASE_MARK},{tag}")
    words = ("restore-postgresql", "--target", tmp_path / "then", "--immediate", "--owner", "nobody")

    with pytest.raises(AssertionError) as failed:
        repository.hostward(*words)

    assert said in str(failed.value) and SECRET not in str(failed.value)
    assert (there / "16384").read_text() == "a file of root's"
    for file in (tmp_path / "then").rglob("*"):
        assert file.is_symlink() or not file.is_file() or SECRET not in file.read_text(errors="replace")


def test_a_link_in_the_scratch_folder_is_not_written_through(
    place: Path, victim: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what a base backup says of itself root writes a file, into the folder of the tools' user."""
    tools = place / "tools"
    tools.mkdir(mode=0o755)
    scripts = {
        "psql": 'case "$*" in *tablespace*) ;; *) echo "700|1700000000000000|99.1" ;; esac',
        "pg_basebackup": f"""
            for word; do case $word in --pgdata=*) data=${{word#--pgdata=}} ;; esac; done
            mkdir -p "$data/global"
            echo 99 > "$data/PG_VERSION"
            printf 12345678 > "$data/global/pg_control"
            echo '{{"WAL-Ranges": [{{"Timeline": 1, "Start-LSN": "0/1", "End-LSN": "0/2"}}]}}' \\
                > "$data/backup_manifest"
            ln -s {victim} "$data/../base.json"
        """,
        "pg_verifybackup": "exit 0",
    }
    for name, script in scripts.items():
        (tools / name).write_text(f"#!/bin/sh\n{script}\n")
        (tools / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{tools}:{os.environ['PATH']}")
    scratch = place / "scratch"
    options = PostgresqlBaseSource(scratch=str(scratch), run_as="nobody")

    with (
        pytest.raises(SourceError, match="left no base backup that can be saved"),
        postgresql_base.opened(options, Run("base", place)),
    ):
        pass

    assert scratch.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    assert list(scratch.iterdir()) == []


# WAL that waits.


@pytest.fixture
def spool(tmp_path: Path) -> Path:
    """With a segment in it."""
    (tmp_path / "spool" / str(SYSTEM)).mkdir(parents=True)
    segment(tmp_path / "spool" / str(SYSTEM) / NAME)
    return tmp_path / "spool"


def test_a_link_in_a_spool_leads_nobody_elsewhere(tmp_path: Path, spool: Path) -> None:
    """Not to where other WAL lies, which would be removed once it is saved; and what is no number is nobody's."""
    other = tmp_path / "other"
    other.mkdir()
    segment(other / NAME)
    (spool / "77").symlink_to(other)
    (spool / "\N{SUPERSCRIPT TWO}").mkdir()
    assert [file.system for file in waiting(spool)] == [SYSTEM]

    (found,) = waiting(spool)
    found.path.parent.rename(spool / "moved")
    found.path.parent.symlink_to(other)
    for act in (lambda: take_away([found]), lambda: content_of(found)):
        with pytest.raises(NotADirectoryError):
            act()
    assert (other / NAME).exists()


def test_what_takes_a_segments_place_is_not_read(spool: Path, tmp_path: Path) -> None:
    """Neither a link nor a pipe."""
    (found,) = waiting(spool)
    found.path.unlink()
    found.path.symlink_to(tmp_path / "secret")
    with pytest.raises(OSError, match="symbolic links"):
        content_of(found)
    found.path.unlink()
    os.mkfifo(found.path)
    with pytest.raises(OSError, match="no regular file"):
        content_of(found)


def test_a_file_of_no_size_is_told_by_its_name(spool: Path) -> None:
    """It does not end the run as if the program were at fault."""
    os.truncate(spool / str(SYSTEM) / NAME, 0)
    options = PostgresqlWalSource(spool=str(spool))
    with (
        pytest.raises(SourceError, match=f"{NAME}: is 0 bytes long"),
        postgresql_wal.opened(options, Run("wal", spool)),
    ):
        pass


@pytest.mark.parametrize("last", ["00000001FFFFFFFF000000FF", "000000010000100000000000"])
def test_a_snapshot_that_claims_more_wal_than_there_can_be_claims_none(last: str) -> None:
    """Whoever follows WAL would go through all of its numbers."""
    assert parse_tag(f"wal-{SYSTEM}-16MiB-000000010000000000000000-{last}-until-1700000000") is None


# Snapshots of file systems, notes, and what is said.


def test_a_link_that_is_named_as_a_snapshot_costs_nobody_a_subvolume(tmp_path: Path) -> None:
    """Who owns a volume can put one there; the run that follows removes the snapshots of dead ones."""
    require_root()
    require("btrfs" in Path("/proc/filesystems").read_text(), "a kernel with btrfs")
    for program in ("mkfs.btrfs", "btrfs"):
        require_program(program)
    image, point = tmp_path / "image", tmp_path / "volume"
    image.touch()
    os.truncate(image, 128 * 2**20)
    point.mkdir()
    subprocess.run(["mkfs.btrfs", "-q", "-m", "single", image], check=True, capture_output=True)
    subprocess.run(["mount", "-o", "loop", image, point], check=True)
    try:
        for name in ("alices", "somebody"):
            subprocess.run(["btrfs", "-q", "subvolume", "create", point / name], check=True)
        (point / "somebody" / "file").write_text("kept")
        dead = "hostward-00000000-1-1-0"
        (point / "alices" / f".{dead}").symlink_to(point / "somebody")
        mounted = holding(parse(Path("/proc/self/mountinfo").read_bytes()), os.fsencode(point))
        volume = Volume(str(point / "alices"), mounted)
        assert btrfs.names(volume) == [dead]
        with pytest.raises(FrozenError):
            btrfs.remove(volume, dead)
        assert (point / "somebody" / "file").read_text() == "kept"
    finally:
        subprocess.run(["umount", "--lazy", point], check=True)


def test_root_believes_no_note_in_a_folder_of_the_agents_user(tmp_path: Path) -> None:
    """It would let containers go on that it names, and be written wherever a link leads."""
    require_root()
    job = BackupOptions(repository="/srv/backup", docker=DockerSource(volumes=("*",)))
    state = tmp_path / "state"
    state.mkdir(mode=0o700)
    assert work_folder(job, "volumes", state) == state / "sources" / "volumes"
    given(state)
    assert work_folder(job, "volumes", state) == Path("/var/lib/hostward-backup/volumes")


def test_what_a_tool_says_steers_no_terminal(capfd: pytest.CaptureFixture[str]) -> None:
    """Names of tables are in it, which users of the database choose."""
    words = ["sh", "-c", r"printf 'dumping \033[2J\033]0;owned\007tea\n' >&2; exit 1"]
    with Output(words) as output, pytest.raises(ProgramError):
        output.readinto(memoryview(bytearray(10)))
    said = capfd.readouterr().err
    assert "tea\n" in said and "\x1b" not in said and "\x07" not in said
