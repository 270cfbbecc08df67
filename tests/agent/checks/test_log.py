"""Patterns in logs: files that a real logrotate rotates, and a real journal read by the real journalctl."""

from __future__ import annotations

import os
import subprocess
import time
from pathlib import Path
from typing import Any

import msgspec
import pytest

from agent.checks.contract import Check, CheckError, Context, Sample, Threshold
from agent.checks.log import Journal, Log, LogOptions, Pattern
from agent.checks.runner import Plan, judge
from agent.paths import System
from kit.units import Duration, Size
from tests.agent.checks.journals import BEGAN, write_journal
from tests.agent.checks.tree import NOW, said, values
from tests.require import require_program

FAILED = Pattern(name="failed", match=r"Failed password for .* from (?P<address>[0-9a-f.:]+)", top=2)


def of_files(*files: Path, patterns: tuple[Pattern, ...] = (FAILED,), **options: Any) -> Log:
    return Log(LogOptions(type="log", files=tuple(map(str, files)), patterns=patterns, **options))


def collect(
    check: Check[Any], system: System | None = None, *, after: Sample | None = None, elapsed: float | None = 10
) -> Sample:
    """As tree.collect, with the real time: files have it too."""
    if after is None:
        return check.collect(Context(system=system or System(), now=time.time()))
    previous = msgspec.msgpack.decode(msgspec.msgpack.encode(after.memory))
    return check.collect(Context(system=System(), now=time.time(), previous=previous, elapsed=elapsed))


def failed(*addresses: str) -> str:
    return "".join(f"sshd[1]: Failed password for root from {address} port 22 ssh2\n" for address in addresses)


def add(file: Path, text: str | bytes) -> None:
    with file.open("ab") as log:
        log.write(text if isinstance(text, bytes) else text.encode())


@pytest.fixture
def log(tmp_path: Path) -> Path:
    file = tmp_path / "auth.log"
    file.write_text(failed("9.9.9.9"))
    return file


def test_what_was_there_before_is_history_and_what_comes_is_counted(log: Path) -> None:
    """By pattern, and by the words of its named groups, of which the most frequent are told apart."""
    first = collect(of_files(log))
    assert values(first)["log_matches failed"] == 0
    assert first.summary == "no match in 5m; 1 file"
    add(log, failed("1.1.1.1", "1.1.1.1", "2.2.2.2", "2.2.2.2", "2.2.2.2", "3.3.3.3", "4.4.4.4") + "else\n")
    second = collect(of_files(log), after=first)
    assert values(second) == {
        "log_files": 1,
        "log_behind_bytes": 0,
        "log_lost_bytes_total": 0,
        "log_losses_total": 0,
        "log_matches failed": 7,
        "log_matches_per_second failed": 7 / 300,
        "log_matches_total failed": 7,
        "log_group_matches failed 2.2.2.2": 3,
        "log_group_matches failed 1.1.1.1": 2,
        "log_group_matches failed other": 2,
        "log_lines_total": 8,
    }
    assert second.summary == "failed 7 in 5m"


def test_matches_leave_the_window_and_stay_in_the_total(log: Path) -> None:
    """The window moves by the clock that nobody sets, and over a boot by the other one."""
    sample = collect(of_files(log))
    add(log, failed("1.1.1.1"))
    sample = collect(of_files(log), after=sample)
    sample = collect(of_files(log), after=sample, elapsed=299)
    assert values(sample)["log_matches failed"] == 1
    sample = collect(of_files(log), after=sample, elapsed=1)
    assert values(sample)["log_matches failed"] == 0
    assert "log_group_matches failed 1.1.1.1" not in values(sample)
    assert values(sample)["log_matches_total failed"] == 1


def test_a_pattern_is_judged_by_its_own_bounds(log: Path) -> None:
    """All its matches, and those with the same words."""
    patterns = (
        Pattern(name="all", match="password", count=Threshold(warning=3)),
        Pattern(name="guess", match="from (?P<address>[0-9.]+)", each=Threshold(warning=2, critical=3)),
        Pattern(name="never", match="out of memory", count=Threshold(warning=1)),
    )
    check = of_files(log, patterns=patterns)
    first = collect(check)
    add(log, failed("1.1.1.1", "2.2.2.2", "2.2.2.2", "2.2.2.2"))
    judged = judge(
        Plan("ssh", "log", check, check.options), collect(check, after=first), None, now=NOW, ticks=1, duration=0
    )
    assert judged.state.state == "critical"
    assert judged.state.message == ("guess: 3 in 5m with 2.2.2.2, critical from 3; all: 4 in 5m, warning from 3")


