"""The process that works on a repository: it may be ended at any moment, keeps to its limits, and tells no secret."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from backup.stores.contract import FileKind
from backup.stores.local import LocalStore
from collector.backups.keeping.messages import Access, Changed, Failed, Limits, Look, Order, Remove
from collector.backups.keeping.process import ask
from collector.backups.keeping.results import Result
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from collector.backups.keeping.target import access, held
from kit.units import Duration
from tests.backup.restore.making import PASSWORD, run_restic
from tests.collector.backups.keeping.yard import Yard, yard
from tests.collector.support import COMMAND
from tests.peers import every_restic

SOON = KeepingOptions(newest=1, hold=Duration(0))
ENOUGH = Limits(nice=0, memory=1 << 32)


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Yard]:
    """With more than the policy keeps."""
    with yard(tmp_path, keep=KeepOptions(last=2), keeping=SOON) as made:
        made.days(6)
        yield made


def children(of: int) -> list[int]:
    """Processes that it started and that still are there."""
    found = []
    for task in Path(f"/proc/{of}/task").iterdir():
        found += [int(pid) for pid in (task / "children").read_text().split()]
    return found


def is_there(pid: int) -> bool:
    try:
        return "Z" not in Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False


def test_it_may_be_killed_at_any_moment_and_the_next_one_ends_the_work(home: Yard) -> None:
    """After kills before, between and amid its writes, both versions of restic accept what is left."""

    async def killed(changes: int) -> Result:
        """Keep, and kill the process that removes once it has changed so many files."""
        strangers = {*children(os.getpid())}
        work = asyncio.create_task(home.keeper.keep(home.target, always=True))
        before = _files(home)
        while not work.done():
            await asyncio.sleep(0.001)
            if len(before ^ _files(home)) > changes:
                for pid in {*children(os.getpid())} - strangers:
                    os.kill(pid, signal.SIGKILL)
                break
        return await work

    for changes in (0, 3):
        for _ in range(5):  # on a busy machine it may have ended before anybody looks
            if asyncio.run(killed(changes)).outcome == "failed":
                break
            home.days(6)
        else:
            pytest.fail("it was done before it could be killed")
        assert "no errors were found" in run_restic(every_restic()[-1], home.place, "check", "--no-lock")
    result = home.keep(always=True)
    assert result.outcome == "done", result.message
    assert len(home.snapshots()) == 2
    assert home.used() >= home.bytes_there()
    assert "no errors were found" in run_restic(every_restic()[0], home.place, "check", "--read-data")


def _files(home: Yard) -> set[str]:
    return {str(file) for folder in ("locks", "snapshots", "index") for file in (home.place / folder).iterdir()}


def test_it_ends_with_whoever_started_it(home: Yard, tmp_path: Path) -> None:
    """A command that is killed leaves no process and no claim to the repository."""
    config = tmp_path / "collector.toml"
    config.write_text(f'[backups.repositories.web1]\npassword_file = "{tmp_path / "password"}"\n')
    words = ["backup", "verify", "web1", "--data-dir", str(tmp_path), "--config", str(config)]
    with subprocess.Popen([*COMMAND, *words], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        try:
            end = time.monotonic() + 60
            while not (found := children(process.pid)):
                assert time.monotonic() < end and process.poll() is None
                time.sleep(0.005)
            (child,) = found
            said = b""
            while b"keeping.child" not in said:
                said = Path(f"/proc/{child}/cmdline").read_bytes() + Path(f"/proc/{child}/environ").read_bytes()
                assert time.monotonic() < end
            assert PASSWORD not in said
        finally:
            process.kill()
    while is_there(child):
        assert time.monotonic() < end
        time.sleep(0.01)
    with held(tmp_path, home.name):
        pass


def test_it_keeps_to_its_limits(home: Yard, tmp_path: Path) -> None:
    """Of time and of memory; each is told, and nothing was changed."""
    before = home.snapshots()
    task = Remove(names=tuple(before), now=home.clock())
    given = access(home.target, home.places)

    async def answered(limits: Limits, timeout: float) -> Failed:
        with held(tmp_path, home.name) as holding:
            found = await ask(Order(access=given, limits=limits, task=task), timeout=timeout, holding=holding)
        assert isinstance(found.answer, Failed)
        return found.answer

    assert "longer than 1ms" in asyncio.run(answered(ENOUGH, 0.001)).message
    small = asyncio.run(answered(Limits(nice=0, memory=1 << 20), 60)).message
    assert "memory" in small or "ended with code" in small
    assert home.snapshots() == before


def test_what_a_killed_process_said_counts_as_far_as_it_came(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Killed amid a line: what it had done is known, and its end is a failure as any other."""
    said = msgspec.json.encode(Changed(added={}, removed={"data": ("0" * 64,)})) + b"\n" + b'{"type":"remo'
    (tmp_path / "said").write_bytes(said)
    program = tmp_path / "program"
    program.write_text(f"#!/bin/sh\nread order\ncat {tmp_path}/said\nkill -9 $$\n")
    program.chmod(0o755)
    monkeypatch.setattr(sys, "executable", str(program))
    order = Order(access=Access(location="", environment={}, password=None), limits=ENOUGH, task=Look(new=()))
    with held(tmp_path, "any") as holding:
        found = asyncio.run(ask(order, timeout=60, holding=holding))
    assert found.changed is not None and found.changed.removed == {"data": ("0" * 64,)}
    assert isinstance(found.answer, Failed) and "code -9" in found.answer.message


def test_a_wrong_password_and_no_repository_are_told(home: Yard, tmp_path: Path) -> None:
    """By their own words."""
    given = access(home.target, home.places)

    async def message(order: Order) -> Failed:
        with held(tmp_path, home.name) as holding:
            found = (await ask(order, timeout=60, holding=holding)).answer
        assert isinstance(found, Failed)
        return found

    wrong = Order(
        access=type(given)(location=given.location, environment={}, password="wrong"),
        limits=ENOUGH,
        task=Look(new=()),
    )
    assert "password" in asyncio.run(message(wrong)).message
    LocalStore(home.place).remove(FileKind.CONFIG, "config")
    assert asyncio.run(message(Order(access=given, limits=ENOUGH, task=Look(new=())))).absent
