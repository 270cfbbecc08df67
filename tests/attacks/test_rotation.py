"""Somebody who may write where logs lie, while root rotates them: nothing but their own files ever changes."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import stat
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.attacks import swaps
from tests.attacks.swaps import plant
from tests.faults.logs.ground import Place, Way, lines
from tests.faults.logs.lives import MEANWHILE
from tests.faults.logs.trial import Trials

OTHER = 12345
"""A user who is not root."""
SECRET = b"root's own, and nobody else's\n"

WAYS = {
    "rename": Way("create\ncompress\n", older=()),
    "delay": Way("create\ncompress\ndelaycompress\n", older=("app.log.1",)),
    "truncate": Way("copytruncate\ncompress\n", older=()),
    "copy": Way("copy\n", older=()),
    "aside": Way("renamecopy\ncreate\n", older=()),
    "shred": Way("shred\nrotate 1\ncreate\n", older=("app.log.1",)),
    "dates": Way("dateext\nmaxage 5\ncreate\ncompress\n", older=("app.log-20231001.gz",), old_days=90),
    "script": Way('create\ncompress\npostrotate\nprintf "%s|" "$1" "$2" >> {top}/ran\nendscript\n', older=()),
    "olddir": Way("olddir old\ncreate\n", older=(), olddir="{top}/logs/old"),
}


@pytest.fixture(scope="module")
def attacked(trials: Trials) -> Iterator[Trials]:
    """Folders of logs that can be attacked."""
    yield trials.of(WAYS)


class Victim:
    """What must not change."""

    def __init__(self, folder: Path) -> None:
        self.path = folder / "victim"
        self.path.write_bytes(SECRET)
        self.path.chmod(0o600)
        self._before = self._seen()

    def _seen(self) -> tuple[object, ...]:
        status = self.path.lstat()
        return self.path.read_bytes(), status.st_mode, status.st_uid, status.st_gid, status.st_mtime_ns, status.st_ino

    def is_safe(self) -> bool:
        """It is as it was, and what is in it stands nowhere else."""
        there = self._seen() == self._before
        copies = [path for path in self.path.parent.rglob("*") if path != self.path and _holds(path, SECRET)]
        return there and not copies


def _holds(path: Path, content: bytes) -> bool:
    if not stat.S_ISREG(path.lstat().st_mode):
        return False
    found = path.read_bytes()
    return content in (gzip.decompress(found) if path.suffix == ".gz" else found)


# What is there beforehand


@pytest.mark.parametrize("way", ["rename", "truncate", "copy", "aside"])
@pytest.mark.parametrize("kind", ["symlink", "hard link"])
def test_a_log_that_is_a_link_is_left(attacked: Trials, way: str, kind: str) -> None:
    """With what it leads to."""
    with attacked.trial(way) as trial:
        victim, log = Victim(trial.place.top), trial.place.logs / "app.log"
        log.unlink()
        log.symlink_to(victim.path) if kind == "symlink" else log.hardlink_to(victim.path)
        trial.run()
        names = [path.name for path in trial.place.logs.iterdir()]
        assert names == ["app.log"]
        assert victim.path.read_bytes() == SECRET and victim.path.stat().st_mode == stat.S_IFREG | 0o600


@pytest.mark.parametrize(("way", "mode"), list(zip(WAYS, itertools.cycle([0o777, 0o775, 0o1777]), strict=False)))
def test_a_folder_that_others_can_write_to_is_refused(attacked: Trials, way: str, mode: int) -> None:
    """Unless `su` says as whom to rotate there."""
    with attacked.trial(way) as trial:
        before = trial.place.tree()
        os.chown(trial.place.logs, 0, OTHER)
        trial.place.logs.chmod(mode)
        outcome = trial.run()
        assert outcome.code == 1 and "insecure permissions" in outcome.said
        assert trial.place.tree() == before


@pytest.mark.parametrize("way", WAYS)
@pytest.mark.parametrize("kind", ["symlink", "dangling", "hard link", "FIFO", "folder", "device"])
def test_what_is_planted_under_names_to_come_leads_nowhere(attacked: Trials, way: str, kind: str) -> None:
    """Neither names of older ones nor those of what is being made: nothing is written through them, nothing hangs."""
    with attacked.trial(way) as trial:
        place, clean = trial.place, attacked.clean(way)
        victim = Victim(place.top)
        before = place.counted()
        names = (
            {path.name for path in clean.place.files()}
            | {name for name in clean.made if "/" not in name}
            | {"app.log.tmp"}
        )
        for name in names - {path.name for path in place.files()}:
            plant(place.old / name, kind, victim.path)
        outcome = trial.run()
        assert outcome.code in (0, 1) and "Traceback" not in outcome.said, outcome
        assert victim.path.read_bytes() == SECRET
        assert victim.path.stat().st_mode == stat.S_IFREG | 0o600
        assert not (place.top / "nowhere").exists()
        lost = [line for line in clean.place.counted() if line in before and line not in seen(place)]
        assert not lost, outcome.said


def seen(place: Place) -> set[bytes]:
    """All lines in regular files, however they are named."""
    found: set[bytes] = set()
    for path in place.top.rglob("*"):
        if stat.S_ISREG(path.lstat().st_mode):
            content = path.read_bytes()
            found.update((gzip.decompress(content) if content[:2] == b"\x1f\x8b" else content).splitlines())
    return found


@pytest.mark.parametrize("way", ["rename", "truncate", "copy", "aside"])
@pytest.mark.parametrize("kind", ["FIFO", "device", "folder", "socket"])
def test_a_log_that_is_no_file_hangs_nothing(attacked: Trials, way: str, kind: str) -> None:
    """Nobody writes to the FIFO, and the device never ends."""
    with attacked.trial(way) as trial:
        log = trial.place.logs / "app.log"
        log.unlink()
        plant(log, kind, log) if kind != "socket" else os.mknod(log, stat.S_IFSOCK | 0o666)
        outcome = trial.run()
        assert outcome.code in (0, 1) and "Traceback" not in outcome.said, outcome


# What happens meanwhile


def changes(attacked: Trials, way: str) -> list[int]:
    """The numbers of the calls that change logs, and not the state."""
    calls = enumerate(attacked.clean(way).calls, 1)
    return [number for number, name in calls if not name.startswith("state ")]


@pytest.mark.parametrize("way", ["rename", "delay", "truncate", "copy", "aside", "shred", "dates", "olddir"])
def test_a_log_that_is_swapped_meanwhile(attacked: Trials, way: str) -> None:
    """At each change: root touches no file but the logs that it looked at."""
    kinds = itertools.cycle(["symlink", "hard link", "FIFO", "folder", "vanish", "symlink", "hard link"])
    for number in changes(attacked, way):
        kind = next(kinds)
        with attacked.trial(way) as trial:
            victim = Victim(trial.place.top)
            text = f"{trial.place.logs}/app.log|{kind}|{victim.path}"
            outcome = trial.run((number, f"{MEANWHILE}{swaps.__name__}:swap {text}"))
            assert outcome.code in (0, 1) and "Traceback" not in outcome.said, outcome
            assert victim.path.read_bytes() == SECRET, (number, outcome)
            assert victim.path.stat().st_mode == stat.S_IFREG | 0o600, (number, outcome)
            assert victim.path.stat().st_uid == 0
            if kind != "hard link":
                assert victim.is_safe(), (number, outcome)


@pytest.mark.parametrize("way", ["rename", "delay", "truncate", "copy", "aside", "shred", "dates"])
def test_a_folder_that_is_swapped_meanwhile(attacked: Trials, way: str) -> None:
    """It is the folder that was read in which everything happens, whatever has its name by now."""
    for number in changes(attacked, way)[1::3]:
        with attacked.trial(way) as trial:
            place = trial.place
            other = place.top / "others"
            other.mkdir()
            for name in ("app.log", "app.log.1", "app.log.1.gz", "app.log.2"):
                (other / name).write_bytes(SECRET)
            before = {path.name: path.read_bytes() for path in other.iterdir()}
            outcome = trial.run((number, f"{MEANWHILE}{swaps.__name__}:swap {place.logs}|folder|{other}"))
            assert outcome.code in (0, 1) and "Traceback" not in outcome.said, outcome
            assert {path.name: path.read_bytes() for path in other.iterdir()} == before, (number, outcome)


# Journal, state, configuration


@pytest.mark.parametrize("which", ["status", "status.journal"])
@pytest.mark.parametrize("kind", ["symlink", "hard link", "FIFO", "folder", "theirs"])
def test_a_state_or_journal_that_was_planted(attacked: Trials, which: str, kind: str) -> None:
    """What another user wrote is not obeyed, and nothing is written through links."""
    with attacked.trial("rename") as trial:
        place = trial.place
        victim, path = Victim(place.top), place.state.with_name(which)
        path.unlink(missing_ok=True)
        if kind == "theirs":
            path.write_bytes(b'["begin", "/etc"]\n' + SECRET)
            os.chown(path, OTHER, OTHER)
            path.chmod(0o666)
        else:
            plant(path, kind, victim.path)
        outcome = trial.run()
        assert outcome.code in (0, 1, 3) and "Traceback" not in outcome.said, outcome
        assert victim.path.read_bytes() == SECRET
        assert {lines(0, 1).strip()} <= seen(place)


def test_a_journal_of_another_user_does_nothing(attacked: Trials) -> None:
    """A real one, of a run that was killed, that now names other files."""
    with attacked.trial("rename") as trial:
        place = trial.place
        victim = Victim(place.top)
        trial.run(("rename", "killed before"))
        journal = place.state.with_name("status.journal")
        forged = journal.read_text().replace("app.log", "app.bad")
        (place.logs / "app.bad").hardlink_to(victim.path)
        shutil.copy(place.logs / "app.log", place.logs / "app.kept")
        journal.write_text(forged)
        os.chown(journal, OTHER, OTHER)
        outcome = trial.run()
        assert outcome.code == 1, outcome
        assert "journal" in outcome.said
        assert victim.path.read_bytes() == SECRET
        assert (place.logs / "app.bad").samefile(victim.path)


@pytest.mark.parametrize(("mode", "owner"), [(0o666, 0), (0o664, 0), (0o644, OTHER)])
def test_a_configuration_that_others_can_write_is_refused(attacked: Trials, mode: int, owner: int) -> None:
    """Its scripts would run as root."""
    with attacked.trial("script") as trial:
        place = trial.place
        before = place.tree()
        place.conf.chmod(mode)
        os.chown(place.conf, owner, OTHER)
        assert trial.run().code == 1
        assert place.tree() == before and not place.ran()


# Names

NAMES = [
    "-rf.log", "--help.log", "a b.log", "a'b.log", 'a"b.log', "$(touch nowhere).log", "a;b.log", "`id`.log", "*.log",
    "a\\b.log", "ü.log", "\x7f.log", "a%sb.log", "~.log", "|cat.log", "\udcff.log",
]  # fmt: skip


@pytest.mark.parametrize("name", NAMES)
def test_a_name_is_nothing_but_a_name(attacked: Trials, name: str) -> None:
    """To the compressor, the scripts and their shell."""
    with attacked.trial("script") as trial:
        place = trial.place
        (place.logs / "app.log").rename(place.logs / name)
        place.configure(f"{place.logs}/[!.]*.log")
        outcome = trial.run(words=("-f",))
        assert outcome.code == 0, outcome.said
        packed = place.logs / f"{name}.1.gz"
        assert gzip.decompress(packed.read_bytes()) == lines(0, 100)
        assert {path.name for path in place.logs.iterdir()} == {name, packed.name}
        said = (place.top / "ran").read_bytes()
        path = os.fsencode(place.logs / name)
        assert said == path + b"|" + path + b".1|"
        assert not list(place.top.rglob("nowhere*"))
