"""Changes of the configuration's files are told, whichever way they come."""

from __future__ import annotations

import os
import queue
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.config.watch import ConfigWatcher, Fingerprint, fingerprint, folders_to_watch

LONG = 30.0
"""How long a test waits for what must come."""


@contextmanager
def watching(file: Path, **times: float) -> Iterator[Callable[[], int]]:
    """A watcher of `file`, woken by events alone, not by the clock.

    What it gives waits until the watcher has told of the files as they are now, and says how often it had to.
    """
    changes: queue.Queue[Fingerprint] = queue.Queue()
    times = {"quiet": 0.05, "safety": 3600, "interval": 3600, **times}
    watcher = ConfigWatcher(file, lambda: changes.put(fingerprint(file)), **times)

    def wait() -> int:
        told = 1
        while changes.get(timeout=LONG) != fingerprint(file):
            told += 1
        return told

    watcher.start()
    try:
        yield wait
    finally:
        watcher.stop()


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A configuration file."""
    (tmp_path / "etc").mkdir()
    path = tmp_path / "etc" / "agent.toml"
    path.write_text("# one\n")
    return path


def test_a_file_is_written(file: Path) -> None:
    """Writing in place is a change, each time."""
    with watching(file) as wait:
        for number in range(3):
            file.write_text(f"# {number} more\n")
            wait()


def test_a_file_is_replaced(file: Path) -> None:
    """Editors write another file and rename it over the old one."""
    with watching(file) as wait:
        for _ in range(2):
            other = file.with_name(".agent.toml.swp")
            other.write_text("# one\n")
            other.rename(file)
            wait()


def test_many_writes_are_one_change(file: Path) -> None:
    """What is written piece by piece is told when it is quiet, not for each piece."""
    with watching(file, quiet=0.5) as wait:
        for number in range(20):
            file.write_text("#" * (number + 2))
        assert wait() < 20


def test_a_file_is_removed_and_comes_back(file: Path) -> None:
    """No file is a configuration too."""
    with watching(file) as wait:
        file.unlink()
        wait()
        file.write_text("# back\n")
        wait()


def test_rights_change(file: Path) -> None:
    """A file that becomes readable is a change, for it could not be read before."""
    file.chmod(0)
    with watching(file) as wait:
        file.chmod(0o644)
        wait()


def test_the_folder_beside_it(file: Path) -> None:
    """agent.d may come later; its files, and its removal and return, are changes."""
    folder = file.parent / "agent.d"
    with watching(file) as wait:
        folder.mkdir()
        (folder / "a.toml").write_text("")
        wait()
        (folder / "b.toml").write_text("")
        wait()
        folder.rename(file.parent / "agent.d.old")
        wait()
        folder.mkdir()
        (folder / "a.toml").write_text("")
        wait()
        (folder / "c.toml").write_text("")
        wait()


def test_other_files_are_no_change(file: Path) -> None:
    """What is not read does not count."""
    (file.parent / "agent.d").mkdir()
    before = fingerprint(file)
    (file.parent / "notes").write_text("x")
    (file.parent / "agent.d" / ".#a.toml").symlink_to("lock")
    (file.parent / "agent.d" / "a.toml~").write_text("x")
    assert fingerprint(file) == before


def test_a_busy_folder(file: Path) -> None:
    """Where it never gets quiet, a change is told all the same."""
    done = threading.Event()

    def write() -> None:
        while not done.wait(0.01):
            (file.parent / "noise").write_text("x")

    noise = threading.Thread(target=write)
    with watching(file) as wait:
        noise.start()
        try:
            file.write_text("# two\n")
            wait()
        finally:
            done.set()
            noise.join()


def test_looking_is_no_event(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Reading the files wakes nobody, else the watcher would wake itself for ever."""
    looks: list[Path] = []
    (file.parent / "agent.d").mkdir()
    with watching(file) as wait:
        file.write_text("# two\n")
        wait()
        monkeypatch.setattr("agent.config.watch.fingerprint", lambda path: looks.append(path) or fingerprint(path))
        for _ in range(10):
            file.read_text()
            list((file.parent / "agent.d").iterdir())
            time.sleep(0.06)
    assert len(looks) <= 2  # the last events of the write may still have been on their way


