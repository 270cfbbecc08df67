"""The state file is read, locked and written as logrotate 3.22 does it."""

from __future__ import annotations

import fcntl
import os
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.logs.rotate import moment
from agent.logs.rotate.state import LockError, State, lock
from tests.agent.logs.rotate.listener import Listener
from tests.agent.logs.rotate.twins import both
from tests.require import require_program, require_root

ONE, TWO = "logrotate state -- version 1\n", "logrotate state -- version 2\n"
NOW = moment.on(2026, 11, 22, 14, 30, 5)
NAMES = st.text(st.characters(exclude_characters="\0", exclude_categories=("Cs",)), min_size=1, max_size=50)
SHORT = ("-s", "st", "c")
LOUD = ("-v", *SHORT)
CONFIGURATION = '"a.log" {\n\tsize 1k\n}\n'

STATES = {
    "empty": "",
    "no newline": "x",
    "a newline": "\n",
    "version 1, no entries": ONE,
    "version 2, no entries": TWO,
    "version 3": "logrotate state -- version 3\n",
    "a head without a newline": TWO.rstrip(),
    "a head of Windows": TWO.replace("\n", "\r\n"),
    "version 1": ONE + '/gone 2026-11-1\na.log 2026-11-20\n"/b" 2026-1-1\n',
    "version 2": TWO + '"a.log" 2026-11-20-3:4:5\n"/gone" 2026-10-1-0:0:0\n"/gone2" 2020-11-1-0:0:0\n',
    "no time of day": TWO + '"a.log" 2026-11-20\n',
    "no quotes": TWO + "a.log 2026-11-20-1:2:3\n",
    "three words": TWO + '"a.log" 2026-11-20-1:2:3 x\n',
    "one word": TWO + '"a.log"\n',
    "no date, and a line after it": TWO + '"a.log" foo\n"/b" 2026-11-20-1:2:3\n',
    "a line before what is wrong": TWO + '"/b" 2026-11-20-1:2:3\nfoo\n',
    "an open quote": TWO + '"a.log 2026-11-20-1:2:3\n',
    "empty lines": TWO + '\n\n"a.log" 2026-11-20-1:2:3\n\n',
    "space around": TWO + '  "a.log"   2026-11-20-1:2:3  \n',
    "no last newline": TWO + '"a.log" 2026-11-20-1:2:3',
    "a NUL in a line": TWO + '"a\0.log" 2026-11-20-1:2:3\n',
    "a NUL in front": TWO + '"a.log" 2026-11-20-1:2:3\n\0\n',
    "a line too long": TWO + '"' + "x" * 8190 + '" 2026-11-20-1:2:3\n',
    "a line just not too long": TWO + '"' + "x" * 8100 + '" 2026-11-20-1:2:3\n',
    "a comment": TWO + "# c\n",
    "an empty name": TWO + '"" 2026-11-20-1:2:3\n',
    "the date at the quote": TWO + '"a.log"2026-11-20-1:2:3\n',
    "the date in quotes": TWO + '"a.log" "2026-11-20-1:2:3"\n',
    "a backslash at the end": TWO + '"a.log" 2026-11-20-1:2:3\\\n',
    "names with all that is quoted": TWO
    + '"/a b" 2026-11-20-1:2:3\n"/q\\"r" 2026-11-20-1:2:3\n"/back\\\\s" 2026-11-20-1:2:3\n'
    + '"/new\\nl" 2026-11-20-1:2:3\n'
    + "/x\\ y 2026-11-20-1:2:3\n'/sq' 2026-11-20-1:2:3\n\"/\\e\" 2026-11-20-1:2:3\n",
    "twice the same": TWO + '"a.log" 2025-12-1-0:0:0\n"a.log" 2026-11-20-0:0:0\n',
}
DATES = [
    *(
        "2026-13-20-1:2:3",
        "2026-0-20-1:2:3",
        "2026-1-32-1:2:3",
        "2026-1-0-1:2:3",
        "2026-2-31-1:2:3",
        "1899-1-1-0:0:0",
    ),
    *("1900-1-1-0:0:0", "9999-1-1-0:0:0", "2200-1-1-0:0:0", "2100-1-1-0:0:0", "2101-1-1-0:0:0", "2026-1-1-24:0:0"),
    *(
        "2026-1-1-0:60:0",
        "2026-1-1-0:0:60",
        "2026-1-1-",
        "2026-1-1-1",
        "2026-1-1-1:2",
        "-1-1-1",
        "2026-1",
        "2026/1/1",
    ),
    *("2026-01-01-01:01:01", "2026-1-1-0:0:0x", "+2026-+1-+1", "2026- 1- 1", "2026--1-1", "2026-1-1-x", "2026-1-1x"),
]
STATES |= {f"the date {date}": f'{TWO}"a.log" {date}\n' for date in DATES}


