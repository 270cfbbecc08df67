"""Operations on a repository, each run as a process of its own that meets a fault or none."""

from __future__ import annotations

import json
import os
import shutil
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import groupby
from pathlib import Path

from backup.format.snapshot import Snapshot
from backup.repository.locks import remove_locks
from backup.stores.contract import FileKind
from backup.stores.spool import ABANDONED
from tests.backup.faulty import Fault
from tests.faults.backup.ground import PASSWORD, Ground, files, opened, restic, spooled
from tests.faults.zygote import Zygote
from tests.peers import newest_restic

Reach = Callable[[Path], str]
"""The location by which a folder is reached."""
READS = ("load", "size", "list")
"""Operations of stores that change nothing."""
AT_WRITES = ("killed before", "killed after", "killed within", "lost answer", "disk full")
"""Faults that reads are spared. Between two writes the repository stays as it is, so it is all one at which read of
them a process dies; and to lose the answer of a read is to fail."""
AT_SAVES = ("disk full", "killed within")
AT_LOADS = ("wrong bytes", "wrong bytes for ever", "short bytes")


@dataclass(frozen=True)
class Operation:
    """A command, and what it does to the repository that it is run on."""

    words: tuple[str, ...]
    """{ground}, {source}, {known}, {place}, {key} and {torn} stand for what there is."""
    base: str = "aged"
    """The repository of the ground that it begins with."""
    reached: Callable[[Trial], bool] = lambda trial: True
    """Whether it has done what it should."""
    then: tuple[str, ...] = ()
    """What finishes the work after it, where it was interrupted and has nothing more to do by itself."""
    keeps: Callable[[Trial], set[str]] = lambda trial: set(trial.ground.contents)
    """Snapshots that must be there whatever happens."""
    password: str = PASSWORD
    sound: bool = True
    """Whether the repository has no damage before."""
    into_other: bool = False
    """Whether it writes to the repository `empty`, and only reads this one."""
    cached: bool = False
    """Whether it has a cache of this host's even where the repository is on its own disk."""


@dataclass
class Outcome:
    """How a process ended."""

    code: int
    """Its exit code, or the negative number of a signal."""
    said: str
    calls: list[tuple[str, str | None]] = field(default_factory=list)
    """What the store was asked for; nothing if the process was killed."""
    met: bool = True
    """Whether the fault was met."""


class Trial:
    """One copy of a repository."""

    def __init__(self, trials: Trials, operation: Operation, folder: Path, cached: bool, reach: Reach) -> None:
        self._trials = trials
        self.ground: Ground = trials.ground
        self.operation = operation
        self.place = folder / "repository"
        self.other = folder / "other"
        self.cache = folder / "cache"
        self._cached = cached
        self._reach = reach
        self._said = folder / "said"
        if cached or operation.cached:
            shutil.copytree(self.ground.cache, self.cache)
        self.ground.copy(operation.base, self.place)
        if operation.into_other:
            self.ground.copy("empty", self.other)

    @property
    def changed(self) -> Path:
        """The repository that is written to."""
        return self.other if self.operation.into_other else self.place

    def run(
        self,
        fault: Fault | None = None,
        *,
        faulty: Path | None = None,
        then: bool = False,
        environment: dict[str, str] | None = None,
        **circumstances: object,
    ) -> Outcome:
        """Run the operation, or what comes `then`; its store at `faulty`, by default `changed`, meets the fault."""
        operation, ground = self.operation, self.ground
        words = [
            word.format(
                ground=ground.top,
                source=ground.source,
                known=ground.known,
                place=self._reach(self.place),
                key=ground.second_key,
                torn=ground.torn_pack,
            )
            for word in (operation.then if then else operation.words)
        ]
        if fault is not None:
            circumstances["fault"] = [fault.operation, fault.at, fault.what]
        return self._trials.life(
            self._reach(self.changed),
            *words,
            *(("--cache-dir", self.cache) if self._cached or operation.cached else ("--no-cache",)),
            password=operation.password,
            environment=environment,
            said=self._said,
            faulty=self._reach(faulty or self.changed),
            cached=self._cached,
            **circumstances,
        )

    def unlock(self, *, by_restic: bool) -> None:
        """Remove locks of the dead."""
        for place in {self.place, self.changed}:
            if not files(place, FileKind.LOCK):
                continue
            if by_restic:
                restic(newest_restic(), place, "unlock")
            else:
                remove_locks(opened(place), all=False, now=0)
        assert self.locks() == []

    def locks(self) -> list[Path]:
        """Those that are there."""
        return [*files(self.place, FileKind.LOCK), *files(self.changed, FileKind.LOCK)]

    def age_spool(self) -> None:
        """Let an hour pass for what a killed process was writing."""
        for path in self.spooled():
            os.utime(path, (0, path.stat().st_mtime - ABANDONED - 1))

    def spooled(self) -> list[Path]:
        """What was being written, to the repository and to the cache."""
        return [*spooled(self.changed), *spooled(self.cache)]

    def snapshots(self) -> list[Snapshot]:
        """Those of the repository that is written to."""
        return opened(self.changed).snapshots()