def test_groups_without_a_name_are_no_words(log: Path) -> None:
    """Matches that differ in those alone are counted together."""
    pattern = Pattern(name="p", match="(a|b) (?P<word>[xy])( z)?", each=Threshold(warning=2))
    first = collect(of_files(log, patterns=(pattern,)))
    add(log, "a x\nb x z\na y\n")
    second = collect(of_files(log, patterns=(pattern,)), after=first)
    found = {one.labels["word"]: one.value for one in second.measurements if one.name == "log_group_matches"}
    assert found == {"x": 2, "y": 1}


def test_lines_to_ignore_match_nothing(log: Path) -> None:
    """They are counted as read."""
    check = of_files(log, ignore=(r"from 10\.",))
    first = collect(check)
    add(log, failed("10.0.0.1", "8.8.8.8"))
    second = collect(check, after=first)
    assert values(second)["log_matches failed"] == 1
    assert values(second)["log_lines_total"] == 2


def test_any_bytes_are_text(log: Path) -> None:
    """What is no UTF-8 does no harm to the rest of its line, and another encoding can be named."""
    pattern = Pattern(name="p", match="(?P<word>k.se)$")
    utf8, latin = of_files(log, patterns=(pattern,)), of_files(log, patterns=(pattern,), encoding="latin-1")
    first, other = collect(utf8), collect(latin)
    add(log, b"\x00\xff k\xe4se\r\n")
    assert values(collect(utf8, after=first))["log_group_matches p k\N{REPLACEMENT CHARACTER}se"] == 1
    assert values(collect(latin, after=other))["log_group_matches p k\xe4se"] == 1


def test_more_than_a_run_may_read_is_read_by_the_next_ones(log: Path) -> None:
    """And how much is left is shown."""
    check = of_files(log, at_once=Size(2**16), patterns=(Pattern(name="p", match="row"),))
    sample = collect(check)
    add(log, "row 4567890123456789\n" * 10_000)
    sample = collect(check, after=sample)
    assert 0 < values(sample)["log_matches_total p"] < 10_000
    assert values(sample)["log_behind_bytes"] > 0
    assert "still to be read" in sample.summary
    for _ in range(10):
        sample = collect(check, after=sample)
    assert values(sample)["log_matches_total p"] == 10_000
    assert values(sample)["log_behind_bytes"] == 0


def test_an_expression_that_takes_for_ever_costs_its_line_and_no_more(log: Path) -> None:
    """Nested repetition needs years for such a line. The place moves on, the lines after it are looked at, and it is
    said."""
    check = of_files(log, patterns=(Pattern(name="evil", match="(a+)+$"),), timeout=Duration(30))
    first = collect(check)
    add(log, "a" * 60 + "!\n" + "bbb\n" + "aaa\n")
    second = collect(check, after=first)
    assert said(second) == [("unknown", "1 lines were not looked at: the patterns take too long on them")]
    assert values(second)["log_matches_total evil"] == 1
    third = collect(check, after=second)
    assert said(third) == []
    assert values(third)["log_lines_total"] == 3


def test_many_such_lines_end_within_the_time_limit(log: Path) -> None:
    """What was read and could not be looked at in time is passed over, and said: the next run begins behind it."""
    check = of_files(log, patterns=(Pattern(name="evil", match="(a+)+$"),), timeout=Duration(4))
    first = collect(check)
    add(log, ("a" * 60 + "!\n") * 1000)
    began = time.process_time()
    second = collect(check, after=first)
    assert time.process_time() - began < 4
    assert values(second)["log_lines_total"] == 1000
    assert said(second) == [("unknown", "1000 lines were not looked at: the patterns take too long on them")]


def test_a_file_that_never_was_is_unknown_and_one_that_went_is_not(log: Path) -> None:
    """A name may be mistyped; a log may be between two rotations."""
    missing = log.with_name("auht.log")
    assert said(collect(of_files(missing))) == [("unknown", f"there is no file {missing}")]
    first = collect(of_files(log))
    log.rename(log.with_name("elsewhere"))
    second = collect(of_files(log), after=first)
    assert [state for state, _ in said(second)] == ["ok"]
    assert said(collect(of_files(log), after=second)) == []