def state_of(path: Path, text: str | bytes | None = None) -> tuple[State, Listener]:
    """A state, read from the file, with a text put there first, and what was said."""
    if text is not None:
        path.write_bytes(text.encode() if isinstance(text, str) else text)
    voice = Listener()
    state = State(str(path), voice)
    state.read()
    return state, voice


def with_state(content: str, then: Callable[[Path], None] = lambda folder: None) -> Callable[[Path], None]:
    """What prepares a folder: a log, a configuration, a state file of the usual mode, and more."""

    def prepare(folder: Path) -> None:
        (folder / "a.log").touch()
        (folder / "c").write_text(CONFIGURATION)
        (folder / "c").chmod(0o644)
        (folder / "st").write_bytes(content.encode())
        (folder / "st").chmod(0o640)
        then(folder)

    return prepare


def seen(folder: Path) -> dict[str, object]:
    """Each file's kind, mode, owners and, of the state file, what is in it."""
    found: dict[str, object] = {}
    for path in sorted(folder.iterdir()):
        status = path.lstat()
        found[path.name] = (oct(status.st_mode), status.st_uid, status.st_gid)
    if (folder / "st").is_file():
        found["content"] = (folder / "st").read_bytes()
    return found


@given(st.dictionaries(NAMES, st.integers(86400, 4_000_000_000), max_size=5))
def test_what_is_written_is_read_again(tmp_path_factory: pytest.TempPathFactory, times: dict[str, int]) -> None:
    """Names of any kind, as far as a line goes."""
    path = tmp_path_factory.mktemp("state") / "st"
    state, _ = state_of(path)
    for name, seconds in times.items():
        state.rotated(name, moment.at(seconds))
    assert state.write(moment.at(86400))
    again, voice = state_of(path)
    assert "error" not in voice.said.replace("".join(times), "")
    for name, seconds in times.items():
        last = again.last(name)
        assert last is not None and str(last) == str(moment.at(seconds))


