"""How what a source saved is brought back, step by step (pure). A source that is not named here saved files."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from agent.backups.recovery.kit import SnapshotLine
from agent.backups.recovery.page import Block, Commands, Paragraph
from agent.backups.recovery.tools import HOSTWARD, TARGET, Tool, picked

Steps = Callable[[Tool, SnapshotLine], Iterator[Block]]


def steps(source: str, tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    """Sentences and commands."""
    return _STEPS.get(source, _files)(tool, newest)


def _files(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        f"Files come back into {TARGET}, each under its whole path, from where they are moved to their places. "
        "--target / writes at once to where they came from."
    )
    yield Commands(tuple(tool.of(newest, "restore", "latest", "--target", TARGET, "--verify")))


def _postgresql(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        "Install a PostgreSQL that is not older than the one before, and start it. Roles come first; that the role "
        "postgres exists already is no trouble. Then each database is made and filled."
    )
    lines = []
    for path in _in_order(newest, "globals.sql"):
        if path.endswith(".sql"):
            lines += tool.piped(newest, path, "runuser", "-u", "postgres", "--", "psql", "-d", "postgres")
        else:
            restore = ("pg_restore", "--create", "--dbname=postgres")
            lines += tool.piped(newest, path, "runuser", "-u", "postgres", "--", *restore)
    yield Commands(tuple(lines))


def _postgresql_base(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    if tool is HOSTWARD:
        yield Paragraph(
            "The server as it was at the end of all WAL that is in the repository; --to TIME stops before. Install "
            "the same major version of PostgreSQL, put its configuration back, and start it on the folder."
        )
        yield Commands(
            (
                *tool.run("wal", "status"),
                *tool.run("restore-postgresql", f"--host={newest.host}", "--target", "/var/lib/postgresql/restored"),
            )
        )
        return
    yield Paragraph(
        "`data` in what comes back is a data folder; base.json beside it says where tablespaces were. Links in "
        "pg_tblspc, an empty recovery.signal, and a restore_command that copies from where the job of WAL came back "
        "to are to be made by hand before the server is started."
    )
    yield Commands(tuple(tool.of(newest, "restore", "latest", "--target", TARGET)))


def _postgresql_wal(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    if tool is HOSTWARD:
        yield Paragraph("WAL comes back with the base backup that it follows, by the commands of that job.")
        return
    yield Paragraph("Each snapshot holds some segments, so every one of them is restored, into the same folder:")
    picking = " ".join(picked(newest))
    yield Commands(
        (
            f"for snapshot in $(restic snapshots --json {picking} | jq -r '.[].id'); do",
            f'    restic restore "$snapshot" --target {TARGET}',
            "done",
        )
    )


def _mysql(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        "Install the same server of MySQL or MariaDB, and start it. Accounts come first. "
        "Each dump makes its database."
    )
    lines = [line for path in _in_order(newest, "users.sql") for line in tool.piped(newest, path, "mysql")]
    yield Commands(tuple(lines))


def _redis(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        "Install Redis or Valkey, and stop it: it reads its file when it starts. Where `appendonly` is on, turn it "
        "off for the first start, or the file is not read."
    )
    write = ("install", "-o", "redis", "-g", "redis", "-m", "640", "/dev/stdin", "/var/lib/redis/dump.rdb")
    lines = ["systemctl stop redis-server"]
    for path in newest.dumps:
        lines += tool.piped(newest, path, *write)
    yield Commands((*lines, "systemctl start redis-server"))


def _sqlite(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        f"Below {TARGET}/sqlite each database lies under its whole path. It is moved to its place while no program "
        "uses it, and -wal and -shm files of the old one are removed."
    )
    yield Commands(tuple(tool.of(newest, "restore", "latest", "--target", TARGET, "--verify")))


def _command(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph("What the program printed is a file; what reads it again is what this job's owner knows.")
    yield Commands(tuple(tool.of(newest, "restore", "latest", "--target", TARGET, "--verify")))


def _docker(tool: Tool, newest: SnapshotLine) -> Iterator[Block]:
    yield Paragraph(
        f"{TARGET}/docker/volumes.json says how each volume was made (name, driver, options, labels). Make the "
        "volumes anew by it, and move what came back into the folders that `docker volume inspect` names, while no "
        "container runs that uses them."
    )
    yield Commands(tuple(tool.of(newest, "restore", "latest", "--target", TARGET, "--verify")))


def _in_order(newest: SnapshotLine, first: str) -> list[str]:
    return sorted(newest.dumps, key=lambda path: (not path.endswith("/" + first), path))


_STEPS: dict[str, Steps] = {
    "command": _command,
    "docker": _docker,
    "mariadb": _mysql,
    "mysql": _mysql,
    "postgresql": _postgresql,
    "postgresql_base": _postgresql_base,
    "postgresql_wal": _postgresql_wal,
    "redis": _redis,
    "sqlite": _sqlite,
}