def test_a_wildcard_may_mean_nothing_yet(tmp_path: Path) -> None:
    """Logs that come later are read from their beginning."""
    check = of_files(tmp_path / "*.log", patterns=(Pattern(name="p", match="x"),))
    first = collect(check)
    assert said(first) == []
    (tmp_path / "new.log").write_text("x\nx\n")
    assert values(collect(check, after=first))["log_matches p"] == 2


def test_a_log_that_is_added_to_the_options_begins_at_its_end(log: Path) -> None:
    """What is new is the question, not the log."""
    other = log.with_name("other.log")
    other.write_text(failed("7.7.7.7"))
    first = collect(of_files(log))
    second = collect(of_files(log, other), after=first)
    add(other, failed("8.8.8.8"))
    assert values(second)["log_matches_total failed"] == 0
    assert values(collect(of_files(log, other), after=second))["log_matches_total failed"] == 1


def test_a_look_from_the_beginning_is_for_trying_patterns(log: Path) -> None:
    """Without the rotated pieces."""
    log.with_name("auth.log.1").write_text(failed("1.1.1.1"))
    assert values(collect(of_files(log, begin="beginning")))["log_matches failed"] == 1


def test_memory_that_cannot_be_read_is_nothing(log: Path) -> None:
    """As after an upgrade: it begins anew, at the end."""
    sample = collect(of_files(log), after=Sample(memory={"time": "once"}))
    assert values(sample)["log_matches_total failed"] == 0


def test_ten_thousand_files_in_a_folder(tmp_path: Path) -> None:
    """All are followed, what is remembered of them fits a job's answer, and a log among them is not missed."""
    folder = tmp_path / "logs"
    folder.mkdir()
    for number in range(10_000):
        (folder / f"service-instance-{number:05}.log").write_bytes(b"old\n")
    check = of_files(folder / "*.log", patterns=(Pattern(name="p", match="new"),), timeout=Duration(60))
    first = collect(check)
    assert values(first)["log_files"] == 10_000
    assert len(msgspec.msgpack.encode(first)) < 2**20
    add(folder / "service-instance-04711.log", "new\n")
    (folder / "service-instance-10000.log").write_bytes(b"new\n")
    second = collect(check, after=first)
    assert values(second)["log_matches p"] == 1
    assert said(second) == [("unknown", "files beyond those that can be followed: 1")]


ROTATIONS = {
    "create": "create 0644",
    "nocreate": "nocreate",
    "copytruncate": "copytruncate",
    "copy": "copy",
    "dateext": "create 0644\n dateext\n dateformat -%Y%m%d-%s",
    "extension": "create 0644\n extension .log",
    "delaycompress": "create 0644\n compress\n delaycompress",
}


@pytest.mark.parametrize("how", ROTATIONS)
def test_a_real_logrotate_loses_and_repeats_nothing(how: str, tmp_path: Path) -> None:
    """In every way in which it rotates, several times, with and without a look in between, with lines that were
    written just before and just after."""
    rotate = require_program("logrotate")
    log = tmp_path / "app.log"
    log.touch(0o644)
    config = tmp_path / "rotate.conf"
    config.write_text(f"{log} {{\n rotate 5\n missingok\n su {os.geteuid()} {os.getegid()}\n {ROTATIONS[how]}\n}}\n")
    config.chmod(0o644)
    tmp_path.chmod(0o755)
    check = of_files(log, patterns=(Pattern(name="p", match="^line (?P<n>[0-9]+)$", top=100),))
    sample = collect(check)
    number = 0
    for looks in (1, 1, 0, 1, 0, 0, 1):
        for _ in range(4):
            number += 1
            add(log, f"line {number}\n")
        if number % 3:
            sample = collect(check, after=sample)
        number += 1
        add(log, f"line {number}\n")
        subprocess.run([rotate, "--force", "--state", tmp_path / "state", config], check=True, timeout=60)
        if how == "dateext":
            time.sleep(1.1)  # its names have no finer time
        for _ in range(looks):
            sample = collect(check, after=sample)
    sample = collect(check, after=collect(check, after=sample))
    counts = {m.labels["n"]: m.value for m in sample.measurements if m.name == "log_group_matches"}
    assert counts == {str(n): 1.0 for n in range(1, number + 1)}
    assert values(sample)["log_lost_bytes_total"] == 0


