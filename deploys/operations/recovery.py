"""The steps in which a host is built again from nothing. Each is done once, and one that was cut down begins anew."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from fnmatch import fnmatchcase
from shlex import join, quote
from typing import Any, Protocol
from urllib.parse import unquote

import msgspec
from pyinfra.api.host import Host

from deploys.facts.recovery import FOLDER, Progress
from deploys.kit.notes import Phase, Result, note
from deploys.operations.fail import StepError
from deploys.operations.postgresql import Server
from deploys.operations.run import literal, ran, run
from deploys.operations.write import write
from deploys.rules.recorded_packages import choose, offers, read
from kit.units import format_duration

UNIT = "hostward-recover.service"
"""In which a restore goes on, whatever becomes of who asked for it."""
APT = """\
export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical UCF_FORCE_CONFFOLD=1 LC_ALL=C.UTF-8
apt-get -qq -y -o Dpkg::Use-Pty=0 -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confdef \
-o Dpkg::Options::=--force-confold --no-install-recommends install -- """
"""Nothing asks a question, and files that are there stay."""
NO_REPOSITORY = 10
"""How `hostward backup` ends where there is none yet."""
READY = 60
"""Seconds in which a server of databases has to answer."""


class Wanted(Protocol):
    """What of the deploy's options the steps need."""

    @property
    def repository(self) -> str:
        """Where the backups are."""

    @property
    def saved_by(self) -> str:
        """The host that the snapshots name."""

    @property
    def timeout(self) -> int:
        """Seconds for each step."""


