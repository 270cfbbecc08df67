"""A cache before the store: faults below it, and a cache that breaks itself."""

from __future__ import annotations

import hashlib
import os
import shutil
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from backup.stores.cache import KEPT
from tests.agent.tmpfs import fill, small_disk
from tests.faults.backup.ground import Ground, flip
from tests.faults.backup.operations import OPERATIONS
from tests.faults.backup.test_operations import cases, meet
from tests.faults.backup.trial import Trial, Trials, faults
from tests.peers import every_restic
from tests.require import require_root

WRITING = [name for name in OPERATIONS if not name.startswith("key")]
"""Keys are in no cache."""


def files_of(cache: Path) -> list[Path]:
    """What a cache keeps of repositories."""
    return sorted(path for kind in KEPT for path in cache.glob(f"*/*/{kind.value}/*"))


def sound(trial: Trial) -> None:
    """Fail unless each file in the cache is what its name says."""
    for path in files_of(trial.cache):
        assert hashlib.sha256(path.read_bytes()).hexdigest() == path.name, path


def some_cases() -> Iterator[tuple[int, str, str]]:
    """(number, operation, fault): half of the faults of each operation, and the next one meets the others."""
    for number, (name, what) in enumerate(cases()):
        if name in WRITING and (number + WRITING.index(name)) % 2:
            yield number, name, what


def test_the_cache_is_used(trials: Trials) -> None:
    """Else nothing here would try it."""
    for name in ("backup of known folders", "prune"):
        without, with_it = (trials.calls(OPERATIONS[name], cached=cached) for cached in (False, True))
        assert with_it.count(("load", "index")) + with_it.count(("load", "snapshots")) == 0, name
        assert without.count(("load", "snapshots")) > 0, name


@pytest.mark.parametrize(("number", "name", "what"), list(some_cases()))
def test_a_fault_below_a_cache(trials: Trials, number: int, name: str, what: str) -> None:
    """At one of the operations of the store: no snapshot is lost, and what was not saved is not in the cache."""
    operation, programs = OPERATIONS[name], every_restic()
    places = list(faults(trials.calls(operation, cached=True), what))
    if not places:
        return  # all that it reads is in the cache
    fault = places[number * 7 % len(places)]
    with trials.trial(operation, cached=True) as trial:
        meet(trial, fault, [programs[number % 2]])
        sound(trial)


def truncated(file: Path, number: int) -> None:
    """As a full disk leaves it, or a power cut."""
    os.truncate(file, file.stat().st_size * (number % 3) // 3)


def flipped(file: Path, number: int) -> None:
    """As a bad disk leaves it."""
    flip(file, number * 7 % file.stat().st_size)


def exchanged(file: Path, number: int) -> None:
    """Another file of the kind under this name: right in itself, and not this one."""
    others = [other for other in sorted(file.parent.iterdir()) if other != file and other.is_file()]
    if others:
        shutil.copyfile(others[number % len(others)], file)


def removed(file: Path, number: int) -> None:
    """As whoever cleans up leaves it."""
    if number % 2:
        file.unlink()


DAMAGES: dict[str, Callable[[Path, int], None]] = {
    "truncated": truncated,
    "flipped": flipped,
    "exchanged": exchanged,
    "removed": removed,
}


@pytest.mark.parametrize("name", WRITING)
def test_a_damaged_cache(trials: Trials, name: str) -> None:
    """Its files are cut short, have wrong bits, are those of others, or gone, also what it knows of folders: the
    operation does what it does without a cache. What it does not read of it stays as it is."""
    damages = list(DAMAGES.values())
    at = list(OPERATIONS).index(name)
    with trials.trial(OPERATIONS[name], cached=True) as trial:
        known = list(trial.cache.rglob("folders-*"))
        assert known
        for number, file in enumerate([*files_of(trial.cache), *known], at):
            damages[number % len(damages)](file, number)
        done(trial)


@pytest.mark.parametrize("name", ["backup", "backup of known folders", "prune", "copy"])
@pytest.mark.parametrize("how", ["of another repository", "of before"])
def test_a_cache_of_another_state(trials: Trials, ground: Ground, name: str, how: str) -> None:
    """It belongs to another repository, or to this one as it was before others changed it."""
    with trials.trial(OPERATIONS[name], cached=True) as trial:
        (mine,) = (path for path in trial.cache.glob("*/*") if path.is_dir())
        if how == "of another repository":
            with trials.trial(OPERATIONS["first backup"], cached=True) as other:
                assert other.run().code == 0
                (its,) = (path for path in other.cache.glob("*/*") if path.is_dir() and path.name != mine.name)
                shutil.rmtree(mine)
                shutil.copytree(its, mine)
        else:
            # Somebody without this cache forgets all but one, prunes, and saves again.
            for words in (
                ("forget", "--keep-last", "1", "--group-by", "host", "--prune", "--max-unused", "0"),
                ("run", ground.known, "--host", "h", "--force"),
            ):
                assert trials.life(trial.place, *words, "--no-cache").code == 0
        outcome = trial.run()
        assert outcome.code == 0, outcome.said
        trial.ground.accepts(trial.changed)
        if how == "of another repository":
            assert trial.operation.reached(trial)
        sound(trial)


@pytest.mark.parametrize("name", ["first backup", "backup of known folders", "prune", "copy", "repair index"])
def test_a_cache_on_a_full_disk(trials: Trials, name: str) -> None:
    """It costs time and nothing else."""
    require_root()
    with trials.trial(OPERATIONS[name], cached=True) as trial:
        kept = trial.cache.with_name("kept")
        trial.cache.rename(kept)
        with small_disk(trial.cache, size="4M") as disk:
            shutil.copytree(kept, disk, dirs_exist_ok=True)
            for file in files_of(disk)[::2]:
                file.unlink()
            fill(disk / "ballast")
            done(trial)
            sound(trial)


@pytest.mark.parametrize("name", ["first backup", "backup of known folders", "prune", "copy"])
def test_a_kill_while_the_cache_is_written(trials: Trials, name: str) -> None:
    """Half a file is left in it, and never taken for one."""
    operation = OPERATIONS[name]
    for which in (1, 2, 3):
        with trials.trial(operation, cached=True) as trial:
            for file in files_of(trial.cache)[::2]:
                file.unlink()
            outcome = trial.run(cache_dies=which)
            if outcome.code == 0:
                assert which > 1, "nothing was written to the cache"
                break
            assert outcome.code == -signal.SIGKILL, outcome.said
            assert any(path.is_relative_to(trial.cache) for path in trial.spooled())
            trial.unlock(by_restic=False)
            trial.ground.accepts(trial.changed, operation.keeps(trial))
            trial.age_spool()
            done(trial)
            sound(trial)


def done(trial: Trial) -> None:
    """It does what it should, and nothing is left over."""
    outcome = trial.run()
    assert outcome.code == 0, outcome.said
    assert trial.operation.reached(trial), outcome.said
    assert not trial.spooled() and not trial.locks()
    trial.ground.accepts(trial.changed, trial.operation.keeps(trial))
