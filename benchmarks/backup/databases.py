"""A database that is dumped into a repository, and the drills that prove that it comes back."""

from __future__ import annotations

import itertools
import os
import shlex
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.backup import corpora
from benchmarks.backup.corpora import MIB
from benchmarks.backup.tools import PASSWORD, Command, Hostward, Restic, installed
from benchmarks.measure import Run, measure
from benchmarks.tables import Table, ratio
from tests.agent.checks.daemons import Postgres, postgres

ROWS = 2_500_000
"""Of 400 bytes: 1 GiB of table."""
FILES = 60_000
ROUNDS = 3
CHANGES = {
    "first": "",
    "1 % changed, the newest rows": "UPDATE orders SET note = md5(note) || note WHERE id > 0.99 * {rows}",
    "1 % changed, everywhere": "UPDATE orders SET note = md5(note) || note WHERE id % 100 = 7",
}

DRILLS = (("sample", "files"), ("full", "files"), ("database", "shop"))
"""Kinds, with the job that each is of."""


@dataclass
class Way:
    """One way to back up, with the repository that it has in this round."""

    name: str
    init: Callable[[Path], Command]
    backup: Callable[[Path], Command]
    variables: dict[str, str]
    repository: Path = Path()
    runs: dict[str, list[Run]] = field(default_factory=dict)
    added: dict[str, list[int]] = field(default_factory=dict)


def run(quick: bool) -> Iterator[Table]:
    """The database first, its drills, and drills of files."""
    rows, files, rounds = (2000, 200, 1) if quick else (ROWS, FILES, ROUNDS)
    with tempfile.TemporaryDirectory(prefix="hostward-bench-", dir="/var/tmp") as name, postgres() as server:
        place = Path(name)
        place.chmod(0o711)  # the drill's server is another user's
        size = _fill(server, rows)
        ways = _ways(place, server)[: 2 if quick else None]
        for number in range(rounds):
            _round(place / f"{number}", ways, server, rows, settled=not quick)
        yield _dumps(ways, size, rounds)
        corpora.make(place / "files", corpora.small_files, files)
        if not quick:
            os.sync()
        yield _drills(place, server, rounds, DRILLS[-1:] if quick else DRILLS)


def _fill(server: Postgres, rows: int) -> int:
    """A table like those of shops, half of it hard to compress; bytes of the database."""
    server.sql("CREATE DATABASE shop")
    server.sql(
        "CREATE TABLE orders AS SELECT n AS id, repeat('ordinary words ', 9) AS words, "
        "(SELECT string_agg(md5((n * 8 + k)::text), '') FROM generate_series(1, 7) k) AS note "
        f"FROM generate_series(1, {rows}) n; ALTER TABLE orders ADD PRIMARY KEY (id)",
        "shop",
    )
    ((found,),) = server.connect("shop").execute("SELECT pg_database_size('shop')").fetchall()
    return int(found)


def _ways(place: Path, server: Postgres) -> list[Way]:
    found = []
    for tool in installed(place / "homes"):
        if isinstance(tool, Hostward):
            words = (tool.program, "backup", "run", "shop", "--config", place / "agent.toml", "--state-dir", place)
            found.append(Way(tool.name, tool.init, partial(_ours, words), dict(tool.variables())))
        elif isinstance(tool, Restic):
            for options in (("--compress=0",), ()):
                dump = ("pg_dump", "-Fc", *options, "-h", server.folder, "-p", server.port, "-U", "postgres", "shop")
                name = " ".join(("pg_dump -Fc", *options, "into restic"))
                found.append(Way(name, tool.init, partial(_piped, tool, dump), dict(tool.variables())))
    return found


def _ours(words: Command, _repository: Path) -> Command:
    return words  # the job names the repository


def _piped(tool: Restic, dump: Command, repository: Path) -> Command:
    save = (tool.program, "backup", "--stdin", "--stdin-filename", "shop.dump", "--repo", repository)
    line = " | ".join(shlex.join(map(str, words)) for words in (dump, save))
    return ("bash", "-o", "pipefail", "-c", line)


