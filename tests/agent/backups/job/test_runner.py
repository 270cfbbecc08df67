"""A run's steps in their order, and what the failure of each means for the others."""

from __future__ import annotations

import signal
import time
from pathlib import Path
from typing import Any

import pytest

from agent.backups.job.hooks import run_hook
from agent.backups.job.runner import Course, Saved, record_of, run_steps
from agent.config.backups import BackupOptions
from agent.config.hooks import HookAfter, HookBefore
from agent.config.repositories import CopyOptions, KeepOptions
from kit.errors import HostwardError
from kit.units import Duration

SAVED = Saved(snapshot="ab" * 32, files=2, bytes=100, bytes_read=50, bytes_added=10)


class Steps:
    """Does nothing, and notes what it was asked for; what is named fails."""

    def __init__(self, *failing: str, saved: Saved = SAVED) -> None:
        self.failing = failing
        self.saved = saved
        self.done: list[str] = []

    def _step(self, name: str) -> None:
        self.done.append(name)
        if name in self.failing:
            raise HostwardError(f"{name} is broken")

    def prepare(self) -> None:
        self._step("prepare")

    def save(self) -> Saved:
        self._step("save")
        return self.saved

    def verify(self) -> None:
        self._step("verify")

    def keep(self) -> None:
        self._step("keep")

    def copy(self, place: CopyOptions) -> str:
        self._step(f"copy {place.repository}")
        return "cd" * 32

    def keep_copy(self, place: CopyOptions) -> None:
        self._step(f"keep {place.repository}")


class Hooks:
    """Notes which were run and what they were told."""

    def __init__(self, steps: Steps, *failing: str) -> None:
        self.steps = steps
        self.failing = failing
        self.told: list[dict[str, str]] = []

    def __call__(self, command: tuple[str, ...], *, timeout: float, environment: dict[str, str]) -> str:
        self.steps.done.append(command[0])
        self.told.append(environment)
        return f"{command[0]} failed" if command[0] in self.failing else ""


def job(**options: Any) -> BackupOptions:
    return BackupOptions(repository="/srv/backup", paths=("/etc",), **options)


def go(options: BackupOptions, steps: Steps, *failing_hooks: str) -> tuple[Course, Hooks]:
    hooks = Hooks(steps, *failing_hooks)
    course, end = run_steps(options, "etc", steps, lambda line: None, hook=hooks)
    assert end is None
    return course, hooks


EVERYTHING = job(
    verify=True,
    keep=KeepOptions(daily=7),
    copies=(CopyOptions(repository="/one"), CopyOptions(repository="/two")),
    before=(HookBefore(command=("stop",)),),
    after=(HookAfter(command=("start",)),),
)


def test_all_that_a_table_says_in_its_order() -> None:
    """And what comes of it."""
    steps = Steps()
    course, hooks = go(EVERYTHING, steps)
    assert steps.done == ["prepare", "stop", "save", "verify", "keep", "copy /one", "copy /two", "start"]
    run = record_of(EVERYTHING, "etc", course, repository="/srv/backup", started=1.0, finished=2.0)
    assert (run.outcome, run.message, run.verified, run.source) == ("done", "", True, "files")
    assert (run.files, run.bytes, run.bytes_read, run.bytes_added) == (2, 100, 50, 10)
    assert [(copy.repository, copy.outcome) for copy in run.copies] == [("/one", "done"), ("/two", "done")]
    assert hooks.told[1]["HOSTWARD_OUTCOME"] == "done"
    assert hooks.told[1]["HOSTWARD_SNAPSHOT"] == "ab" * 32


def test_nothing_that_is_not_asked_for_is_done() -> None:
    """The least that a job can say."""
    steps = Steps()
    course, _ = go(job(), steps)
    assert steps.done == ["prepare", "save"]
    assert not course.verified


@pytest.mark.parametrize(
    ("failing", "outcome", "done"),
    [
        ("prepare", "failed", ["prepare", "start"]),
        ("save", "failed", ["prepare", "stop", "save", "start"]),
        ("verify", "failed", ["prepare", "stop", "save", "verify", "start"]),
        ("keep", "partial", ["prepare", "stop", "save", "verify", "keep", "copy /one", "copy /two", "start"]),
        ("copy /one", "partial", ["prepare", "stop", "save", "verify", "keep", "copy /one", "copy /two", "start"]),
    ],
)
def test_a_step_that_fails(failing: str, outcome: str, done: list[str]) -> None:
    """What could not be saved or read back removes nothing; what else fails does not stop the rest."""
    steps = Steps(failing)
    course, hooks = go(EVERYTHING, steps)
    assert (course.outcome, steps.done) == (outcome, done)
    assert f"{failing} is broken" in course.message
    assert hooks.told[-1]["HOSTWARD_OUTCOME"] == outcome


@pytest.mark.parametrize(
    ("failing", "copied", "words"),
    [
        ("copy /one", ("failed", ""), "it could not be copied to /one"),
        ("keep /one", ("done", "cd" * 32), "what is to go from /one could not be removed"),
    ],
)
def test_a_copy_that_was_made_is_there_whatever_its_rules_come_to(
    failing: str, copied: tuple[str, str], words: str
) -> None:
    """And where none was made, nothing of it is removed."""
    steps = Steps(failing)
    course, _ = go(job(copies=(CopyOptions(repository="/one", keep=KeepOptions(last=1)),)), steps)
    assert [(copy.outcome, copy.snapshot) for copy in course.copies] == [copied]
    assert course.message == f"{words}: {failing} is broken"
    assert ("keep /one" in steps.done) == (failing == "keep /one")