@given(st.one_of(st.binary(max_size=200), st.text(max_size=60).map(lambda text: (TWO + text).encode())))
def test_no_content_does_more_than_be_told_of(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    """Whatever is there, it is a state, or an error is said."""
    path = tmp_path_factory.mktemp("state") / "st"
    path.write_bytes(content)
    voice = Listener()
    state = State(str(path), voice)
    assert state.read() is not ("error: " in voice.said)


@pytest.mark.root
def test_states_are_read_as_by_the_real_one(tmp_path: Path) -> None:
    """Messages, exit codes, and what is written then."""
    require_root()
    for number, (title, content) in enumerate(STATES.items()):
        real, ours = both(tmp_path / str(number), LOUD, with_state(content))
        assert ours == real, title
        assert seen(tmp_path / str(number) / "two") == seen(tmp_path / str(number) / "one"), title


@pytest.mark.root
def test_the_file_of_many_logs_is_the_same(tmp_path: Path) -> None:
    """Its order, too."""
    require_root()
    names = [f"/var/log/{number * 7919}/é{number}.log" for number in range(300)]
    content = TWO + "".join(f'"{name}" 2026-11-20-1:2:3\n' for name in names)
    real, ours = both(tmp_path, SHORT, with_state(content))
    assert ours == real
    assert (tmp_path / "two/st").read_bytes() == (tmp_path / "one/st").read_bytes()


PREPARED: dict[str, Callable[[Path], None]] = {
    "mode 0600": lambda folder: (folder / "st").chmod(0o600),
    "mode 0644": lambda folder: (folder / "st").chmod(0o644),
    "mode 0666": lambda folder: (folder / "st").chmod(0o666),
    "mode 0400": lambda folder: (folder / "st").chmod(0o400),
    "another owner": lambda folder: os.chown(folder / "st", 65534, 4),
    "an access list": lambda folder: access_list(folder / "st"),
    "missing": lambda folder: (folder / "st").unlink(),
    "a link": lambda folder: (folder / "st").rename(folder / "real").with_name("st").symlink_to("real"),
    "a link to nothing": lambda folder: ((folder / "st").unlink(), (folder / "st").symlink_to("no"))[1],
    "a folder": lambda folder: ((folder / "st").unlink(), (folder / "st").mkdir())[1],
    "an old temporary file": lambda folder: (folder / "st.tmp").touch(),
    "a folder as temporary file": lambda folder: (folder / "st.tmp").mkdir(),
    "a mistake in the configuration": lambda folder: (folder / "c").write_text("rotate x\n") and None,
}


def access_list(path: Path) -> None:
    """Let one more user read."""
    subprocess.run([require_program("setfacl"), "-m", "u:daemon:r", path], check=True)


@pytest.mark.root
@pytest.mark.parametrize("title", PREPARED)
def test_files_of_any_kind_are_kept_as_by_the_real_one(title: str, tmp_path: Path) -> None:
    """Mode, owners, access list, links, and what stands in the way."""
    require_root()
    real, ours = both(tmp_path, LOUD, with_state(TWO + '"a.log" 2026-11-20-1:2:3\n', PREPARED[title]))
    assert ours == real
    assert seen(tmp_path / "two") == seen(tmp_path / "one")
    if title == "an access list":
        lists = [os.getxattr(tmp_path / name / "st", "system.posix_acl_access") for name in ("one", "two")]
        assert lists[0] == lists[1]


@pytest.mark.root
@pytest.mark.parametrize(
    "arguments",
    [
        ("-d", "-s", "st"),
        ("-d", "-s", "no/st"),
        ("-v", "-s", "no/st"),
        ("-v", "-s", "/dev/null"),
        ("-v", "-s", "/dev/full"),
        ("-v", "-s", "st", "--skip-state-lock"),
        ("-v", "-s", "new", "--skip-state-lock"),
        ("-v", "-s", "st", "--wait-for-state-lock"),
        ("-s", "st"),
    ],
    ids=" ".join,
)
def test_state_files_are_named_and_locked_as_by_the_real_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Ways to say where the state is, and whether it is locked."""
    require_root()
    real, ours = both(tmp_path, (*arguments, "c"), with_state(TWO))
    assert ours == real
    assert seen(tmp_path / "two") == seen(tmp_path / "one")


@pytest.mark.root
@pytest.mark.parametrize("arguments", [LOUD, SHORT, ("-d", *SHORT), ("--skip-state-lock", *LOUD)], ids=" ".join)
def test_a_lock_that_another_holds_is_told_as_by_the_real_one(arguments: tuple[str, ...], tmp_path: Path) -> None:
    """Exit code 3, unless nothing is locked."""
    require_root()
    held = []

    def hold(folder: Path) -> None:
        held.append(os.open(folder / "st", os.O_RDWR))
        fcntl.flock(held[-1], fcntl.LOCK_EX)

    real, ours = both(tmp_path, arguments, with_state(TWO, hold))
    for descriptor in held:
        os.close(descriptor)
    assert ours == real
    assert (ours.code == 3) is (arguments in (LOUD, SHORT))


def test_who_waited_locks_the_file_that_took_the_place_of_the_other(tmp_path: Path) -> None:
    """A run that ends replaces the file: a lock on the old one would keep nobody from rotating beside."""
    path = tmp_path / "status"
    path.touch(mode=0o640)

    class Replaced(Listener):
        def verbose(self, text: str) -> None:
            if text.startswith("waiting") and not (tmp_path / "old").exists():
                path.rename(tmp_path / "old")
                path.touch(mode=0o640)

    descriptor = lock(str(path), Replaced(), wait=True)
    assert descriptor is not None
    with pytest.raises(LockError, match="already locked"):
        lock(str(path), Listener())
    os.close(descriptor)


def test_the_lock_is_held_while_the_descriptor_is_open(tmp_path: Path) -> None:
    """And another comes in after that."""
    path = str(tmp_path / "st")
    descriptor = lock(path, Listener())
    assert descriptor is not None
    with pytest.raises(LockError, match="already locked"):
        lock(path, Listener())
    os.close(descriptor)
    again = lock(path, Listener())
    assert again is not None
    os.close(again)


def test_logs_are_forgotten_a_year_after_they_went(tmp_path: Path) -> None:
    """Those that are there stay, however old."""
    lines = ['"/there" 2024-1-1-0:0:0\n', '"/gone" 2025-11-22-8:41:18\n', '"/just" 2025-11-22-8:41:19\n']
    state, voice = state_of(tmp_path / "st", TWO + "".join(lines))
    state.used("/there")
    state.last("/gone")
    assert state.write(NOW)
    kept = (tmp_path / "st").read_text()
    assert sorted(kept.splitlines(keepends=True)[1:]) == sorted([lines[0], lines[2]])
    assert voice.said.endswith(
        "Removing /gone from state file, because it does not exist and has not been rotated for one year\n"
    )


def test_a_log_that_is_new_begins_at_this_hour(tmp_path: Path) -> None:
    """As the real one notes it."""
    state, _ = state_of(tmp_path / "st")
    assert state.last("/a") is None
    assert str(state.seen("/a", NOW)) == "2026-11-22 14:00"
    state.rotated("/b", NOW)
    assert state.write(NOW)
    assert (tmp_path / "st").read_text() == TWO + '"/a" 2026-11-22-14:0:0\n"/b" 2026-11-22-14:30:5\n'


def test_a_state_that_cannot_be_written_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A full disk costs nothing but a message."""
    state, voice = state_of(tmp_path / "st", TWO + '"/a" 2026-11-20-1:2:3\n')

    def full(descriptor: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    state.rotated("/a", NOW)
    assert not state.write(NOW)
    assert "No space left on device" in voice.said
    assert [path.name for path in tmp_path.iterdir()] == ["st"]
    assert (tmp_path / "st").read_text() == TWO + '"/a" 2026-11-20-1:2:3\n'
