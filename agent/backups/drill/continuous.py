"""Drills of continuous archives: a base backup of PostgreSQL and the WAL after it, replayed to its end.

The server that replays it is thrown away; before that it is asked whether all is there.
"""

from __future__ import annotations

import csv
import io
import signal
import time
from pathlib import Path

from agent.backups.drill.contract import DrillError, Restored, Tell
from agent.backups.drill.database import judge_value
from agent.backups.drill.space import require_room
from agent.backups.programs import ProgramError, collect
from agent.backups.scratch.daemon import owned, running, unprivileged
from agent.backups.wal.plan import Kind, RestorePlan, Target, plan_restore
from agent.backups.wal.restore import Places, RestoreError, read_base_file, restore
from agent.backups.wal.tools import find_tool
from agent.config.drills import DrillOptions
from backup.format.node import shown
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.restore.options import Progress
from backup.select.wal import Chain, chains

SOURCE = "postgresql_base"
_ROLE = "postgres"
_PORT = "5432"
_SETTINGS = (
    "listen_addresses=",
    f"port={_PORT}",
    "unix_socket_permissions=0700",
    "ssl=off",
    "hot_standby=off",
    "archive_mode=off",
    "autovacuum=off",
    "fsync=off",
    "full_page_writes=off",
)
"""In the place of the lost server's own: without a network, and without certificates and libraries that this host may
lack. It takes no session before all is replayed (hot_standby), so it need not be as large as that server was. They
are on the command line, since what ALTER SYSTEM set comes back with the data, and outweighs a file.
"""


def drill_continuous(
    repository: Repository, base: Snapshot, folder: Path, options: DrillOptions, *, begun: float, tell: Tell
) -> tuple[Restored, str]:
    """As `drill_database`, from this base backup on to the end of the WAL that there is."""
    chain = _chain(repository, base)
    target = Target(Kind.END, not_after=base.time_ns)
    plan = plan_restore(chain, target)
    told = read_base_file(repository, plan.base.snapshot)
    found = _whole(chain, plan)
    require_room(folder, found.total_bytes, int(options.space))
    user = unprivileged()
    # The folder stays root's: the server gets through it to folders of its own, and changes nothing that root writes.
    folder.chmod(0o711)
    data, state = folder / "data", Progress()
    spaces = {oid: folder / f"space-{oid}" for oid in told.tablespaces}
    wrong: list[str] = []
    try:
        restore(
            repository,
            chain,
            plan,
            target,
            Places(data, folder / "wal", spaces, user),
            action="promote",
            archiving=False,
            progress=state,
            on_error=lambda path, message: wrong.append(f"{shown(path)}: {message}"),
        )
    except RestoreError as error:
        raise DrillError("; ".join([str(error), *wrong[:1]])) from None
    tell("data", found.total_bytes, found.total_bytes)
    own = folder / "server"
    own.mkdir(mode=0o700)
    server = _Server(own, user, int(told.major))
    words = [str(server.tool("postgres")), "-D", str(data), *server.settings(folder)]
    with (
        owned(own, user),
        running(
            words,
            own,
            user,
            is_up=server.is_up,
            patience=float(options.timeout),
            end=signal.SIGQUIT,
        ),
    ):
        found.files, found.bytes = found.total_files, found.total_bytes
        found.seconds = time.monotonic() - begun
        if options.assertion is None:
            return found, ""
        rows = server.query(options.assertion.sql, options.assertion.database or _ROLE)
        return found, judge_value(rows[0][0] if rows and rows[0] else "", options.assertion.expect)


def _chain(repository: Repository, base: Snapshot) -> Chain:
    """What there is of the cluster that this is a base backup of. Raises DrillError where it is of none."""
    for chain in chains(repository.snapshots()).values():
        if any(each.snapshot.id == base.id for each in chain.bases):
            return chain
    raise DrillError(f"snapshot {base.short_id} is no base backup of PostgreSQL")


def _whole(chain: Chain, plan: RestorePlan) -> Restored:
    summary = plan.base.snapshot.summary
    files = 0 if summary is None else summary.total_files_processed
    size = 0 if summary is None else summary.total_bytes_processed
    until = None if plan.until is None else float(plan.until)
    wal = len(plan.segments)
    return Restored(total_files=files + wal, total_bytes=size + wal * chain.segment_size, until=until)


class _Server:
    """A server of the restored data, with its socket in `folder`."""

    def __init__(self, folder: Path, user: str, major: int) -> None:
        self._folder = folder
        self._user = user
        self._major = major

    def tool(self, name: str) -> Path:
        """One of PostgreSQL's programs, of the version that the data is of. Raises DrillError."""
        found = find_tool(name, major=self._major)
        if found is None:
            raise DrillError(f"there is no PostgreSQL {self._major} on this host to try it in: no {name}")
        return found

    def settings(self, above: Path) -> list[str]:
        """The words for them. The files that they name are in `above`: it may read and not change them."""
        named = [f"unix_socket_directories={self._folder}"]
        for name, content in (("config", ""), ("hba", "local all all trust\n"), ("ident", "")):
            file = above / f"{name}.conf"
            file.write_text(content)
            file.chmod(0o644)
            named.append(f"{name}_file={file}")
        return [word for setting in (*_SETTINGS, *named) for word in ("-c", setting)]

    def is_up(self) -> bool:
        """Whether all is replayed and it takes sessions."""
        try:
            return self.query("SELECT pg_is_in_recovery()", _ROLE) == [["f"]]
        except DrillError:
            return False

    def query(self, statement: str, database: str) -> list[list[str]]:
        """SQL. Raises DrillError."""
        words = [str(self.tool("psql")), "--no-psqlrc", "--quiet", "--no-password", "--csv", "--tuples-only"]
        environment = {
            "PGHOST": str(self._folder),
            "PGPORT": _PORT,
            "PGUSER": _ROLE,
            "PGCLIENTENCODING": "UTF8",
            "PGDATABASE": database,
        }
        try:
            said = collect(
                [*words, "--set=ON_ERROR_STOP=1"], environment=environment, given=statement.encode(), user=self._user
            )
        except ProgramError as error:
            raise DrillError(f"the restored server: {error}") from None
        return list(csv.reader(io.StringIO(said.decode(), newline="")))