def test_a_fault_of_the_program_leaves_nothing_stopped() -> None:
    """What is to be done after is done, and the run is on record as a failed one; the fault is still told."""

    class Faulty(Steps):
        def save(self) -> Saved:
            raise RecursionError("too deep")

    steps = Faulty()
    hooks = Hooks(steps)
    course, end = run_steps(EVERYTHING, "etc", steps, lambda line: None, hook=hooks)
    assert steps.done == ["prepare", "stop", "start"]
    assert (course.outcome, course.message) == ("failed", "a fault in hostward: RecursionError: too deep")
    assert isinstance(end, RecursionError)


def test_a_signal_while_a_program_after_it_runs_loses_no_record() -> None:
    """The snapshot was made, and that is told."""

    def hook(command: tuple[str, ...], **_: object) -> str:
        if command == ("start",):
            raise KeyboardInterrupt("SIGTERM")
        return ""

    course, end = run_steps(EVERYTHING, "etc", Steps(), lambda line: None, hook=hook)
    assert (course.outcome, course.message) == ("partial", "after it: ended by SIGTERM")
    assert isinstance(end, KeyboardInterrupt)


def test_paths_that_could_not_be_read() -> None:
    """Are told, and the first of them by name; the run goes on, and is no success."""
    steps = Steps(saved=Saved(snapshot="ab" * 32, errors=3, problem="/etc/x: cannot be read"))
    course, _ = go(EVERYTHING, steps)
    assert (course.outcome, course.whole) == ("partial", False)
    assert course.message == "/etc/x: cannot be read, and 2 more"
    assert "keep" in steps.done


@pytest.mark.parametrize(
    ("policy", "outcome", "saved", "whole"),
    [("stop", "failed", False, True), ("continue", "partial", True, False), ("ignore", "done", True, True)],
)
def test_a_program_before_that_fails(policy: Any, outcome: str, saved: bool, whole: bool) -> None:
    """Stops the run, or lets it go on; what is to be done after is done all the same."""
    options = job(before=(HookBefore(command=("stop",), on_failure=policy),), after=(HookAfter(command=("start",)),))
    steps = Steps()
    course, _ = go(options, steps, "stop")
    assert (course.outcome, "save" in steps.done, course.whole) == (outcome, saved, whole)
    assert steps.done[-1] == "start"


@pytest.mark.parametrize(("policy", "outcome"), [("partial", "partial"), ("ignore", "done")])
def test_a_program_after_that_fails(policy: Any, outcome: str) -> None:
    """Makes the run partial, or nothing of it; the next one is run all the same."""
    after = (HookAfter(command=("first",), on_failure=policy), HookAfter(command=("second",)))
    steps = Steps()
    course, _ = go(job(after=after), steps, "first")
    assert course.outcome == outcome
    assert steps.done[-2:] == ["first", "second"]


@pytest.mark.parametrize(("failing", "ran"), [("save", ["always", "failure"]), ("", ["always", "success"])])
def test_when_programs_after_are_run(failing: str, ran: list[str]) -> None:
    """By what became of the run."""
    after = tuple(HookAfter(command=(when,), when=when) for when in ("always", "success", "failure"))  # type: ignore[arg-type]
    steps = Steps(failing)
    go(job(after=after), steps)
    assert [name for name in steps.done if name in ("always", "success", "failure")] == ran


def test_the_time_limit_of_a_run() -> None:
    """It ends what goes on; programs after are run."""

    class Slow(Steps):
        def save(self) -> Saved:
            time.sleep(60)
            return SAVED

    before = signal.getsignal(signal.SIGALRM)
    steps = Slow()
    course, _ = go(job(timeout=Duration(1), after=(HookAfter(command=("start",)),)), steps)
    assert course.failure == "stopped at its time limit of 1s"
    assert steps.done == ["prepare", "start"]
    assert signal.getsignal(signal.SIGALRM) is before


def test_a_signal_comes_back_when_all_is_done() -> None:
    """For the caller, who puts the run on record first."""

    class Ended(Steps):
        def save(self) -> Saved:
            raise KeyboardInterrupt("SIGTERM")

    steps = Ended()
    options = job(after=(HookAfter(command=("start",)),))
    course, end = run_steps(options, "etc", steps, lambda line: None, hook=Hooks(steps))
    assert course.failure == "ended by SIGTERM"
    assert isinstance(end, KeyboardInterrupt)
    assert steps.done == ["prepare", "start"]


def test_out_of_memory_is_a_failure_like_others() -> None:
    """With its limit."""

    class Large(Steps):
        def save(self) -> Saved:
            raise MemoryError

    course, _ = go(job(), Large())
    assert course.failure == "out of memory"


def test_a_real_program(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """It gets what it is told and a minimal environment; what it says last is why it failed."""
    monkeypatch.setenv("RESTIC_PASSWORD", "hunter2")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "hunter2")
    file = tmp_path / "seen"
    said = run_hook(["sh", "-c", f"env > {file}"], timeout=60, environment={"HOSTWARD_JOB": "etc"})
    assert said == ""
    seen = file.read_text()
    assert "HOSTWARD_JOB=etc" in seen
    assert "hunter2" not in seen
    said = run_hook(["sh", "-c", "echo no dump >&2; exit 3"], timeout=60, environment={})
    assert said == "sh failed: exit code 3: no dump"
    assert "timed out" in run_hook(["sleep", "60"], timeout=0.1, environment={})
    assert "cannot be started" in run_hook(["/no/such/program"], timeout=60, environment={})
