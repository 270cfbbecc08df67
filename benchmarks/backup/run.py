"""The tables of the backup benchmark."""

from __future__ import annotations

import hashlib
import itertools
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from statistics import median

from benchmarks.backup import corpora
from benchmarks.backup.tools import Command, Hostward, Tool, installed, version
from benchmarks.backup.watched import Watched
from benchmarks.measure import Run, measure
from benchmarks.processes import weigh
from benchmarks.tables import Table, ratio

MIB = 1 << 20


@dataclass(frozen=True)
class Corpus:
    """Something to back up."""

    name: str
    fill: Callable[[Path, int], None]
    amount: int
    """Bytes of one file, or how many files."""


CORPORA = [
    Corpus("one file, half compressible", corpora.half_compressible, 1024 * MIB),
    Corpus("random", corpora.random_bytes, 512 * MIB),
    Corpus("log text", corpora.log_text, 512 * MIB),
    Corpus("small files", corpora.small_files, 60_000),
]
QUICK = [Corpus("small files", corpora.small_files, 400)]
"""On which every case says something."""
BUDGETS = {
    "first backup": "≥ 2 ×",
    "first backup, no extra verification": "≥ 2.2 ×",
    "unchanged": "≥ 3.5 ×",
    "1 % changed": "≥ 1.5 ×",
    "restore, small files": "≥ 2 ×",
    "restore, one file, half compressible": "≥ 1.4 ×",
    "check, all data read": "≥ 1.2 ×",
}
SCALE = (50_000, 200_000, 500_000)
"""Files of trees that did not change."""


@dataclass
class Row:
    """One case: the runs of each tool, in rounds."""

    case: str
    corpus: str
    runs: dict[str, list[Run]] = field(default_factory=dict)
    peak: dict[str, int] = field(default_factory=dict)


class Bench:
    """Runs tools in turn, each with a place of its own."""

    def __init__(self, place: Path, tools: Sequence[Tool], rounds: int) -> None:
        self.place = place
        self.tools = tools
        self.rounds = rounds
        self._numbers = itertools.count()

    def fresh(self, tool: Tool) -> Path:
        """An empty repository, in a folder that did not exist."""
        repository = self.place / f"{tool.name}-{next(self._numbers)}"
        measure(tool.init(repository), tool.variables(), self.place / "log")
        return repository

    def do(self, tool: Tool, command: Command, *, memory: bool = False) -> Run:
        if self.rounds:
            os.sync()
        return measure(command, tool.variables(), self.place / "log", memory=memory)

    def rounds_of(self, row: Row, prepare: Callable[[Tool], Command]) -> Row:
        """Each tool once a round, and once more for its memory. `prepare` makes ready and is not timed.

        Without rounds, that one run tells both.
        """
        for number in range(self.rounds + 1):
            for tool in self.tools:
                command = prepare(tool)
                last = number == self.rounds
                run = self.do(tool, command, memory=last)
                if last:
                    row.peak[tool.name] = run.pss
                if not last or not self.rounds:
                    row.runs.setdefault(tool.name, []).append(run)
        return row


def run(quick: bool) -> Iterator[Table]:
    """Every case on every corpus that it says something about."""
    with tempfile.TemporaryDirectory(prefix="hostward-bench-", dir="/var/tmp") as name:
        place = Path(name)
        tools = installed(place / "homes")
        bench = Bench(place, tools[:2], 0) if quick else Bench(place, tools, 3)
        speed: list[Row] = []
        sizes: list[list[str]] = []
        for corpus in QUICK if quick else CORPORA:
            source = place / "source"
            count, size = corpora.make(source, corpus.fill, corpus.amount)
            described = f"{corpus.name} ({count} files, {size / MIB:.0f} MiB)"
            speed += _cases(bench, corpus.name, described, source, sizes)
            shutil.rmtree(source)
        yield _speed(bench, speed)
        yield _memory(bench, speed)
        yield Table("Size of the repository after the first backup, MiB", ["corpus", *_names(bench)], sizes)
        watched = Watched(place / "homes" / "watched")
        watched.folder.mkdir()
        yield _scale(Bench(place, [*bench.tools, watched], min(bench.rounds, 1)), [500] if quick else SCALE)


def _cases(bench: Bench, corpus: str, described: str, source: Path, sizes: list[list[str]]) -> Iterator[Row]:
    kept: dict[str, Path] = {}

    def first(verify: bool) -> Callable[[Tool], Command]:
        def prepare(tool: Tool) -> Command:
            if tool.name in kept:
                shutil.rmtree(kept[tool.name])
            kept[tool.name] = bench.fresh(tool)
            corpora.read(source)
            return tool.backup(kept[tool.name], source, verify=verify)

        return prepare

    yield bench.rounds_of(Row("first backup, no extra verification", described), first(False))
    yield bench.rounds_of(Row("first backup", described), first(True))
    sizes.append([described, *(f"{_size(kept[tool.name]) / MIB:.1f}" for tool in bench.tools)])
    targets = (bench.place / f"restored-{number}" for number in itertools.count())

    def restore(tool: Tool) -> Command:
        # What others restored stays until the end: ext4 makes files slowly for a while after many were removed.
        return tool.restore(kept[tool.name], next(targets))

    if corpus in ("small files", "one file, half compressible"):
        yield bench.rounds_of(Row(f"restore, {corpus}", described), restore)
        for old in bench.place.glob("restored-*"):
            shutil.rmtree(old)
    if corpus == "small files":

        def again(tool: Tool) -> Command:
            corpora.read(source)
            return tool.backup(kept[tool.name], source, verify=True)

        def changed(tool: Tool) -> Command:
            if tool is bench.tools[0]:
                corpora.change_one_percent(source)
            return again(tool)

        for tool in bench.tools:  # the caches of what a first backup leaves are filled
            bench.do(tool, again(tool))
        yield bench.rounds_of(Row("unchanged", described), again)
        yield bench.rounds_of(Row("1 % changed", described), changed)
        yield bench.rounds_of(Row("check, all data read", described), lambda tool: tool.check(kept[tool.name]))
    for repository in kept.values():
        shutil.rmtree(repository)