def _configure(place: Path, server: Postgres, repository: Path, more: str = "") -> None:
    password = place / "password"
    password.write_text(PASSWORD)
    password.chmod(0o600)
    (place / "agent.toml").write_text(
        f'[backups.shop]\nrepository = "{repository}"\npassword_file = "{password}"\nverify = false\n'
        f'[backups.shop.postgresql]\nhost = "{server.folder}"\nport = {server.port}\ndatabases = ["shop"]\n{more}'
    )


def _round(folder: Path, ways: Sequence[Way], server: Postgres, rows: int, *, settled: bool) -> None:
    folder.mkdir()
    for number, way in enumerate(ways):
        way.repository = folder / f"repository-{number}"
        measure(way.init(way.repository), way.variables, folder / "log")
    _configure(folder.parent, server, ways[0].repository)
    for case, change in CHANGES.items():
        if change:
            server.sql(change.format(rows=rows), "shop")
        for way in ways:
            before = _size(way.repository)
            if settled:
                os.sync()
            seen = measure(way.backup(way.repository), way.variables, folder / "log")
            way.runs.setdefault(case, []).append(seen)
            way.added.setdefault(case, []).append(_size(way.repository) - before)
    for way in ways[1:]:
        shutil.rmtree(way.repository)


def _dumps(ways: Sequence[Way], size: int, rounds: int) -> Table:
    def seconds(way: Way, case: str) -> float:
        return median(run.seconds for run in way.runs[case])

    return Table(
        f"A PostgreSQL database of {size / MIB:.0f} MiB",
        ["run", "way", "wall s (CPU s of the tools)", "over hostward", "MiB added", "over hostward's"],
        [
            [
                case,
                way.name,
                f"{seconds(way, case):.2f} ({median(run.cpu for run in way.runs[case]):.1f})",
                ratio(seconds(way, case), seconds(ways[0], case)),
                f"{median(way.added[case]) / MIB:.1f}",
                ratio(median(way.added[case]), max(median(ways[0].added[case]), 1)),
            ]
            for case, way in itertools.product(CHANGES, ways)
        ],
        [f"Medians of {rounds} rounds, each with new repositories. The server's own CPU time is not counted."],
    )


def _drills(place: Path, server: Postgres, rounds: int, drills: Sequence[tuple[str, str]]) -> Table:
    ours = Hostward(place / "homes" / "hostward")
    tables = (
        f'[backups.files]\nrepository = "{place}/of-files"\npassword_file = "{place}/password"\nverify = false\n'
        f'paths = ["{place}/files"]\n'
    )
    for name, job in drills:
        tables += f'[drills.{name}]\nbackup = "{job}"\nkind = "{name}"\nevery = "1d"\nscratch = "{place}"\n'
    _configure(place, server, place / str(rounds - 1) / "repository-0", tables)
    reach = ("--config", place / "agent.toml", "--state-dir", place)
    measure(ours.init(place / "of-files"), ours.variables(), place / "log")
    save = measure((ours.program, "backup", "run", "files", *reach), ours.variables(), place / "log")
    rows = []
    for name, job in drills:
        command = (ours.program, "backup", "drill", name, *reach)
        runs = [measure(command, ours.variables(), place / "log") for _ in range(rounds)]
        peak = measure(command, ours.variables(), place / "log", memory=True).pss
        seconds = median(run.seconds for run in runs)
        first = save.seconds if job == "files" else 0.0
        rows.append(
            [
                name,
                f"{seconds:.2f} ({median(run.cpu for run in runs):.1f})",
                f"{peak / 1e6:.0f}",
                ratio(seconds, first) if first else "",
            ]
        )
    return Table(
        "Drills",
        ["drill", "wall s (CPU s)", "MB", "over the first backup of the same"],
        rows,
        [
            "Of 200 of the small files, of all of them, and of the database into a server of the drill's own, "
            "whose memory and time are counted."
        ],
    )


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in corpora.files(path))
