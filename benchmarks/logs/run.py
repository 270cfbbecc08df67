"""The tables of the benchmark of rotation."""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from statistics import median

from benchmarks.backup.corpora import log_text
from benchmarks.logs.corpora import access_log
from benchmarks.measure import Run, measure
from benchmarks.processes import BIN, environment
from benchmarks.tables import Table, ratio

MIB = 1 << 20
GIB = 1 << 30
LONG_AGO = "2020-1-1-0:0:0"
FOUND = [*os.environ.get("PATH", os.defpath).split(":"), "/usr/sbin", "/sbin"]
KEPT = 7
"""Old ones of each log."""
BUDGETS = {
    "nothing due, one pattern": "≤ 0.1 s",
    "due, create": "≤ 2 × logrotate",
    f"due, create, {KEPT} old ones each": "≤ 2 × logrotate",
    "zstd 3": "≥ 8 ×, size within 7 %",
    "zstd 6": "≥ 2.3 ×, smaller",
}
RULE = f"{{\n  daily\n  rotate {KEPT}\n  missingok\n  create 0640 root root\n}}\n"


@dataclass(frozen=True)
class Way:
    """One of those that a case compares: `prepare` makes ready, untimed, and says what is run."""

    name: str
    prepare: Callable[[], Sequence[object]]
    size: Callable[[], int] = lambda: 0
    """Bytes that it leaves."""


@dataclass(frozen=True)
class Seen:
    """What one way took, in rounds."""

    runs: list[Run]
    peak: int
    size: int


class Bench:
    """Runs the ways of a case in turn, each in a place of its own."""

    def __init__(self, place: Path, rounds: int, logs: int = 0) -> None:
        self.place = place
        self.rounds = rounds
        self.names = [place / "logs" / f"{number:04}.log" for number in range(logs)]
        self.ours = [BIN / "hostward", "logrotate"]
        found = next((Path(folder, "logrotate") for folder in FOUND if Path(folder, "logrotate").exists()), None)
        self.theirs: list[object] | None = [found] if found else None
        """None where logrotate is not installed."""

    def run(self, ways: Sequence[Way]) -> dict[str, Seen]:
        """Each once a round, and once more for its memory. Without rounds, that one run tells all."""
        seen: dict[str, Seen] = {way.name: Seen([], 0, 0) for way in ways}
        for number in range(self.rounds + 1):
            for way in ways:
                command = way.prepare()
                if self.rounds:
                    os.sync()
                last = number == self.rounds
                took = measure(command, environment(self.place), self.place / "said", memory=last)
                runs = seen[way.name].runs
                if not last or not self.rounds:
                    runs.append(took)
                seen[way.name] = Seen(runs, took.pss, way.size())
        return seen

    def rotating(self) -> list[tuple[str, list[object]]]:
        """Both, by name, with the command that each is."""
        both: list[tuple[str, list[object]]] = [("hostward", list(self.ours))]
        return [*both, ("logrotate", list(self.theirs))] if self.theirs else both


def run(quick: bool) -> Iterator[Table]:
    """What a night costs, and what compressing does."""
    with tempfile.TemporaryDirectory(prefix="hostward-bench-", dir="/var/tmp") as name:
        place = Path(name)
        yield _nights(Bench(place, 0, 100) if quick else Bench(place, 9, 1000))
        compressing = Bench(place, 0 if quick else 2)
        yield _compressing(compressing, LOG_TEXTS[:1], MIB) if quick else _compressing(compressing, LOG_TEXTS, GIB)


def _nights(bench: Bench) -> Table:
    cases = {
        "nothing due, one pattern": _quiet(bench, f"{bench.place}/logs/*.log {RULE}"),
        "nothing due, a section each": _quiet(bench, "".join(f"{path} {RULE}" for path in bench.names)),
        "due, create": _due(bench, 0),
        f"due, create, {KEPT} old ones each": _due(bench, KEPT),
    }
    rows = []
    for case, ways in cases.items():
        seen = bench.run(ways)
        ours, theirs = seen["hostward"], seen.get("logrotate")
        rows.append(
            [
                f"{len(bench.names):,} logs, {case}",
                *(_took(each) for each in (ours, theirs)),
                _paired(ours, theirs) if theirs else "logrotate is not here",
                *(f"{each.peak / 1e6:.0f}" if each else "" for each in (ours, theirs)),
                BUDGETS.get(case, ""),
            ]
        )
    headings = ["case", "hostward", "logrotate", "hostward over logrotate", "hostward MB", "logrotate MB", "budget"]
    return Table(
        "Rotation: wall seconds (CPU seconds)",
        headings,
        rows,
        [
            f"Medians of {bench.rounds or 1} rounds in turn, whole processes; the ratio is the median of each "
            "round's own. MB is the memory at its peak (PSS) of all processes."
        ],
    )


def _quiet(bench: Bench, configuration: str) -> list[Way]:
    """All were rotated just now, by whoever goes first."""

    def prepare(name: str, command: list[object]) -> Sequence[object]:
        state = bench.place / f"{name}.state"
        words = [*command, "--state", state, _written(bench.place / "rules", configuration)]
        _fill(bench)
        measure(words, environment(bench.place), bench.place / "said")  # a log that is new is only remembered
        return words

    return [Way(name, partial(prepare, name, command)) for name, command in bench.rotating()]