class Course:
    """A recovery on one host. All here raises StepError, and what deploys.operations.run raises."""

    def __init__(self, host: Host, wanted: Wanted, prefix: str) -> None:
        self.host = host
        self.wanted = wanted
        self.program = f"{prefix}/current/bin/hostward"

    def begin(self, name: str, asked: str, record: bytes, password: str, environment: str, lost: str) -> None:
        """Remember when it began, and what it needs; `lost` is the id of the lost host at home."""
        write(self.host, f"{FOLDER}/password", password, mode=0o600)
        write(self.host, f"{FOLDER}/environment", environment, mode=0o600)
        write(self.host, f"{FOLDER}/packages.json", record.decode(), mode=0o600)
        began, _, now = run(self.host, "date '+%s %F %T'", failing="the time is not known").strip().partition(" ")
        # Else what the new host saves before its data is back would be the newest.
        self._keep(Progress(name=name, at=asked or now, asked=asked, began=float(began), lost=lost))

    def begun(self) -> bool:
        """Whether a recovery of this host was begun."""
        return ran(self.host, f"test -e {FOLDER}/progress.json").ok

    def once(self, step: str, work: Callable[[], None]) -> None:
        """Do a step, unless a run before did."""
        if step in self.progress().done:
            return
        note(self.host, Phase(step))
        work()
        progress = self.progress()
        progress.done[step] = self._now()
        self._keep(progress)

    def packages(self) -> None:
        """Install what was recorded, of apt."""
        text = run(self.host, f"cat {FOLDER}/packages.json", failing="the record of packages is gone")
        if not text.strip():
            return
        try:
            recorded = read(text.encode())
        except ValueError as error:
            raise StepError(str(error), "left_alone") from None
        run(
            self.host,
            "apt-get -qq -o DPkg::Lock::Timeout=300 update",
            failing="the lists of packages cannot be fetched",
        )
        run(
            self.host,
            # As a run before may have left it.
            '[ -z "$(ls /var/lib/dpkg/updates)$(dpkg --audit)" ] || '
            "DEBIAN_FRONTEND=noninteractive dpkg --force-confdef --force-confold --configure -a",
            failing="the database of packages is not sane",
            outcome="broken",
        )
        there = run(
            self.host,
            "dpkg-query -W -f '${Package} ${db:Status-Status}\\n'",
            failing="the installed packages are not known",
        )
        installed = [line.split()[0] for line in there.splitlines() if line.endswith(" installed")]
        offered = run(
            self.host,
            "xargs -r -d '\\n' apt-cache madison --",
            input="".join(f"{row.name}\n" for row in recorded),
            failing="what packages there are is not known",
        )
        chosen = choose(recorded, installed, offers(offered.splitlines()))
        if chosen.words:
            run(
                self.host,
                f"{APT}{join(chosen.words)}",
                failing="the packages cannot be installed",
                outcome="broken",
                timeout=self.wanted.timeout,
            )
        if chosen.other:
            lines = (f"other versions than were recorded: {' '.join(chosen.other)}",)
            note(self.host, Result({"other_versions": list(chosen.other)}, lines))
        if chosen.missing:
            lines = (f"packages that are not to be had: {' '.join(chosen.missing)}",)
            note(self.host, Result({"missing_packages": list(chosen.missing)}, lines))

    def place(self) -> None:
        """See that home gives this host what the lost one saved: who enrols anew has a repository of its own."""
        words = ["snapshots", "--json", "--host", self.wanted.saved_by]
        said = self._hostward(words, failing="the repository at home cannot be read", none=NO_REPOSITORY)
        if said.strip() not in ("", "[]"):
            return
        progress = self.progress()
        repository = f"[backups.repositories.{progress.lost or 'ID'}]"
        known = "" if progress.lost else ", with the lost host's id"
        raise StepError(
            f"home gives this host a repository that has no snapshot of {self.wanted.saved_by}: let collector.toml "
            f'say {repository} hosts = ["{progress.name}"]{known}, restart home, and run this again',
            "broken",
        )

    def files(self, job: str, paths: Sequence[str]) -> None:
        """Bring files back to where they were, with their owners, and read them again."""
        self._hostward(
            ["restore", *self._snapshot(job), *paths, "--target", "/", "--verify", "--quiet"],
            failing=f"the files of {job} could not be restored",
        )

    def databases(self, job: str, port: int) -> None:
        """Bring the roles and each database back into the server that runs here."""
        server = Server(self.host, "postgres", port)
        run(
            self.host,
            f"systemctl start postgresql && for try in $(seq {READY}); do "
            f"{server.program('pg_isready', '-q')} && exit 0; sleep 1; done; exit 1",
            failing="PostgreSQL does not answer",
            outcome="broken",
            timeout=2 * READY,
        )
        listed = self._hostward(
            ["ls", "--json", self._snapshot(job)[0] + ":/postgresql", *self._snapshot(job)[1:]],
            failing=f"the databases of {job} could not be listed",
        )
        files = [row["path"] for row in map(_object, listed.splitlines()) if row.get("type") == "file"]
        self.once(
            f"roles of {job}",
            # That some are there already, as the superuser is, is no trouble (docs/recovery.md).
            lambda: self._pipe(
                job, "/postgresql/globals.sql", server.program("psql", "-q -d postgres >/dev/null 2>&1")
            ),
        )
        for file in sorted(file for file in files if file.endswith(".dump")):
            self._database(job, file.rpartition("/")[2], server)

    def _database(self, job: str, file: str, server: Server) -> None:
        name = unquote(file.removesuffix(".dump"))
        step = f"database {name}"
        load = server.program("pg_restore", "--exit-on-error")

        def work() -> None:
            if name == "postgres":  # each server has it
                self._pipe(job, f"/postgresql/{file}", f"{load} --clean --if-exists --dbname=postgres")
                return
            progress = self.progress()
            if step in progress.begun:
                run(
                    self.host,
                    server.drop(name),
                    failing=f"what a run before left of the database {name} cannot be removed",
                    outcome="broken",
                )
            else:
                if name in server.databases(outcome="broken"):
                    raise StepError(f"there is a database {name} here already, and it is left alone", "broken")
                progress.begun.append(step)
                self._keep(progress)
            self._pipe(job, f"/postgresql/{file}", f"{load} --create --dbname=postgres")

        self.once(step, work)

    def service(self, unit: str, patience: int) -> None:
        """Have a unit run, now and after each boot."""
        name = quote(unit)
        run(
            self.host,
            f"systemctl daemon-reload; systemctl enable --quiet {name} && systemctl restart {name} && "
            f"for try in $(seq {patience}); do sleep 1; systemctl is-failed --quiet {name} && exit 1; "
            f"systemctl is-active --quiet {name} && exit 0; done; exit 1",
            failing=f"{unit} does not run",
            outcome="broken",
            timeout=patience + 120,
        )

    def check(self, names: Sequence[str], ignored: Sequence[str], patience: float) -> None:
        """Run the agent's checks until none is critical or unknown."""
        end = time.monotonic() + patience
        while True:
            said = run(
                self.host,
                f"{join([self.program, 'check', '--json', *names])} || test $? -lt 4",
                failing="the checks cannot be run",
                outcome="broken",
            )
            bad = [
                f"{row['name']} is {row['state']}: {row['message']}"
                for row in _object(said)["checks"]
                if row["state"] in ("critical", "unknown")
                and not any(fnmatchcase(row["name"], one) for one in ignored)
            ]
            if not bad:
                return
            if time.monotonic() >= end:
                more = f", and {len(bad) - 1} more" if len(bad) > 1 else ""
                raise StepError(f"all is restored, but {bad[0]}{more}", "broken")
            time.sleep(1)

    def finish(self) -> None:
        """Tell how long it took, and keep no secret."""
        run(self.host, f"rm -f {FOLDER}/password {FOLDER}/environment", failing=f"{FOLDER} cannot be cleared")
        progress = self.progress()
        progress.finished = self._now()
        self._keep(progress)
        steps: dict[str, float] = {}
        before = progress.began
        for step, ended in sorted(progress.done.items(), key=lambda one: one[1]):
            steps[step], before = round(ended - before, 1), ended
        took = round(progress.finished - progress.began, 1)
        told = {"recovered": progress.name, "at": progress.at, "seconds": took, "steps": steps}
        each = ", ".join(f"{step} {format_duration(seconds)}" for step, seconds in steps.items())
        note(self.host, Result(told, (f"{progress.name} is back after {format_duration(took)}: {each}",)))

    def progress(self) -> Progress:
        """As it is on the host."""
        text = run(self.host, f"cat {FOLDER}/progress.json", failing="how far the recovery is, is not known")
        return msgspec.json.decode(text, type=Progress)

    def _keep(self, progress: Progress) -> None:
        write(self.host, f"{FOLDER}/progress.json", msgspec.json.encode(progress).decode(), mode=0o600)

    def _now(self) -> float:
        return float(run(self.host, "date +%s.%N", failing="the time is not known"))

    def _snapshot(self, job: str) -> list[str]:
        return ["latest", "--tag", f"job:{job}", "--host", self.wanted.saved_by, "--at", self.progress().at]

    def _unit(self, words: Sequence[str]) -> str:
        """A line for the shell, which waits for one that goes on, of a connection that was lost."""
        unit = ["systemd-run", "--quiet", "--pipe", "--wait", "--collect", f"--unit={UNIT}"]
        unit += [f"--property=EnvironmentFile={FOLDER}/environment", self.program, "backup", *literal(words)]
        unit += ["--repo", *literal([self.wanted.repository]), "--password-file", f"{FOLDER}/password"]
        return f"while systemctl is-active --quiet {UNIT}; do sleep 0.5; done; {join(unit)}"

    def _hostward(self, words: Sequence[str], *, failing: str, none: int = 0) -> str:
        """What it prints; `none` is an exit code beside 0 with which it prints nothing, and that is no failure."""
        script = f"{self._unit(words)} || test $? = {none}"
        return run(self.host, script, failing=failing, outcome="broken", timeout=self.wanted.timeout)

    def _pipe(self, job: str, file: str, into: str) -> None:
        first, *rest = self._snapshot(job)
        script = f"set -o pipefail; cd /; {{ {self._unit(['dump', first, file, *rest])}; }} | {into}"
        run(
            self.host,
            f"bash -c {quote(script)}",
            failing=f"{file} of {job} could not be restored",
            outcome="broken",
            timeout=self.wanted.timeout,
        )


def _object(line: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = msgspec.json.decode(line)
    return found
