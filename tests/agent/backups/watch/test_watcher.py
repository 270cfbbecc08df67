"""What a watcher tells, and when it says that it cannot tell. The rest is in test_property.py."""

from __future__ import annotations

import errno
import os
import subprocess
from pathlib import Path

import pytest

from agent import inotify
from agent.backups.watch.changed import ChangedFolders
from agent.backups.watch.watcher import Watched, Watcher
from agent.inotify import Event, Inotify
from tests.require import require_root


@pytest.fixture
def top(tmp_path: Path) -> Path:
    for folder in ("a/b", "c"):
        (tmp_path / "top" / folder).mkdir(parents=True)
    (tmp_path / "top/a/file").write_text("x")
    return tmp_path / "top"


def begun(watcher: Watcher) -> str:
    """The token of a first answer."""
    watcher.start()
    return watcher.answer("").token


def watching(top: Path, **options: object) -> Watcher:
    return Watcher(Watched((os.fsencode(top),), "fingerprint"), **options)  # type: ignore[arg-type]


def test_an_answer_has_what_was_done_before_the_question(top: Path) -> None:
    """Once; nothing when nothing was done."""
    watcher = watching(top)
    token = begun(watcher)
    for number in range(100):
        (top / "a/b" / f"file{number}").write_text("new")
        answer = watcher.answer(token)
        assert (answer.everything, answer.changed, answer.whole) == ("", [os.fsencode(top / "a/b")], [])
        token = answer.token
    assert watcher.answer(token).changed == []
    watcher.close()


def test_a_question_may_be_asked_again_until_the_next_one(top: Path) -> None:
    """A run that failed has stored no token."""
    watcher = watching(top)
    first = begun(watcher)
    (top / "a/file").write_text("1")
    assert watcher.answer(first).changed == [os.fsencode(top / "a")]
    (top / "c/file").write_text("2")
    second = watcher.answer(first)
    assert sorted(second.changed) == [os.fsencode(top / "a"), os.fsencode(top / "c")]
    third = watcher.answer(second.token)
    assert third.changed == []
    assert watcher.answer(first).everything
    watcher.close()


@pytest.mark.parametrize("token", ["", "nonsense", "0123456789abcdef:1"])
def test_a_token_of_somebody_else_says_nothing(top: Path, token: str) -> None:
    """Everything is to be scanned, and the next answer is good."""
    watcher = watching(top)
    watcher.start()
    answer = watcher.answer(token)
    assert answer.everything
    assert answer.token
    assert not watcher.answer(answer.token).everything
    watcher.close()