class Trials:
    """Makes trials, each in a folder of its own that is removed."""

    def __init__(self, ground: Ground, zygote: Zygote, folder: Path) -> None:
        self.ground = ground
        self.zygote = zygote
        self._folder = folder
        self._number = 0
        self._clean: dict[tuple[Operation, bool, bool], list[tuple[str, str | None]]] = {}

    @property
    def pid(self) -> int:
        """Of the process whose children the lives are."""
        return self.zygote.pid

    @contextmanager
    def trial(self, operation: Operation, *, cached: bool = False, reach: Reach = str) -> Iterator[Trial]:
        """A fresh one; `cached` as if the repository were far away, or where `reach` says that it can be reached."""
        self._number += 1
        folder = self._folder / f"trial{self._number}"
        folder.mkdir()
        try:
            yield Trial(self, operation, folder, cached, reach)
        finally:
            shutil.rmtree(folder)

    def life(
        self,
        place: Path | str,
        *words: object,
        password: str = PASSWORD,
        environment: dict[str, str] | None = None,
        said: Path | None = None,
        **circumstances: object,
    ) -> Outcome:
        """`hostward backup WORDS…` in a process of its own; see lives.Circumstances."""
        return self.begin(place, *words, password=password, environment=environment, said=said, **circumstances)()

    def begin(
        self,
        place: Path | str,
        *words: object,
        password: str = PASSWORD,
        environment: dict[str, str] | None = None,
        said: Path | None = None,
        **circumstances: object,
    ) -> Callable[[], Outcome]:
        """The same, not waited for until the result is called."""
        self._number += 1
        file = said or self._folder / f"said{self._number}"
        names = {"HOSTWARD_REPOSITORY": str(place), "HOSTWARD_PASSWORD": password, **(environment or {})}
        pid = self.zygote.begin(
            "tests.faults.backup.lives:live", [str(word) for word in words], names, str(file), circumstances
        )

        def end() -> Outcome:
            outcome = Outcome(self.zygote.end(pid), file.read_text())
            written = Path(f"{file}.json")
            if written.exists():
                found = json.loads(written.read_text())
                outcome.calls, outcome.met = [tuple(call) for call in found["calls"]], found["met"]
                written.unlink()
            file.unlink()
            return outcome

        return end

    def calls(
        self, operation: Operation, *, of_source: bool = False, cached: bool = False
    ) -> list[tuple[str, str | None]]:
        """What stores are asked for where nothing goes wrong."""
        if (operation, of_source, cached) not in self._clean:
            with self.trial(operation, cached=cached) as trial:
                outcome = trial.run(faulty=trial.place if of_source else None)
                assert outcome.code == 0, outcome.said
                assert operation.reached(trial)
                assert not trial.locks() and not trial.spooled()
                assert outcome.calls
                self._clean[operation, of_source, cached] = outcome.calls
        return self._clean[operation, of_source, cached]


def faults(calls: list[tuple[str, str | None]], what: str, *, spared: Collection[str] = AT_WRITES) -> Iterator[Fault]:
    """This fault at each call that can meet it; of many alike only at the first, a middle, and the last.

    Reads are alike that nothing is written between, and so are rounds of such reads, as for one snapshot after the
    other; where a read fails and does not lie, one of each kind is enough, since nothing depends on which. Calls of a
    kind are alike where a process dies before them: the repository is as after the call before, where it dies too. Of
    the faults `spared` reads are spared.
    """
    counts = Counter[str]()
    rows = [list(row) for _, row in groupby(calls, lambda call: call[0] in READS)]
    rounds = Counter(frozenset(row) for row in rows)
    seen = Counter[frozenset[tuple[str, str | None]]]()
    for row in rows:
        places: dict[tuple[str, str | None], list[int]] = {}
        for operation, kind in row:
            counts[operation] += 1
            places.setdefault((operation, kind), []).append(counts[operation])
        reads = row[0][0] in READS
        seen[frozenset(row)] += 1
        if reads and (what in spared or 1 < seen[frozenset(row)] < rounds[frozenset(row)]):
            continue
        alike = reads or what == "killed before"
        for (operation, _), at in places.items():
            if (operation != "load" and what in AT_LOADS) or (operation != "save" and what in AT_SAVES):
                continue
            if reads and what.startswith("failing"):
                at = at[len(at) // 2 :][:1]
            if alike and len(at) > 3:
                at = at[:: (len(at) - 1) // 2]
            for place in at:
                yield Fault(operation, place, what)
