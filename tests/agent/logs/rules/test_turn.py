"""Rotating by rules, with real files: what is rotated, when, and what is kept."""

from __future__ import annotations

import errno
import gzip
import lzma
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import zstandard

from agent.cli.main import main
from agent.config.log_rules import load_log_rules
from agent.config.logs import LogOptions
from agent.logs.rotate.hooks import Hooks
from agent.logs.rules import memory, place
from agent.logs.rules.memory import Memory
from agent.logs.rules.sections import owners_of
from agent.logs.rules.turn import Outcome, known_logs, turn
from kit.errors import HostwardError
from tests.require import require_root

DAY = 86400.0
NOON = time.time() // DAY * DAY + DAY / 2
"""Of today, since files are made today."""
Turn = Callable[..., list[Outcome]]
KILLED = """
import os, sys
from pathlib import Path
from agent.config.log_rules import load_log_rules
from agent.logs.rotate.apply import operations
from agent.logs.rules.turn import turn
step, top, now = sys.argv[1:]
setattr(operations, step, lambda *_, **__: os._exit(9))
turn(load_log_rules(Path(top, "agent.toml")), folder=Path(top, "state"), config=None, now=float(now))
"""
"""A turn that ends at a step, as by a kill."""


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with the log `web.log`, which holds a line."""
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    (folder / "web.log").write_text("first\n")
    return folder


@pytest.fixture
def rules(tmp_path: Path, logs: Path) -> Callable[[str], tuple[LogOptions, ...]]:
    """Rules of such text; LOGS stands for the folder, and a rule `web` of all its logs is begun already."""

    def load(text: str) -> tuple[LogOptions, ...]:
        head = '[[logs]]\nname = "web"\npaths = ["LOGS/*.log"]\ntimezone = "UTC"\n'
        (tmp_path / "agent.toml").write_text((head + text).replace("LOGS", str(logs)))
        return load_log_rules(tmp_path / "agent.toml")

    return load


@pytest.fixture
def take(tmp_path: Path) -> Turn:
    """Takes a turn with the state and the configuration in `tmp_path`."""

    def do(rules: tuple[LogOptions, ...], now: float, **more: Any) -> list[Outcome]:
        return turn(rules, folder=tmp_path / "state", config=tmp_path / "agent.toml", now=now, **more)

    return do


def names(folder: Path) -> list[str]:
    """What is in it."""
    return sorted(file.name for file in folder.iterdir())


def fill(log: Path, *, old: float | None = None) -> None:
    """Write a line, as somebody who opens it anew."""
    with log.open("a") as file:
        file.write("another\n")
    if old is not None:
        os.utime(log, (old, old))


@pytest.mark.parametrize("when", ['age = "10m"', 'every = "15m"'])
def test_a_log_that_is_new_begins_its_period_at_this_minute(
    logs: Path, rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, when: str
) -> None:
    """Not at the hour, as logrotate notes it: it would be due at the first look."""
    found = rules(when)
    assert take(found, NOON + 3300)[0].rotated == []
    assert take(found, NOON + 4201)[0].rotated == [str(logs / "web.log")]


def test_once_a_day(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """First it is only seen; then it is rotated once in each period, and once after several that were missed."""
    web = rules('compression = "none"')
    assert take(web, NOON)[0].rotated == []
    rotated = []
    for hours in (1, 11, 13, 14, 35, 37, 24 * 9, 24 * 9 + 1):
        fill(logs / "web.log")
        (outcome,) = take(web, NOON + hours * 3600)
        assert outcome.errors == []
        if outcome.rotated:
            rotated.append(hours)
            assert (logs / "web.log").read_bytes() == b""
    assert rotated == [13, 37, 216]
    texts = [file.read_text() for file in sorted(logs.glob("web.log-*"))]
    assert texts == ["first\n" + "another\n" * 3, "another\n" * 3, "another\n"]


@pytest.mark.parametrize(
    ("codec", "unpack"),
    [
        ("zstd", lambda data: zstandard.ZstdDecompressor().stream_reader(data).read()),
        ("gzip", gzip.decompress),
        ("xz", lzma.decompress),
    ],
)
def test_compression(
    codec: str,
    unpack: Callable[[bytes], bytes],
    rules: Callable[[str], tuple[LogOptions, ...]],
    take: Turn,
    logs: Path,
) -> None:
    """By our own hands, with the mode and the time of the log."""
    (logs / "web.log").chmod(0o640)
    os.utime(logs / "web.log", (NOON - 7, NOON - 7))
    web = rules(f'compression = "{codec}"\nsize = "1B"')
    (outcome,) = take(web, NOON)
    assert outcome.rotated == [str(logs / "web.log")]
    (old,) = [file for file in logs.iterdir() if file.name != "web.log"]
    assert unpack(old.read_bytes()) == b"first\n"
    assert (old.stat().st_mtime, old.stat().st_mode & 0o777) == (NOON - 7, 0o640)
    assert (logs / "web.log").stat().st_mode & 0o777 == 0o640


def test_names_by_number_and_a_folder(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """The newest is .1; with a delay it is compressed by the next rotation. The folder is made."""
    web = rules('size = "1B"\nnames = "number"\nfolder = "old"\ndelay = true\ncount = 3\nmode = "0600"')
    for number in range(5):
        fill(logs / "web.log")
        assert take(web, NOON + number)[0].errors == []
    assert names(logs) == ["old", "web.log"]
    assert names(logs / "old") == ["web.log.1", "web.log.2.zst", "web.log.3.zst"]
    assert (logs / "web.log").stat().st_mode & 0o777 == 0o600


def test_one_name_one_log(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """A log that would get the name of an old one waits for another moment, and nothing is lost."""
    web = rules('size = "1B"\ndate_format = "-%Y%m%d"')
    assert len(take(web, NOON)[0].rotated) == 1
    fill(logs / "web.log")
    (outcome,) = take(web, NOON + 60)
    assert (outcome.rotated, outcome.errors) == ([], [])
    assert "which has the name of this moment" in outcome.verdicts[f"{logs}/web.log"].reason
    assert (logs / "web.log").read_text() == "another\n"
    assert len(take(web, NOON + DAY)[0].rotated) == 1


def test_retention_needs_no_rotation(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """Old ones go when their time is over, though the log is empty; what is not of this log stays."""
    web = rules('class = "performance"')
    (logs / "web.log").write_text("")
    for name, days in (("20260101-000000.zst", 91), ("20260102-000000", 91), ("20260103-000000.gz", 89)):
        fill(logs / f"web.log-{name}", old=NOON - days * DAY)
    fill(logs / "web.log-notes", old=NOON - 999 * DAY)
    fill(logs / "other.log-20260101-000000", old=NOON - 999 * DAY)
    (outcome,) = take(web, NOON)
    assert outcome.rotated == []
    assert [Path(removal.old.path).name for removal in outcome.removed] == [
        "web.log-20260101-000000.zst",
        "web.log-20260102-000000",
    ]
    assert outcome.freed == 16
    left = ["other.log-20260101-000000", "web.log", "web.log-20260103-000000.gz", "web.log-notes"]
    assert names(logs) == left


def test_a_full_disk(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """A disk below `low_disk` rotates and compresses at once, delay or not; below `keep_free` the oldest go."""
    web = rules('size = "9TiB"\ndelay = true\nlow_disk = "900TiB"\nkeep_free = "900TiB"')
    (logs / "web.log").write_bytes(bytes(2**20))
    fill(logs / "web.log-20260103-000000", old=NOON - 5)
    assert take(web, NOON)[0].rotated == []  # first seen within the hour
    (outcome,) = take(web, NOON + 7200)
    assert outcome.rotated == [str(logs / "web.log")]
    assert [Path(removal.old.path).suffix for removal in outcome.removed] == [".zst"]
    assert names(logs) == ["web.log"]


def test_budget(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """The oldest old logs of all go while files and journal take more; logs themselves never."""
    web = rules('budget = "1kB"\nunits = ["web.service"]')
    (logs / "api.log").write_bytes(bytes(100))
    for number, log in enumerate(("web", "api", "web", "api")):
        file = logs / f"{log}.log-2026010{number}-000000"
        file.write_bytes(bytes(200))
        os.utime(file, (NOON - 99 + number, NOON - 99 + number))
    assert take(web, NOON)[0].removed == []
    (outcome,) = take(web, NOON, journal={"web": 300})
    assert [Path(removal.old.path).name for removal in outcome.removed] == [
        "web.log-20260100-000000",
        "api.log-20260101-000000",
    ]
    (outcome,) = take(web, NOON, journal={"web": 10**9})
    assert names(logs) == ["api.log", "web.log"]


def test_archived_before_removal(
    rules: Callable[[str], tuple[LogOptions, ...]],
    take: Turn,
    logs: Path,
    tmp_path: Path,
    job: str,
    make_repository: Callable[[Path], None],
    capfd: pytest.CaptureFixture[str],
) -> None:
    """What goes is in the repository before, as it was; while there is no repository it stays."""
    web = rules('class = "audit"\ncount = 1\narchive = "old"\n' + job)
    for day in (1, 2):
        (logs / f"web.log-2026010{day}-000000").write_text(f"audit {day}\n")
        os.utime(logs / f"web.log-2026010{day}-000000", (NOON + day, NOON + day))
    (outcome,) = take(web, NOON)
    assert outcome.removed == []
    assert outcome.errors[0].startswith("the backup job old: ")
    assert len(names(logs)) == 3
    at = ["--job", "old", "--config", str(tmp_path / "agent.toml")]
    make_repository(tmp_path / "agent.toml")
    (outcome,) = take(web, NOON)
    assert outcome.errors == []
    assert [Path(removal.old.path).name for removal in outcome.removed] == ["web.log-20260101-000000"]
    capfd.readouterr()
    assert main(["backup", "dump", *at, "latest", str(logs / "web.log-20260101-000000")]) == 0
    assert capfd.readouterr().out == "audit 1\n"
    assert take(web, NOON)[0].removed == []


def test_one_log_in_trouble_keeps_no_other(
    rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path
) -> None:
    """What is not rotated is told; links are no logs where a pattern means them."""
    (logs / "hard.log").write_text("x\n")
    os.link(logs / "hard.log", logs / "other-name")
    (logs / "soft.log").symlink_to("/etc/passwd")
    (logs / "open").mkdir()
    (logs / "open").chmod(0o777)
    (logs / "open" / "own.log").write_text("x\n")
    web = rules(
        'size = "1B"\n[[logs]]\nname = "more"\nsize = "1B"\n'
        'paths = ["LOGS/soft.log", "LOGS/open/own.log", "LOGS/none"]'
    )
    first, second = take(web, NOON)
    assert first.rotated == [str(logs / "web.log")]
    assert first.errors == [f"{logs}/hard.log is not rotated: it has 2 names (hard links)"]
    assert second.rotated == ([] if os.geteuid() == 0 else [str(logs / "open" / "own.log")])
    assert second.errors[0] == f"{logs}/soft.log is not rotated: it is a symbolic link"
    if os.geteuid() == 0:
        assert second.errors[1].startswith(f"{logs}/open/own.log is not rotated: others than root may write")


def test_a_log_of_two_rules(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """The first has it, and says what is kept; the second says so, also where it is asked alone."""
    both = rules('size = "1B"\n[[logs]]\nname = "again"\nsize = "1B"\ncount = 0\npaths = ["LOGS/web.log"]')
    (alone,) = take(both[1:], NOON, owners=owners_of(both))
    assert (alone.rotated, len(alone.errors)) == ([], 1)
    first, second = take(both, NOON)
    assert first.rotated == [f"{logs}/web.log"]
    assert second.rotated == []
    assert second.errors == [f"{logs}/web.log is rotated by the rule web already"]
    assert second.removed == []
    assert len(names(logs)) == 2


def test_programs_around(
    rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path, tmp_path: Path
) -> None:
    """`before` and `then` run once for all logs, without a shell; where `before` fails nothing is rotated."""
    (logs / "api.log").write_text("x\n")
    done = tmp_path / "done"
    web = rules(
        f'size = "1B"\nbefore = ["/bin/sh", "-c", "echo before $# >> {done}; test ! -e {tmp_path}/no"]\n'
        f'then = {{ command = ["/bin/sh", "-c", "echo then $# >> {done}"] }}'
    )
    assert len(take(web, NOON)[0].rotated) == 2
    assert done.read_text() == "before 0\nthen 0\n"
    take(web, NOON + 1)
    assert done.read_text() == "before 0\nthen 0\n"
    (tmp_path / "no").touch()
    fill(logs / "web.log")
    (outcome,) = take(web, NOON + 2)
    assert outcome.rotated == []
    assert outcome.errors
    assert (logs / "web.log").read_text() == "another\n"


def test_what_is_asked_for(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """`force` rotates what is not due; `only` leaves the others alone, but their retention."""
    (logs / "api.log").write_text("x\n")
    web = rules('compression = "none"')
    (outcome,) = take(web, NOON, force=[f"{logs}/api.log"])
    assert outcome.rotated == [f"{logs}/api.log"]
    fill(logs / "api.log")
    fill(logs / "web.log-20200101-000000", old=NOON - 99 * DAY)
    (outcome,) = take(web, NOON + DAY, only=[f"{logs}/api.log"], force=known_logs(web))
    assert outcome.rotated == [f"{logs}/api.log"]
    assert len(outcome.removed) == 1
    assert (logs / "web.log").read_text() == "first\n"


def test_compression_can_be_left_for_later(
    rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path
) -> None:
    """By who rotates, or by who says that a log is still read; the next rotation does it."""

    class Read(Hooks):
        def may_compress(self, path: str, device: int, inode: int) -> bool:
            return False

    web = rules('size = "1B"')
    take(web, NOON, compress=False)
    assert [file.suffix for file in logs.glob("web.log-*")] == [
        f".log-{file.name[8:]}" for file in logs.glob("web.log-*")
    ]
    fill(logs / "web.log")
    take(web, NOON + 1, hooks=Read())
    assert not list(logs.glob("*.zst"))
    fill(logs / "web.log")
    assert take(web, NOON + 2)[0].errors == []
    assert len(list(logs.glob("*.zst"))) == 3


def test_what_is_about_to_be_compressed_is_not_removed_for_room(
    rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path
) -> None:
    """Whoever compresses makes room by that; after some minutes nobody waits for it any more."""
    web = rules('size = "1B"\nkeep_free = "900TiB"\nbudget = "1B"')
    now = time.time()
    (outcome,) = take(web, now, compress=False)
    assert (len(outcome.rotated), outcome.removed) == (1, [])
    (outcome,) = take(web, now + 301, compress=False)
    assert len(outcome.removed) == 1


def test_a_damaged_state(
    rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path, tmp_path: Path
) -> None:
    """Nothing is done, since every log would begin its period anew."""
    (tmp_path / "state").mkdir()
    (tmp_path / "state" / place.STATE).write_text("what?\n")
    with pytest.raises(
        HostwardError, match=r"bad top line in state file .*status; without this file every log begins"
    ):
        take(rules('size = "1B"'), NOON)
    assert (logs / "web.log").read_text() == "first\n"


def test_a_user_that_there_is_not(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """Its rule rotates nothing and says so; the others go on."""
    (logs / "more").write_text("x\n")
    both = rules('owner = "nobody-at-all"\n[[logs]]\nname = "more"\nsize = "1B"\npaths = ["LOGS/more"]')
    first, second = take(both, NOON)
    assert first.errors == ["there is no user nobody-at-all"]
    assert second.rotated == [f"{logs}/more"]


def test_growth(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path, tmp_path: Path) -> None:
    """Turns remember how fast a log grows, over rotations; what no rule has any more is forgotten."""
    web = rules('size = "1MiB"')
    for hours in range(48):
        with (logs / "web.log").open("ab") as log:
            log.write(bytes(100_000))
        assert take(web, NOON + hours * 3600)[0].errors == []
    look = Memory(tmp_path / "state").look(f"{logs}/web.log")
    assert look is not None
    assert look.per_day is not None
    assert 2_300_000 < look.per_day < 2_500_000
    (logs / "web.log").unlink()
    take(web, NOON)
    assert Memory(tmp_path / "state").look(f"{logs}/web.log") is None


def test_two_at_once(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """The second waits for the first, and then finds nothing due."""
    web = rules('daily = "00:00"\ncompression = "none"')
    take(web, NOON)
    outcomes: list[Outcome] = []
    threads = [threading.Thread(target=lambda: outcomes.extend(take(web, NOON + DAY))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(len(outcome.rotated) for outcome in outcomes) == [0, 0, 0, 1]
    assert len(list(logs.glob("web.log-*"))) == 1


def test_copytruncate(rules: Callable[[str], tuple[LogOptions, ...]], take: Turn, logs: Path) -> None:
    """A writer that keeps the log open goes on in it."""
    with (logs / "web.log").open("ab", buffering=0) as writer:
        web = rules('size = "1B"\ncopytruncate = true\ncompression = "none"')
        (outcome,) = take(web, NOON)
        assert outcome.rotated == [f"{logs}/web.log"]
        writer.write(b"after\n")
    (old,) = logs.glob("web.log-*")
    assert old.read_bytes() == b"first\n"
    assert (logs / "web.log").read_bytes() == b"after\n"


@pytest.mark.parametrize("step", ["rename", "create", "unlink", "write"])
def test_a_killed_turn_is_finished(
    step: str,
    rules: Callable[[str], tuple[LogOptions, ...]],
    take: Turn,
    logs: Path,
    tmp_path: Path,
) -> None:
    """By the next one: no line is lost or doubled, the log is rotated once, and whoever writes is told."""
    done = tmp_path / "done"
    web = rules(f'size = "1B"\nthen = {{ command = ["/bin/sh", "-c", "echo then >> {done}"] }}')

    argv = [sys.executable, "-c", KILLED, step, str(tmp_path), str(NOON)]
    assert subprocess.run(argv, check=False).returncode == 9
    (outcome,) = take(web, NOON + 1)
    assert outcome.errors == []
    (old,) = logs.glob("web.log-*")
    assert zstandard.ZstdDecompressor().stream_reader(old.read_bytes()).read() == b"first\n"
    assert names(logs) == ["web.log", old.name]
    assert (logs / "web.log").read_bytes() == b""
    assert done.read_text() == "then\n"
    assert names(tmp_path / "state") == ["growth.json", "lock", "status"]
    assert take(web, NOON + 2)[0].rotated == []


@pytest.fixture
def anybodys() -> Iterator[Path]:
    """A folder that everybody may write to, in folders that everybody may pass."""
    with tempfile.TemporaryDirectory() as top:
        Path(top).chmod(0o755)
        folder = Path(top, "logs")
        folder.mkdir()
        folder.chmod(0o777)
        yield folder


def test_as_another_user(take: Turn, anybodys: Path, tmp_path: Path) -> None:
    """In a folder of another user that user rotates, compresses and removes; programs are still root's."""
    require_root()
    log, done = anybodys / "web.log", tmp_path / "done"
    log.touch()
    for path in (anybodys, log):
        os.chown(path, 65534, 65534)
    (tmp_path / "agent.toml").write_text(
        f'[[logs]]\nname = "web"\npaths = ["{log}"]\nsize = "1B"\nsu = "65534:65534"\ncount = 1\nfolder = "old"\n'
        f'then = {{ command = ["/bin/sh", "-c", "id -u > {done}"] }}\n'
    )
    for number in range(2):
        fill(log)
        (outcome,) = take(load_log_rules(tmp_path / "agent.toml"), NOON + number)
        assert outcome.errors == []
    assert len(outcome.removed) == 1
    (old,) = (anybodys / "old").iterdir()
    for path in (log, old, old.parent):
        assert (path.stat().st_uid, path.stat().st_gid) == (65534, 65534)
    assert done.read_text() == "0\n"
    assert (os.geteuid(), os.getegid()) == (0, 0)


def test_a_full_disk_keeps_nothing_from_being_told(
    take: Turn, rules: Callable[[str], tuple[LogOptions, ...]], logs: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That the growth of logs cannot be written down is an error, and no more than that."""

    def full(*_: object, **__: object) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(memory, "write_durably", full)
    (outcome,) = take(rules('size = "1B"'), NOON)
    assert outcome.rotated == [f"{logs}/web.log"]
    assert outcome.errors == ["how fast logs grow is not kept: No space left on device"]
