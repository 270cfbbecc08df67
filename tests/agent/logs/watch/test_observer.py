"""What is told of folders of logs, and where nobody tells."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from agent import inotify
from agent.inotify import Event, Inotify
from agent.logs.watch.observer import Changes, Observer, folders

ROOT = b"1 0 8:1 / / rw - ext4 /dev/sda1 rw\n"


class Queue(Inotify):
    """The kernel's queue, with events that a test puts into it."""

    def __init__(self, *events: Event, full: int | None = None) -> None:
        super().__init__()
        self._more = list(events)
        self._full = full
        self.asked: list[bytes] = []

    def read(self) -> list[Event]:
        events, self._more = self._more, []
        return events or super().read()

    def watch(self, folder: bytes) -> int:
        self.asked.append(folder)
        if self._full is not None and len(self.asked) > self._full:
            raise OSError(28, "No space left on device")
        return super().watch(folder)


def observing(*wanted: Path, queue: Callable[[], Inotify] = Inotify, mounts: bytes = ROOT) -> Observer:
    observer = Observer(queue=queue, read_mounts=lambda: mounts)
    observer.watch(map(str, wanted))
    return observer


def test_what_is_written_and_what_comes_and_goes_is_told(tmp_path: Path) -> None:
    """By the names under which folders were asked for, also through links; a write brings no new name."""
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    log = tmp_path / "real/app.log"
    log.touch()
    observer = observing(tmp_path / "link")
    assert observer.read() == Changes()
    log.write_text("line\n")
    through = str(tmp_path / "link/app.log")
    assert observer.read() == Changes(frozenset({through}))
    log.rename(tmp_path / "real/app.log.1")
    assert observer.read() == Changes(frozenset({through, through + ".1"}), names=True)
    (tmp_path / "real/folder").mkdir()
    assert observer.read() == Changes(names=True)
    observer.watch([])
    log.write_text("line\n")
    assert observer.read().files == frozenset()
    observer.close()


def test_events_that_were_dropped_are_told(tmp_path: Path) -> None:
    """Anything may have happened then."""
    dropped = Event(-1, inotify.OVERFLOW, 0, b"")
    observer = observing(tmp_path, queue=lambda: Queue(dropped))
    assert observer.read() == Changes(names=True, lost=True)
    observer.close()


def test_a_folder_that_cannot_be_watched_is_told(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    """As one without events; one that is gone is none."""
    for name in "ab":
        (tmp_path / name).mkdir()
    observer = observing(tmp_path / "a", tmp_path / "b", tmp_path / "gone", queue=lambda: Queue(full=1))
    assert observer.unwatched == {str(tmp_path / "b"), str(tmp_path / "gone")}
    assert "is looked at at intervals instead of being watched: No space left on device" in caplog.text
    observer.close()


def test_the_folders_of_a_pattern_are_those_in_which_logs_are_or_may_come(tmp_path: Path) -> None:
    """Each that a part of the pattern means, and the nearest above one that is not there."""
    for name in ("srv/a/log", "srv/b", "srv/file"):
        (tmp_path / name).mkdir(parents=True)
    top = str(tmp_path)
    assert folders(f"{top}/srv/*/log/*.log") == {
        f"{top}/srv",
        *(f"{top}/srv/{n}" for n in ("a", "b", "file", "a/log")),
    }
    assert folders(f"{top}/srv/a/log/app.log") == {f"{top}/srv/a/log"}
    assert folders(f"{top}/none/at/all/*.log") == {top}
    assert folders("/*.log") == {"/"}


@pytest.mark.parametrize(
    ("mounts", "blind"),
    [
        (b"", False),
        (b"2 1 0:2 / {top} rw - nfs4 host:/x rw\n", True),
        (b"2 1 0:2 / {top} rw - ext4 /dev/sdb rw\n", False),
        (b"2 1 0:2 / {top} rw - fuse.sshfs host: rw\n3 2 0:3 / {top}/log rw - ext4 /dev/sdb rw\n", False),
        (b"2 1 0:2 / {top}/log rw - cifs //host/x rw\n", True),
        (b"2 1 0:2 / {top}/logs rw - cifs //host/x rw\n", False),
        (b"2 1 0:2 / /remote rw - nfs4 host:/x rw\n", False),
    ],
)
def test_file_systems_in_which_others_write_are_known(tmp_path: Path, mounts: bytes, blind: bool) -> None:
    """By the nearest mount above."""
    mounted = ROOT + mounts.replace(b"{top}", os.fsencode(tmp_path))
    observer = observing(mounts=mounted)
    pattern = f"{tmp_path}/log/*.log"
    assert observer.blind([pattern]) == (frozenset({pattern}) if blind else frozenset())
    observer.close()


def test_a_link_into_such_a_file_system_is_not_followed_but_known(tmp_path: Path) -> None:
    """A look at what is there may hang."""
    (tmp_path / "log").symlink_to("/remote/log")
    (tmp_path / "round").symlink_to("round")
    observer = observing(mounts=ROOT + b"2 1 0:2 / /remote rw - nfs4 host:/x rw\n")
    patterns = [f"{tmp_path}/log/app.log", f"{tmp_path}/round/app.log"]
    assert observer.blind(patterns) == {patterns[0]}
    observer.close()