def test_what_a_real_logrotate_compressed_before_it_was_read_is_said(tmp_path: Path) -> None:
    """How much was lost is known from the archive."""
    rotate = require_program("logrotate")
    log = tmp_path / "app.log"
    log.write_text("old\n")
    log.chmod(0o644)
    config = tmp_path / "rotate.conf"
    config.write_text(f"{log} {{\n rotate 5\n compress\n create\n su {os.geteuid()} {os.getegid()}\n}}\n")
    config.chmod(0o644)
    tmp_path.chmod(0o755)
    check = of_files(log)
    sample = collect(check)
    add(log, failed("1.1.1.1"))
    sample = collect(check, after=sample)

    def rotated(sample: Sample) -> Sample:
        subprocess.run([rotate, "--force", "--state", tmp_path / "state", config], check=True, timeout=60)
        return collect(check, after=sample)

    sample = rotated(sample)
    assert said(sample) == []
    add(log, failed("2.2.2.2"))
    sample = rotated(sample)
    lost = len(failed("2.2.2.2"))
    assert said(sample) == [("warning", f"{log} was compressed to app.log.1.gz: {lost}B of it were never read")]
    assert values(sample)["log_lost_bytes_total"] == lost
    assert values(sample)["log_losses_total"] == 1
    assert said(rotated(sample)) == []


KERNEL = {"_TRANSPORT": "kernel", "PRIORITY": "3", "SYSLOG_IDENTIFIER": "kernel"}
SSH = {"_TRANSPORT": "syslog", "PRIORITY": "6", "SYSLOG_IDENTIFIER": "sshd", "_SYSTEMD_UNIT": "ssh.service"}


def of_journal(folder: Path, *patterns: Pattern, begin: Any = "end", at_once: int = 2**24, **which: Any) -> Log:
    require_program("journalctl")
    asked = Journal(directory=str(folder), **which)
    return Log(LogOptions(type="log", journal=asked, patterns=patterns, begin=begin, at_once=Size(at_once)))


def test_the_journal_is_read_on_from_its_cursor(tmp_path: Path) -> None:
    """What was there before is history; what comes is counted once."""
    folder = tmp_path / "journal"
    oom = Pattern(name="oom", match=r"Out of memory: Killed process \d+ \((?P<program>[^)]*)\)")
    write_journal(folder, [KERNEL | {"MESSAGE": "Out of memory: Killed process 1 (old)"}])
    check = of_journal(folder, oom, fields=("_TRANSPORT=kernel",))
    sample = collect(check)
    assert values(sample)["log_matches oom"] == 0
    entries = [
        KERNEL | {"MESSAGE": "Out of memory: Killed process 7 (java)"},
        SSH | {"MESSAGE": "Out of memory: Killed process 8 (nobody)"},
        KERNEL | {"MESSAGE": b"Out of memory: Killed process 9 (j\xff)\nTainted"},
    ]
    write_journal(folder, entries, first=1)
    sample = collect(check, after=sample)
    assert values(sample) == {
        "log_behind_seconds": 0,
        "log_matches oom": 2,
        "log_matches_per_second oom": 2 / 300,
        "log_matches_total oom": 2,
        "log_group_matches oom java": 1,
        "log_group_matches oom j\N{REPLACEMENT CHARACTER}": 1,
        "log_lines_total": 2,
    }
    assert values(collect(check, after=sample))["log_matches_total oom"] == 2


def test_units_identifiers_and_priorities_choose_entries(tmp_path: Path) -> None:
    """As journalctl does it."""
    entries = [SSH | {"MESSAGE": "x", "PRIORITY": str(priority)} for priority in range(8)]
    write_journal(tmp_path / "j", [*entries, KERNEL | {"MESSAGE": "x"}])

    def total(**which: Any) -> float:
        check = of_journal(tmp_path / "j", Pattern(name="x", match="x"), begin="beginning", **which)
        return values(collect(check))["log_matches_total x"]

    assert total() == 9
    assert total(units=("ssh.service",)) == 8
    assert total(units=("ssh.service",), priority="err") == 4
    assert total(identifiers=("kernel", "sshd"), priority="err") == 5
    assert total(fields=("_TRANSPORT=kernel", "PRIORITY=3", "PRIORITY=4")) == 1