def test_a_folder_that_does_not_exist_yet(tmp_path: Path) -> None:
    """Any number of folders may be made later."""
    file = tmp_path / "a" / "b" / "agent.toml"
    with watching(file) as wait:
        file.parent.mkdir(parents=True)
        file.write_text("")
        wait()
        file.write_text("# more\n")
        wait()


def test_links(tmp_path: Path, file: Path) -> None:
    """What a link leads to is watched where it is, and so is the link itself."""
    store = tmp_path / "store"
    store.mkdir()
    (store / "one").write_text("# one\n")
    (store / "two").write_text("# two\n")
    file.unlink()
    file.symlink_to(store / "one")
    with watching(file) as wait:
        (store / "one").write_text("# one more\n")
        wait()
        (file.parent / "new").symlink_to(store / "two")
        (file.parent / "new").rename(file)
        wait()
        (store / "two").write_text("# two more\n")
        wait()


def test_a_link_to_itself(file: Path) -> None:
    """A broken link can be watched until it is mended."""
    file.unlink()
    file.symlink_to(file)
    with watching(file) as wait:
        file.unlink()
        file.write_text("")
        wait()


def test_safety_look(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A change whose event is lost is found by the next look."""
    monkeypatch.setattr("agent.config.watch._EVENTS", [])
    with watching(file, safety=0.1) as wait:
        file.write_text("# unheard\n")
        wait()


def test_polling(tmp_path: Path, file: Path) -> None:
    """Where the system gives out no more inotify instances, or no watches, the files are looked at instead."""
    program = """
import ctypes, errno, queue, sys
from pathlib import Path
import watchdog.observers.inotify_c as inotify
from agent.config.watch import ConfigWatcher

def exhausted(*arguments):
    ctypes.set_errno(int(sys.argv[3]))
    return -1

setattr(inotify, sys.argv[2], exhausted)
file = Path(sys.argv[1])
changes = queue.Queue()
watcher = ConfigWatcher(file, lambda: changes.put(None), quiet=0.05, interval=0.1)
watcher.start()
assert watcher.polling
file.write_text("# " + sys.argv[2])
changes.get(timeout=30)
watcher.stop()
assert changes.empty()
"""
    for call, error in (("inotify_init", "24"), ("inotify_add_watch", "28")):
        subprocess.run([sys.executable, "-c", program, str(file), call, error], check=True, timeout=60)


def test_stop_without_change(file: Path) -> None:
    """A watcher that never had anything to say stops at once, also before it started, and twice."""
    watcher = ConfigWatcher(file, lambda: None)
    watcher.stop()
    watcher = ConfigWatcher(file, lambda: None)
    watcher.start()
    assert not watcher.polling
    watcher.stop()
    watcher.stop()


def test_no_descriptors_are_left(file: Path) -> None:
    """Starting and stopping leaks nothing."""

    def count() -> int:
        return len(list(Path("/proc/self/fd").iterdir()))

    with watching(file):
        pass
    before = count()
    for _ in range(5):
        with watching(file):
            pass
    assert count() == before


def test_folders(tmp_path: Path) -> None:
    """The nearest folder that exists stands for one that does not."""
    file = tmp_path / "a" / "agent.toml"
    status = tmp_path.stat()
    assert folders_to_watch(file) == {tmp_path: (status.st_dev, status.st_ino)}
    (tmp_path / "a" / "agent.d").mkdir(parents=True)
    assert folders_to_watch(file).keys() == {tmp_path / "a", tmp_path / "a" / "agent.d"}


def test_fingerprint_tells_same_size(file: Path) -> None:
    """Another content of the same size, with its old times put back, has another fingerprint."""
    before = fingerprint(file)
    times = file.stat()
    file.write_text("# two\n")
    os.utime(file, ns=(times.st_atime_ns, times.st_mtime_ns))
    assert fingerprint(file) != before
