"""Old logs are compressed beside rotations, once our own checks have read them."""

from __future__ import annotations

import inspect
import os
import signal
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agent.config.logs import LogOptions
from agent.logs import evidence
from agent.logs.rotate.apply import compress, operations
from agent.logs.rotate.hooks import Hooks
from agent.logs.rotate.say import Voice
from agent.logs.rules import place
from agent.logs.rules.turn import turn
from agent.logs.watch.packing import Packed, pack
from agent.logs.watch.work import Places, take_pack
from kit.units import Size
from tests.agent.logs.test_followers import Follower
from tests.agent.logs.watch.watching import lines_of
from tests.require import require_root

LATER = 3600.0
"""Seconds: old ones are quiet by then."""


@pytest.fixture
def log(tmp_path: Path) -> Path:
    tmp_path.chmod(0o755)
    (tmp_path / "log").mkdir()
    (tmp_path / "state").mkdir()
    return tmp_path / "log/app.log"


def rule(log: Path, **options: Any) -> LogOptions:
    given = {"name": "app", "paths": (str(log),), "names": "number", "count": 9, "size": Size(1)}
    return LogOptions(**(given | options))


def rotate(log: Path, options: LogOptions) -> None:
    """As the watcher does it: nothing is compressed."""
    (outcome,) = turn([options], folder=log.parents[1] / "state", config=None, now=time.time(), compress=False)
    assert outcome.rotated == [str(log)]
    assert outcome.errors == []


def packed(log: Path, options: LogOptions, *, later: float = LATER) -> Packed:
    lock = partial(place.locked, log.parents[1] / "state")
    return pack(options, at_once=False, now=time.time() + later, lock=lock, hooks=Hooks(), voice=Voice())


def names(log: Path) -> list[str]:
    return sorted(path.name for path in log.parent.iterdir())


def meanwhile(monkeypatch: pytest.MonkeyPatch, act: Callable[[], None]) -> None:
    """Do something once, when a log is compressed and not yet in its place."""
    write = compress.write_temporary
    acts = [act]

    def slowly(*given: Any, **options: Any) -> int:
        made = write(*given, **options)
        if acts:
            acts.pop()()
        return made

    monkeypatch.setattr(compress, "write_temporary", slowly)


@pytest.mark.parametrize("numbered", [True, False])
def test_a_log_that_is_rotated_while_its_old_one_is_compressed(
    log: Path, monkeypatch: pytest.MonkeyPatch, numbered: bool
) -> None:
    """What was compressed goes where the old one is by then; no line is lost, and none is there twice."""
    options = rule(log, names="number" if numbered else "date", date_format="-%s")
    log.write_text("one\n")
    rotate(log, options)

    def again() -> None:
        log.write_text("two\n")
        if not numbered:
            (log.parent / next(n for n in names(log) if "-" in n and n[0] != ".")).rename(f"{log}-1000000000")
        rotate(log, options)

    meanwhile(monkeypatch, again)
    assert packed(log, options).errors == []
    packed(log, options)
    old = [path for path in sorted(log.parent.iterdir()) if path != log]
    assert len(old) == 2
    assert {path.suffix for path in old} == {".zst"}
    assert lines_of(old) == (["two", "one"] if numbered else ["one", "two"])


