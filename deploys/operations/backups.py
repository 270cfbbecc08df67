"""`hostward backup` on a host, as whoever runs the job by the timetable would call it.

Each command is a transient unit, which goes on to its end when the connection is lost, and is given the credentials
that the job's own unit would be given.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from shlex import join, quote
from typing import Any, Literal, TypeVar

import msgspec
from pyinfra.api.host import Host

from deploys.facts.backup_jobs import Configured
from deploys.kit.notes import Phase, Result, note
from deploys.operations.fail import StepError
from deploys.operations.postgresql import Server
from deploys.operations.run import literal, ran, run
from deploys.rules.backup_files import CREDENTIAL, CREDENTIALS, secrets_of
from kit.units import format_duration, format_size

DUMPS = "/postgresql"
"""The folder of a snapshot with dumps of PostgreSQL (docs/backup.md)."""
RESTORING = "hostward_restoring"
"""The name of a database that is being restored."""


class _Run(msgspec.Struct):
    """What is told of a run: wire.report.BackupRun."""

    job: str
    outcome: Literal["done", "partial", "failed"]
    snapshot: str = ""
    files: int = 0
    bytes: int = 0
    bytes_added: int = 0
    verified: bool = False
    message: str = ""


class _Drill(msgspec.Struct):
    """What is told of a drill: wire.report.Drill."""

    name: str
    outcome: Literal["done", "failed"]
    snapshot: str = ""
    files: int = 0
    differing: int = 0
    recovery_point: float | None = None
    recovery_time: float | None = None
    message: str = ""


class Backups:
    """The commands on one host. Everything here raises StepError, and what deploys.operations.run raises."""

    def __init__(self, host: Host, configured: Configured, prefix: str, timeout: int) -> None:
        self.host = host
        self.configured = configured
        self.program = f"{prefix}/current/bin/hostward"
        self.timeout = timeout

    def run_jobs(self, names: Sequence[str]) -> None:
        """Run each now. All are run; what failed is told at the end."""
        found = []
        for name in names:
            note(self.host, Phase(f"backup {name}"))
            job = self._job(name)
            said = ran(
                self.host,
                self._unit(["run", name, "--json"], [job], privileged="privileged" in job),
                timeout=self.timeout,
            )
            found.append(_last(said.output, _Run, name) or _Run(name, "failed", message=said.complaint))
        note(self.host, Result({"runs": [msgspec.to_builtins(one) for one in found]}, tuple(map(_told, found))))
        self._judge("backup", {one.job: one for one in found if one.outcome != "done"})

    def drill(self, names: Sequence[str]) -> None:
        """Try each now."""
        found = []
        for name in names:
            note(self.host, Phase(f"drill {name}"))
            table = self.configured.drills.get(name)
            if table is None:
                raise StepError(f"there is no drill {name} in the configuration", "left_alone")
            words = ["drill", name, "--json"]
            tables = [table, self._job(str(table.get("backup")))]
            said = ran(self.host, self._unit(words, tables, privileged="privileged" in table), timeout=self.timeout)
            one = _last(said.output, _Drill, name) or _Drill(name, "failed", message=said.complaint)
            if not said.ok and one.outcome == "done":
                one.outcome, one.message = "failed", one.message or "it came back, but missed a target"
            found.append(one)
        note(self.host, Result({"drills": [msgspec.to_builtins(one) for one in found]}, tuple(map(_tried, found))))
        self._judge("drill", {one.name: one for one in found if one.outcome != "done"})

    def restore_path(self, name: str, path: str, target: str, at: str, of: str) -> None:
        """Bring a path of a snapshot back below the folder `target`, by root, as only root can set owners."""
        note(self.host, Phase(f"restore {path}"))
        words = ["restore", *self._snapshot(name, at, of), path, "--target", target, "--quiet"]
        self._restore(words, name, f"{path} could not be restored into {target}")
        note(self.host, Result({"restored": path, "target": target}, (f"{path} is back, below {target}",)))

    def restore_server(self, name: str, target: str, at: str, of: str) -> None:
        """Bring a whole PostgreSQL server back as it was at a moment, into a new data folder."""
        note(self.host, Phase("restore the server"))
        words = ["restore-postgresql", "--job", name, "--host", self._saved_by(name, of), "--target", target]
        words += ["--to", at] if at else []
        self._restore(words, name, f"the server could not be restored into {target}")
        note(self.host, Result({"restored": "server", "target": target}, (f"the server is back, in {target}",)))

    def restore_database(self, name: str, database: str, target: str, at: str, of: str) -> None:
        """Bring a dump of PostgreSQL back as a new database of the name `target`.

        It has its name once it is whole: what a run that was cut down leaves is called RESTORING, and goes with the
        next one.
        """
        job = self._job(name)
        if "postgresql" not in job:
            raise StepError(f"the job {name} saves no databases of PostgreSQL; restore a path instead", "left_alone")
        note(self.host, Phase(f"restore {database} as {target}"))
        file = f"{DUMPS}/{database.replace('%', '%25').replace('/', '%2F')}.dump"
        source = job["postgresql"]
        server = Server(self.host, str(source.get("run_as") or "postgres"), int(source.get("port", 5432)))
        if target in server.databases(outcome="left_alone"):
            raise StepError(f"there is a database {target} here already", "left_alone")
        dump = self._unit(["dump", *self._snapshot(name, at, of), file], [job], privileged=True)
        run(
            self.host,
            f"{server.drop(RESTORING)} && {server.program('createdb', f'--template=template0 {RESTORING}')}",
            failing=f"no database could be made for {database}",
        )
        load = server.program("pg_restore", f"--exit-on-error --dbname={RESTORING}")
        done = ran(self.host, _piped(dump, load), timeout=self.timeout)
        if done.ok:
            done = ran(self.host, server.rename(RESTORING, target))
        if not done.ok:
            gone = ran(self.host, server.drop(RESTORING))
            raise StepError(
                f"{database} could not be restored: {done.complaint}", "rolled_back" if gone.ok else "broken"
            )
        note(self.host, Result({"restored": database, "target": target}, (f"{database} is back, as {target}",)))

    def _restore(self, words: Sequence[str], name: str, failing: str) -> None:
        """By root, and not before a dry run was well: who mistypes a path, or asks too early, has broken nothing."""
        tables = [self._job(name)]
        dry = self._unit([*words, "--dry-run"], tables, privileged=True)
        run(self.host, dry, failing=failing, timeout=self.timeout)
        restore = self._unit(words, tables, privileged=True)
        run(self.host, restore, failing=failing, outcome="broken", timeout=self.timeout)

    def _job(self, name: str) -> Mapping[str, Any]:
        job = self.configured.jobs.get(name)
        if job is None:
            raise StepError(f"there is no backup job {name} in the configuration", "left_alone")
        return job

    def _saved_by(self, name: str, of: str) -> str:
        """The host that the snapshots name: several may save into one repository, by jobs of the same name."""
        return of or str(self._job(name).get("host") or self.configured.host)

    def _snapshot(self, name: str, at: str, of: str) -> list[str]:
        words = ["latest", "--job", name, "--tag", f"job:{name}", "--host", self._saved_by(name, of)]
        return [*words, *(["--at", at] if at else [])]

    def _unit(self, words: Sequence[str], tables: Sequence[Mapping[str, Any]], *, privileged: bool) -> str:
        """A line for the shell."""
        properties = [] if privileged else ["--property=User=hostward"]
        for secret in sorted({name for table in tables for name in secrets_of(table) if name.startswith(CREDENTIAL)}):
            name = secret.removeprefix(CREDENTIAL)
            properties.append(f"--property=LoadCredential={name}:{CREDENTIALS}/{name}")
        unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", *properties]
        return join([*unit, self.program, "backup", *literal(words)])

    def _judge(self, what: str, bad: Mapping[str, _Run | _Drill]) -> None:
        if bad:
            name, one = next(iter(bad.items()))
            more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
            raise StepError(f"the {what} {name} {_SAID[one.outcome]}: {one.message}{more}", "left_alone")


_SAID = {"partial": "is not whole", "failed": "failed"}


def _told(run: _Run) -> str:
    """A run, for people."""
    if run.outcome == "failed":
        return f"{run.job}: failed: {run.message}"
    added = f"{format_size(run.bytes_added)} of {format_size(run.bytes)} new"
    more = f": {run.message}" if run.message else ""
    return f"{run.job}: {run.outcome}: {run.files:,} files, {added}, snapshot {run.snapshot[:8]}{more}"


def _tried(drill: _Drill) -> str:
    """A drill, for people."""
    parts = [f"{drill.files:,} files"] if drill.files else []
    if drill.differing:
        parts.append(f"{drill.differing:,} of them are not as they were saved")
    if drill.recovery_point is not None:
        parts.append(f"{format_duration(drill.recovery_point)} would be lost")
    if drill.recovery_time is not None:
        parts.append(f"all would be back within {format_duration(drill.recovery_time)}")
    if drill.message:
        parts.append(drill.message)
    return f"{drill.name}: {drill.outcome}" + (f": {', '.join(parts)}" if parts else "")


def _piped(first: str, second: str) -> str:
    """For the shell: the first's output into the second; it fails when either does."""
    return f"cd /; bash -c {quote(f'set -o pipefail; {first} | {second}')}"


S = TypeVar("S")


def _last(output: str, kind: type[S], name: str) -> S | None:
    """The last line that is the record of this run or drill."""
    for line in reversed(output.splitlines()):
        try:
            found = msgspec.json.decode(line, type=kind)
        except msgspec.MsgspecError:
            continue
        if name in (getattr(found, "job", None), getattr(found, "name", None)):
            return found
    return None