def test_a_queue_that_ran_over_is_told(top: Path) -> None:
    """The real one: more events than the kernel keeps."""
    limit = int(Path("/proc/sys/fs/inotify/max_queued_events").read_text())
    watcher = watching(top)
    token = begun(watcher)
    one, other = top / "a/one", top / "a/other"
    one.touch()
    for _ in range(limit // 2 + 10):
        one.rename(other)
        other.rename(one)
    answer = watcher.answer(token)
    assert "ran over" in answer.everything
    (top / "c/new").touch()
    assert watcher.answer(answer.token).changed == [os.fsencode(top / "c")]
    watcher.close()


def test_without_watches_left_nothing_is_known(top: Path) -> None:
    """And no token is given, until there are some."""

    class Full(Inotify):
        full = True

        def watch(self, folder: bytes) -> int:
            if self.full and folder.endswith(b"/b"):
                raise OSError(errno.ENOSPC, "No space left on device")
            return super().watch(folder)

    watcher = watching(top, queue=Full)
    watcher.start()
    answer = watcher.answer("")
    assert "max_user_watches" in answer.everything
    assert answer.token == ""
    Full.full = False
    assert watcher.answer("").token
    watcher.close()


def test_a_root_that_is_replaced_is_noticed(top: Path) -> None:
    """By itself, or with a folder above it, of which no event comes."""
    watcher = watching(top / "a")
    token = begun(watcher)
    top.rename(top.with_name("old"))
    (top / "a").mkdir(parents=True)
    answer = watcher.answer(token)
    assert "another folder" in answer.everything
    (top / "a").rename(top / "gone")
    (top / "a").mkdir()
    answer = watcher.answer(answer.token)
    assert "moved or removed" in answer.everything
    (top / "a/file").touch()
    assert watcher.answer(answer.token).changed == [os.fsencode(top / "a")]
    watcher.close()


def test_too_many_changes_are_everything(top: Path) -> None:
    """Bounded memory, and a good answer afterwards."""
    watcher = watching(top, most_changed=1)
    token = begun(watcher)
    for folder in ("a", "c"):
        (top / folder / "new").touch()
    answer = watcher.answer(token)
    assert "more than 1 folders" in answer.everything
    (top / "c/more").touch()
    assert watcher.answer(answer.token).changed == [os.fsencode(top / "c")]
    watcher.close()


def test_a_new_hard_link_is_everything_and_its_folders_are_always_told(top: Path) -> None:
    """For the kernel does not tell where the other name is."""
    watcher = watching(top)
    token = begun(watcher)
    os.link(top / "a/file", top / "c/link")
    answer = watcher.answer(token)
    assert "hard link" in answer.everything
    for _ in range(2):
        answer = watcher.answer(answer.token)
        assert sorted(answer.changed) == [os.fsencode(top / "a"), os.fsencode(top / "c")]
    watcher.close()


def test_what_is_mounted_is_noticed_and_blind_file_systems_are_whole(top: Path) -> None:
    """/proc, as an example of what tells nothing."""
    require_root()
    watcher = watching(top)
    token = begun(watcher)
    subprocess.run(["mount", "-t", "proc", "proc", str(top / "c")], check=True)
    try:
        answer = watcher.answer(token)
        assert "mounted" in answer.everything
        answer = watcher.answer(answer.token)
        assert (answer.everything, answer.whole) == ("", [os.fsencode(top / "c")])
    finally:
        subprocess.run(["umount", str(top / "c")], check=True)
    assert "mounted" in watcher.answer(answer.token).everything
    watcher.close()


def test_a_folder_in_two_places_cannot_be_watched(top: Path) -> None:
    """A watch belongs to the folder, whatever the place."""
    require_root()
    subprocess.run(["mount", "--bind", str(top / "a"), str(top / "c")], check=True)
    try:
        watcher = watching(top)
        watcher.start()
        assert "another place" in watcher.answer("").everything
    finally:
        watcher.close()
        subprocess.run(["umount", str(top / "c")], check=True)


def test_what_is_excluded_is_not_watched_until_it_is_renamed(top: Path) -> None:
    """What is left out depends on the path."""
    watched = Watched((os.fsencode(top),), "", rejects=lambda path: path.endswith(b"/c"))
    watcher = Watcher(watched)
    token = begun(watcher)
    (top / "c/file").touch()
    answer = watcher.answer(token)
    assert answer.changed == []
    (top / "c").rename(top / "d")
    answer = watcher.answer(answer.token)
    (top / "d/file").write_text("x")
    assert watcher.answer(answer.token).changed == [os.fsencode(top / "d")]
    watcher.close()


def test_events_are_parsed_as_they_lie_in_memory() -> None:
    """Names are padded with NULs."""
    data = (3).to_bytes(4, "little") + (0x100).to_bytes(4, "little") + bytes(4) + (16).to_bytes(4, "little")
    events = list(inotify.parse(data + b"name".ljust(16, b"\0") + data[:12] + bytes(4)))
    assert events == [Event(3, 0x100, 0, b"name"), Event(3, 0x100, 0, b"")]


def test_folders_to_look_into_are_those_above_too() -> None:
    """And all below what is wholly unknown."""
    changed = ChangedFolders([b"/srv/a/b"], [b"/srv/w"])
    assert all(folder in changed for folder in (b"/", b"/srv", b"/srv/a", b"/srv/a/b", b"/srv/w", b"/srv/w/x/y"))
    assert not any(folder in changed for folder in (b"/srv/a/b/c", b"/srv/ab", b"/srv/wx", b"/home"))