def _due(bench: Bench, old: int) -> list[Way]:
    """None has been rotated for years, and `old` older ones are there of each."""

    def prepare(name: str, command: list[object]) -> Sequence[object]:
        state = bench.place / f"{name}.state"
        _fill(bench, old)
        lines = "".join(f'"{path}" {LONG_AGO}\n' for path in bench.names)
        state.write_text(f"logrotate state -- version 2\n{lines}")
        rules = _written(bench.place / "rules", f"{bench.place}/logs/*.log {RULE}")
        return [*command, "--state", state, rules]

    def left() -> int:
        done = len(list((bench.place / "logs").glob("*.log.1")))
        if done != len(bench.names):
            raise RuntimeError(f"{done} of {len(bench.names)} logs were rotated")
        return done

    return [Way(name, partial(prepare, name, command), left) for name, command in bench.rotating()]


def _fill(bench: Bench, old: int = 0) -> None:
    """Logs of a few lines, each with `old` older ones, and nothing else."""
    shutil.rmtree(bench.place / "logs", ignore_errors=True)
    (bench.place / "logs").mkdir()
    for path in bench.names:
        path.write_bytes(b"a line of the log\n" * 40)
        path.chmod(0o640)
        for number in range(1, old + 1):
            path.with_name(f"{path.name}.{number}").touch(0o640)


def _written(path: Path, text: str) -> Path:
    path.write_text(text)
    path.chmod(0o600)
    return path


def _compressing(bench: Bench, logs: Sequence[tuple[str, Callable[[Path, int], None]]], size: int) -> Table:
    rows = []
    for name, fill in logs:
        source = bench.place / "source"
        fill(source, size)
        ways = _ways(bench, source)
        seen = bench.run(ways)
        theirs = seen.get("logrotate, gzip")
        for way, each in seen.items():
            rows.append(
                [
                    f"{name}, {source.stat().st_size / MIB:.0f} MiB",
                    way,
                    _took(each),
                    f"{each.size / 1e6:.1f}",
                    f"{each.peak / 1e6:.0f}",
                    _paired(theirs, each) if theirs else "logrotate is not here",
                    ratio(each.size, theirs.size) if theirs else "",
                    next((budget for word, budget in BUDGETS.items() if way.endswith(word)), ""),
                ]
            )
        source.unlink()
    headings = ["log", "way", "wall s (CPU s)", "MB left", "MB of memory", "logrotate over it", "size", "budget"]
    return Table(
        "Rotation with compression",
        headings,
        rows,
        [
            f"Medians of {bench.rounds or 1} rounds in turn, whole processes, the log in the page cache. Memory is "
            "that of all processes at its peak (PSS). gzip is Debian's program, as logrotate calls it; zstd is of a "
            "rule in `[[logs]]`, with as many threads as there are processors."
        ],
    )


def _one_log(path: Path, size: int) -> None:
    """The text that the benchmark of backups has in four files, in one."""
    folder = path.with_name("parts")
    folder.mkdir()
    log_text(folder, size)
    with path.open("wb") as file:
        for part in sorted(folder.iterdir()):
            with part.open("rb") as source:
                shutil.copyfileobj(source, file, MIB)
    shutil.rmtree(folder)


LOG_TEXTS = [("web server", access_log), ("random fields", _one_log)]
"""What a log may hold, with what writes it."""


def _ways(bench: Bench, source: Path) -> list[Way]:
    folder = bench.place / "rotated"

    def anew() -> Path:
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir(mode=0o700)
        shutil.copy(source, folder / "big.log")
        return folder / "big.log"

    def left() -> int:
        (old,) = (path for path in folder.iterdir() if path.name != "big.log")
        return old.stat().st_size

    def language(command: list[object]) -> Sequence[object]:
        log = anew()
        rules = _written(bench.place / "rules", f"{log} {{\n  daily\n  rotate 7\n  compress\n}}\n")
        return [*command, "--force", "--state", "/dev/null", rules]

    def native(level: int) -> Sequence[object]:
        rule = f'[[logs]]\nname = "big"\npaths = ["{anew()}"]\nlevel = {level}\n'
        config = _written(bench.place / "agent.toml", rule)
        state = bench.place / "state"
        shutil.rmtree(state, ignore_errors=True)
        return [BIN / "hostward", "logs", "--config", config, "--state-dir", state, "rotate", "--force", "big"]

    gzip = [Way(f"{name}, gzip", partial(language, command), left) for name, command in bench.rotating()]
    zstd = [Way(f"hostward, zstd {level}", partial(native, level), left) for level in (3, 6)]
    return [*gzip, *zstd]


def _took(seen: Seen | None) -> str:
    if seen is None:
        return ""
    return f"{median(run.seconds for run in seen.runs):.3f} ({median(run.cpu for run in seen.runs):.3f})"


def _paired(above: Seen, below: Seen) -> str:
    """How many times the second's time the first takes."""
    return f"{median(one.seconds / two.seconds for one, two in zip(above.runs, below.runs, strict=True)):.2f} ×"
