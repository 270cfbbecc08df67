"""SIGKILL to the whole process group of the real program, at moments that its progress on disk gives."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import time
from contextlib import suppress
from functools import partial
from pathlib import Path

import pytest

from backup.repository.locks import remove_locks
from backup.stores.contract import FileKind
from backup.stores.spool import ABANDONED
from tests.agent.daemon.daemons import wait_for
from tests.faults.backup.ground import HOSTWARD, Ground, back_up, listing, names, opened, restic, spooled
from tests.faults.backup.trial import Trials
from tests.peers import newest_restic

PACKS = 3
PACK = 4 << 20
MOMENTS = range(0, 12, 2)
"""Changes of what is in the repository after which the program is killed."""


@pytest.fixture(scope="module")
def filled(ground: Ground) -> tuple[Path, Path]:
    """A repository with waste in many packs, and a folder that has changed since."""
    place, source = ground.top / "kills", ground.top / "kills-source"
    if not place.exists():
        ground.copy("empty", place)
        source.mkdir()
        for number in range(PACKS * 4):
            (source / f"file{number}").write_bytes(os.urandom(PACK // 4))
        first = back_up(place, source, pack_size=PACK)
        for number in range(0, PACKS * 4, 2):
            (source / f"file{number}").unlink()
        back_up(place, source, pack_size=PACK)
        (place / FileKind.SNAPSHOT.value / first).unlink()
        for number in range(PACKS * 2):
            (source / f"new{number}").write_bytes(os.urandom(PACK // 3))
    return place, source


def seen(place: Path) -> tuple[object, ...]:
    """What is there, with what is being written."""
    return (
        sorted(str(path) for path in place.rglob("*") if path.is_file()),
        sum(path.stat().st_size // (1 << 20) for path in spooled(place) if path.exists()),
    )


def is_gone(group: int) -> bool:
    """Whether no process of the group can write any more; init may take its time to collect those that have ended."""
    for folder in Path("/proc").glob("[0-9]*"):
        with suppress(OSError):
            state, _parent, its_group = (folder / "stat").read_text().rpartition(")")[2].split()[:3]
            if int(its_group) == group and state not in "ZX":
                return False
    return True


@pytest.mark.parametrize("words", [("run", "{source}"), ("prune", "--max-unused", "0")], ids=["run", "prune"])
def test_a_kill_of_all_its_processes(trials: Trials, filled: tuple[Path, Path], words: tuple[str, ...]) -> None:
    """Nothing is lost, restic accepts it after unlock, and the next run finishes the work and cleans up."""
    origin, source = filled
    place = origin.with_name(f"killed-{words[0]}")
    before = names(origin, FileKind.SNAPSHOT)
    killed = 0
    for moment in MOMENTS:
        shutil.copytree(origin, place)
        arguments = [*(word.format(source=source) for word in words), "--pack-size", "4", "--no-cache"]
        slowly = ["--limit-upload", str(PACK >> 10)]  # so that each change is seen, however busy the host is
        process = subprocess.Popen(
            [HOSTWARD, "backup", *arguments, *slowly],
            env={**os.environ, "HOSTWARD_REPOSITORY": str(place), "HOSTWARD_PASSWORD": "the one"},
            start_new_session=True,
            stdout=subprocess.DEVNULL,
        )
        last, changes = seen(place), -1
        while changes < moment and process.poll() is None:
            try:
                now = seen(place)
            except FileNotFoundError:
                continue
            if now != last:
                last, changes = now, changes + 1
            time.sleep(0.0005)
        ended = process.poll() is not None
        if not ended:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait(60)
        wait_for(partial(is_gone, process.pid))
        killed += not ended
        if moment % 4:
            remove_locks(opened(place), all=False, now=0)
        else:
            restic(newest_restic(), place, "unlock")
        trials.ground.accepts(place, before)
        for path in spooled(place):
            os.utime(path, (0, path.stat().st_mtime - ABANDONED - 1))
        again = trials.life(place, *arguments)
        assert again.code == 0, again.said
        assert not spooled(place) and not names(place, FileKind.LOCK)
        trials.ground.accepts(place, before)
        assert listing(place) != listing(origin)
        shutil.rmtree(place)
    assert killed > len(MOMENTS) // 2