def _speed(bench: Bench, rows: Sequence[Row]) -> Table:
    return Table(
        "Backups: wall seconds (CPU seconds)",
        ["case", "files", *_names(bench), "restic over hostward", "budget"],
        [
            [
                row.case,
                row.corpus,
                *(
                    f"{median(run.seconds for run in row.runs[tool.name]):.2f}"
                    f" ({median(run.cpu for run in row.runs[tool.name]):.1f})"
                    for tool in bench.tools
                ),
                _paired(row),
                BUDGETS.get(row.case, ""),
            ]
            for row in rows
        ],
        [
            f"Medians of {bench.rounds or 1} rounds of all tools in turn, whole processes, files in the page cache, "
            "repositories on disk; the ratio is the median of each round's own. Borg has no extra verification.",
            f"SHA-256 on one processor: {_hash_rate() / 1e6:.0f} MB/s, {_hash_instructions()}.",
        ],
    )


def _memory(bench: Bench, rows: Sequence[Row]) -> Table:
    return Table(
        "Backups: memory at its peak, MB, over all processes (PSS)",
        ["case", "files", *_names(bench), "hostward over restic"],
        [
            [
                row.case,
                row.corpus,
                *(f"{row.peak[tool.name] / 1e6:.0f}" for tool in bench.tools),
                ratio(row.peak["hostward"], row.peak["restic"]) if "restic" in row.peak else "",
            ]
            for row in rows
        ],
        ["Looked at every 20 ms in a run of its own. Budget: not more than restic's."],
    )


def _scale(bench: Bench, counts: Sequence[int]) -> Table:
    return Table(
        "Backups of trees that did not change: wall seconds / MB at the peak",
        ["files", *_names(bench), "restic over hostward", "and watched", "watcher, MB"],
        [_scaled(bench, count) for count in counts],
        [
            "Files of 20 bytes, 40 a folder; the third and later backups of the same tree. Budget: restic over ours, "
            "watched: ≥ 10 × at 200,000 files."
        ],
    )


def _scaled(bench: Bench, count: int) -> list[str]:
    source = bench.place / "scale"
    corpora.make(source, _tiny_files, count)
    repositories = {tool.name: bench.fresh(tool) for tool in bench.tools}

    def backup(tool: Tool) -> Command:
        return tool.backup(repositories[tool.name], source, verify=True)

    (watched,) = (tool for tool in bench.tools if isinstance(tool, Watched))
    with watched.watching(repositories[watched.name], source) as watcher:
        for tool in bench.tools:
            for _ in range(2):
                bench.do(tool, backup(tool))
        row = bench.rounds_of(Row("unchanged", f"{count} files"), backup)
        weight = weigh(watcher).pss
        bench.do(watched, backup(watched))
        if "scanning everything" in (said := (bench.place / "log").read_text()):
            raise RuntimeError(f"the watcher was not asked, or not believed:\n{said}")
    for folder in (source, *repositories.values()):
        shutil.rmtree(folder)
    return [
        f"{count:,}",
        *(
            f"{median(run.seconds for run in row.runs[tool.name]):.2f} / {row.peak[tool.name] / 1e6:.0f}"
            for tool in bench.tools
        ),
        _paired(row),
        _paired(row, watched.name),
        f"{weight / 1e6:.0f}",
    ]


def _tiny_files(path: Path, count: int) -> None:
    for number in range(count):
        folder = path / f"{number // 1600:03}" / f"{number // 40 % 40:02}"
        if number % 40 == 0:
            folder.mkdir(parents=True)
        (folder / f"file-{number:06}.dat").write_bytes(b"content %012d" % number)


def _names(bench: Bench) -> list[str]:
    return [version(tool) if not isinstance(tool, Hostward) else tool.name for tool in bench.tools]


def _paired(row: Row, ours: str = "hostward") -> str:
    if "restic" not in row.runs:
        return "restic is not here"
    pairs = zip(row.runs["restic"], row.runs[ours], strict=True)
    return f"{median(theirs.seconds / ours.seconds for theirs, ours in pairs):.2f} ×"


def _hash_rate() -> float:
    """Bytes a second of SHA-256: of each byte that a first backup reads two or three are hashed, by any tool."""
    data = bytes(MIB)
    began = time.perf_counter()
    for _ in range(100):
        hashlib.sha256(data).digest()
    return 100 * MIB / (time.perf_counter() - began)


def _hash_instructions() -> str:
    flags = Path("/proc/cpuinfo").read_text().split()
    return "by the processor's own instructions" if {"sha_ni", "sha2"} & set(flags) else "without instructions for it"


def _size(path: Path) -> int:
    return sum(file.stat().st_size for file in corpora.files(path))