def test_an_old_one_that_is_removed_while_it_is_compressed_stays_so(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Nothing comes back, and nothing is left over."""
    options = rule(log)
    log.write_text("one\n")
    rotate(log, options)
    meanwhile(monkeypatch, log.with_name("app.log.1").unlink)
    assert packed(log, options).errors == []
    assert names(log) == ["app.log"]


def test_somebody_else_may_compress_it_first(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`hostward logs rotate` by hand: theirs is whole, ours goes."""
    options = rule(log)
    log.write_text("one\n")
    rotate(log, options)
    meanwhile(monkeypatch, lambda: packed(log, options) and None)
    assert packed(log, options).errors == []
    assert names(log) == ["app.log", "app.log.1.zst"]
    assert lines_of([log.with_name("app.log.1.zst")]) == ["one"]


def test_one_that_is_still_written_to_is_left(log: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where that comes to light at the end."""
    options = rule(log)
    log.write_text("one\n")
    rotate(log, options)
    old = log.with_name("app.log.1")
    assert packed(log, options, later=0).left == [str(old)]

    def write() -> None:
        with old.open("a") as stream:
            stream.write("late\n")

    meanwhile(monkeypatch, write)
    assert packed(log, options).left == [str(old)]
    assert names(log) == ["app.log", "app.log.1"]
    assert packed(log, options).freed <= 4096
    assert lines_of([log.with_name("app.log.1.zst")]) == ["one", "late"]


def test_what_a_killed_one_had_begun_is_removed(log: Path) -> None:
    """And what is whole is kept."""
    options = rule(log)
    log.write_text("one\n")
    rotate(log, options)
    for name in (".app.log.7.zst.hostward", ".app.log.1.zst.hostward"):
        (log.parent / name).write_bytes(b"half")
    (log.parent / ".app.log.7.zst.other").write_bytes(b"not ours")
    packed(log, options)
    assert names(log) == [".app.log.7.zst.other", "app.log", "app.log.1.zst"]


def test_a_delay_keeps_the_newest_as_it_is(log: Path) -> None:
    """Unless the disk is full."""
    options = rule(log, delay=True)
    for text in ("one\n", "two\n"):
        log.write_text(text)
        rotate(log, options)
    packed(log, options)
    assert names(log) == ["app.log", "app.log.1", "app.log.2.zst"]
    lock = partial(place.locked, log.parents[1] / "state")
    pack(options, at_once=True, now=time.time(), lock=lock, hooks=Hooks(), voice=Voice())
    assert names(log) == ["app.log", "app.log.1.zst", "app.log.2.zst"]


def test_compressing_waits_for_our_own_checks(log: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A check that stands still finds each line, once, when it goes on; only then is the old one compressed, of which
    the check then knows that nothing in it is new."""
    monkeypatch.setattr(evidence, "RACY", 0.0)  # between a write and a look are not seconds here
    options = rule(log)
    agent = tmp_path / "agent"
    check = Follower(agent, log)
    log.write_text("line\n" * 5)
    assert check.look(time.time()) == 5
    places = Places(tmp_path / "state", None, agent)
    for number in range(3):
        with log.open("a") as stream:
            stream.write("line\n" * 10)
        rotate(log, options)
        answer = take_pack([options], places, at_once=(), now=time.time() + 60).rules["app"]
        assert (answer.waiting, answer.errors) == (number + 1, [])
    assert names(log) == ["app.log", "app.log.1", "app.log.2", "app.log.3"]
    assert check.look(time.time() + 10) == 35
    assert take_pack([options], places, at_once=(), now=time.time() + 60).rules["app"].waiting == 0
    assert names(log) == ["app.log", "app.log.1.zst", "app.log.2.zst", "app.log.3.zst"]
    assert check.look(time.time() + 70) == 35
    measured = {m.name: m.value for m in check.sample.measurements}
    assert (measured["log_lost_bytes_total"], measured["log_losses_total"]) == (0, 0)
    assert check.sample.findings == []


def test_after_its_patience_compressing_goes_on_and_says_so(log: Path, tmp_path: Path) -> None:
    """Of which log, and which check."""
    options = rule(log)
    check = Follower(tmp_path / "agent", log)
    log.write_text("line\n")
    check.look(time.time() - 60)
    with log.open("a") as stream:
        stream.write("line\n")
    rotate(log, options)
    places = Places(tmp_path / "state", None, tmp_path / "agent")
    answer = take_pack([options], places, at_once=(), now=time.time() + LATER)
    assert names(log) == ["app.log", "app.log.1.zst"]
    assert "has not been read to its end by the check errors" in answer.said[0]


def changes() -> list[str]:
    """The names of all that changes something in a folder."""
    return [name for name, doing in vars(operations).items() if inspect.isfunction(doing)]


def killed(log: Path, options: LogOptions, number: int) -> bool:
    """Compress in a child that is killed before so many changes; whether it was."""
    child = os.fork()
    if child == 0:
        left = [number]

        def counted(do: Callable[..., object]) -> Callable[..., object]:
            def instead(*given: object, **more: object) -> object:
                if not left[0]:
                    os.kill(os.getpid(), signal.SIGKILL)
                left[0] -= 1
                return do(*given, **more)

            return instead

        for name in changes():
            setattr(operations, name, counted(getattr(operations, name)))
        packed(log, options)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == -signal.SIGKILL


def test_a_kill_at_any_change_loses_nothing(log: Path) -> None:
    """The next one finishes the work, also where the log was rotated in between."""
    options = rule(log)
    number = 0
    while True:
        for path in log.parent.iterdir():
            path.unlink()
        log.write_text("one\n")
        rotate(log, options)
        was_killed = killed(log, options, number)
        log.write_text("two\n")
        rotate(log, options)
        assert packed(log, options).errors == []
        old = sorted(path for path in log.parent.iterdir() if path != log)
        assert {path.suffix for path in old} == {".zst"}
        assert lines_of(old) == ["two", "one"], number
        if not was_killed:
            break
        number += 1
    assert number >= 6


def test_old_ones_of_another_user_are_compressed() -> None:
    """With `su` it is that user's work, but the lock is root's."""
    require_root()
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        top.chmod(0o755)
        (top / "state").mkdir(mode=0o700)
        log = top / "log/app.log"
        log.parent.mkdir()
        log.write_text("one\n")
        for path in (log.parent, log):
            os.chown(path, 65534, 65534)
        options = rule(log, su="65534:65534")
        rotate(log, options)
        assert packed(log, options).errors == []
        assert names(log) == ["app.log", "app.log.1.zst"]
        assert log.with_name("app.log.1.zst").stat().st_uid == 65534
    assert (os.geteuid(), os.getegid()) == (0, 0)