def test_a_journal_that_grows_faster_than_it_is_read_is_behind(tmp_path: Path) -> None:
    """The next runs catch up, and no entry is repeated."""
    write_journal(tmp_path / "j", [SSH | {"MESSAGE": f"row {n} {'x' * 300}"} for n in range(400)])
    check = of_journal(tmp_path / "j", Pattern(name="p", match="row"), begin="beginning", at_once=2**16)
    sample = collect(check)
    assert 0 < values(sample)["log_matches_total p"] < 400
    assert values(sample)["log_behind_seconds"] == pytest.approx(time.time() - BEGAN, abs=400)
    for _ in range(6):
        sample = collect(check, after=sample)
    assert values(sample)["log_matches_total p"] == 400
    assert values(sample)["log_behind_seconds"] == 0


def test_entries_that_journalctl_does_not_print_are_said(tmp_path: Path) -> None:
    """Nobody can make the agent take any amount of memory by one entry."""
    write_journal(tmp_path / "j", [SSH | {"MESSAGE": "x" * 5000}, SSH | {"MESSAGE": "x"}])
    sample = collect(of_journal(tmp_path / "j", Pattern(name="p", match="x"), begin="beginning"))
    assert values(sample)["log_matches_total p"] == 1
    assert said(sample) == [("ok", "1 entries of 4 KiB or more were not looked at: journalctl does not print them")]


def test_a_journal_that_is_not_there_is_unknown(tmp_path: Path) -> None:
    """In journalctl's words; nothing is remembered that would skip what comes later."""
    with pytest.raises(CheckError, match=r"journalctl failed: .*No such file or directory"):
        collect(of_journal(tmp_path / "nowhere", Pattern(name="p", match="x")))


def test_a_host_without_journalctl_is_unknown(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The name of what is missing is in the message."""
    check = of_journal(tmp_path, Pattern(name="p", match="x"))
    (tmp_path / "bin").mkdir()
    (tmp_path / "bin" / "setpriv").symlink_to(require_program("setpriv"))
    monkeypatch.setenv("PATH", str(tmp_path / "bin"))
    with pytest.raises(CheckError, match="journalctl cannot be started"):
        collect(check)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "needs exactly one of files and journal"),
        ({"files": ("/a",), "journal": Journal()}, "needs exactly one of files and journal"),
        ({"files": ("/a",), "patterns": (FAILED, FAILED)}, "patterns has two of the name failed"),
        ({"files": ("/a",), "ignore": ("(",)}, "ignore is not a regular expression: .*"),
        ({"files": ("/a",), "encoding": "utf-99"}, "encoding: there is none called utf-99"),
        ({"files": ("/a",), "encoding": "utf-16"}, "encoding: utf-16 does not write .*"),
        (
            {"files": ("/a",), "patterns": tuple(Pattern(name=f"p{n}", match="(?P<a>.)", top=100) for n in range(9))},
            "patterns would make more than 900 readings.*",
        ),
    ],
)
def test_options_that_cannot_work_are_refused(options: dict[str, Any], message: str) -> None:
    """In one sentence that names the option."""
    with pytest.raises(ValueError, match=f"^{message}$"):
        LogOptions(type="log", **({"patterns": (FAILED,)} | options))


@pytest.mark.parametrize("match", ["(", "(?P<pattern>.)", "(?P<value>.)", "(?P<\N{GREEK SMALL LETTER PI}>.)"])
def test_groups_must_be_names_of_labels(match: str) -> None:
    """And none that a reading has already."""
    with pytest.raises(ValueError, match=r"^match "):
        Pattern(name="p", match=match)


def test_bounds_of_each_need_something_to_tell_matches_apart() -> None:
    """Else they would judge nothing, unseen."""
    with pytest.raises(ValueError, match="each needs a named group"):
        Pattern(name="p", match="(a|b)", each=Threshold(warning=1))


def test_the_root_of_the_tree_is_heeded(tmp_path: Path) -> None:
    """A fixture tree stands in for the host."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "x.log").write_text("x\n")
    check = Log(LogOptions(type="log", files=("/var/x.log",), patterns=(FAILED,)))
    assert values(collect(check, System(tmp_path)))["log_files"] == 1
