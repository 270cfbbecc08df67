"""What the sections of a configuration come to, whatever is in it."""

from __future__ import annotations

import locale
import os
import random
import subprocess
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from agent.cli import logrotate
from agent.logs.rotate import rule as rules
from agent.logs.rotate.language import globs, read
from agent.logs.rotate.language.numbers import unsigned
from agent.logs.rotate.language.text import split_names
from agent.logs.rotate.rule import Rule, Section
from tests import peers
from tests.agent.logs.rotate.language.cases import ARGUMENTS, HOME, Case, condensed, load
from tests.agent.logs.rotate.listener import Listener
from tests.require import require_root

EXAMPLES = int(os.environ.get("HOSTWARD_EXAMPLES", "0"))
"""How many configurations are shuffled together; 0 for few."""
CASES = load()


def read_text(folder: Path, text: str | bytes) -> tuple[list[Section], bool, str]:
    """The sections of a configuration, whether anything failed, and what was said."""
    path = folder / "configuration"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    path.chmod(0o644)
    voice = Listener()
    sections, failed = read([str(path)], voice)
    return sections, failed, voice.said


def rule_of(folder: Path, *lines: str) -> Rule:
    """The rule of a section with these lines, which must be well."""
    sections, failed, said = read_text(folder, f'"/x" {{\n{chr(10).join(lines)}\n}}\n')
    assert not failed, said
    return sections[0].rule


WORDS = [
    "/x {\n",
    "}",
    "\n",
    "rotate 3",
    "include ",
    "tabooext + .x",
    "postrotate\n",
    "endscript",
    "create 0644 root adm",
]


@given(st.one_of(st.binary(), st.text(), st.lists(st.sampled_from(WORDS)).map("".join)))
@example(b"/[")
@example(b"/\\")
@example(b"~")
@example(b"size k")
@example(b"include \xff\nweekly \0")
def test_no_text_does_more_than_be_told_of(tmp_path_factory: pytest.TempPathFactory, text: str | bytes) -> None:
    """Whatever is in a file, there are sections and messages."""
    content = text.encode(errors="surrogateescape") if isinstance(text, str) else text
    _, failed, said = read_text(tmp_path_factory.mktemp("any"), content)
    assert not failed or "error: " in said


@pytest.mark.root
def test_shuffled_configurations_are_read_as_by_the_real_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Lines of all cases in any order, some of them glued together: HOSTWARD_EXAMPLES says how many."""
    require_root()
    program = peers.logrotate()
    # Where sections are included in sections, and something is wrong there, the real one says what is not so.
    pieces = [piece for case in CASES for piece in case.files["c"][0].splitlines() if b"include" not in piece]
    monkeypatch.setenv("HOME", HOME)
    environment = {**os.environ, "HOME": HOME}
    for seed in range(EXAMPLES or 40):
        draw = random.Random(seed)
        lines = [
            draw.choice(pieces) + draw.choice([b"\n", b"\n", b"\n", b" ", b""]) for _ in range(draw.randint(2, 15))
        ]
        # What is wrong at the end of a file is half taken by the real one.
        lines.append(b"\n}\n")
        folder = tmp_path / str(seed)
        folder.mkdir()
        case = Case(str(seed), {"c": (b"".join(lines), 0o644)})
        case.prepare(folder)
        monkeypatch.chdir(folder)
        command = [*program, *ARGUMENTS]
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        code = logrotate.run(ARGUMENTS)
        said = capfdbinary.readouterr().err
        assert (condensed(said, folder), code) == (condensed(done.stderr, folder), done.returncode), lines


def test_a_section_begins_with_what_is_in_force(tmp_path: Path) -> None:
    """And what it says holds for itself alone."""
    sections, _, _ = read_text(tmp_path, 'rotate 3\n"/a" {\nrotate 4\nmail x\n}\ncompress\n"/b" {\n}\n')
    assert [(each.rule.rotate, each.rule.mail, each.rule.compress) for each in sections] == [
        (4, "x", False),
        (3, None, True),
    ]
    assert [(each.pattern, each.logs) for each in sections] == [('"/a"', ["/a"]), ('"/b"', ["/b"])]
    assert sections[1].place == f"{tmp_path}/configuration:7"


def test_each_flag_sets_what_it_is_called(tmp_path: Path) -> None:
    """And with `no` before it takes that back."""
    for flag in ("allowhardlink", "compress", "copy", "copytruncate", "dateext", "delaycompress", "missingok"):
        assert getattr(rule_of(tmp_path, flag), flag) is True
        assert getattr(rule_of(tmp_path, flag, f"no{flag}"), flag) is False
    for flag in ("renamecopy", "sharedscripts", "shred"):
        assert getattr(rule_of(tmp_path, flag), flag) is True
        assert getattr(rule_of(tmp_path, flag, f"no{flag}"), flag) is False
    for flag in ("dateyesterday", "datehourago", "ignoreduplicates", "mailfirst", "ifempty"):
        assert getattr(rule_of(tmp_path, flag), flag) is True
    assert not rule_of(tmp_path, "mailfirst", "maillast").mailfirst
    assert not rule_of(tmp_path, "notifempty").ifempty


def test_values_are_taken(tmp_path: Path) -> None:
    """Each directive with one."""
    rule = rule_of(
        tmp_path,
        *("rotate 5", "start 2", "minage 3", "maxage 4", "minsize 1k", "maxsize 2M", "size 3G", "shredcycles 6"),
        *("mail root", "olddir /tmp", "extension .log", "addextension .old", "dateformat -%Y", "compresscmd /bin/xz"),
        *("uncompresscmd /bin/unxz", "compressoptions -9 'a b'", "create 0640 0 0", "createolddir 0711", "su 0 0"),
    )
    assert (rule.rotate, rule.start, rule.minage, rule.maxage, rule.shredcycles) == (5, 2, 3, 4, 6)
    assert (rule.minsize, rule.maxsize, rule.size, rule.criterion) == (2**10, 2**21, 3 * 2**30, rules.SIZE)
    assert (rule.mail, rule.olddir, rule.extension, rule.addextension) == ("root", "/tmp", ".log", ".old")
    assert (rule.compresscmd, rule.uncompresscmd, rule.compressext) == ("/bin/xz", "/bin/unxz", ".xz")
    assert (rule.compressoptions, rule.dateformat, rule.su) == (("-9", "a b"), "-%Y", (0, 0))
    assert rule.create is not None and (rule.create.mode, rule.create.uid, rule.create.gid) == (0o640, 0, 0)
    assert rule.createolddir is not None and rule.createolddir.mode == 0o711


def test_a_week_begins_on_a_day(tmp_path: Path) -> None:
    """Sunday, where none is said."""
    assert [rule_of(tmp_path, line).weekday for line in ("weekly", "weekly 3", "weekly 7")] == [0, 3, 7]


def test_create_keeps_what_an_earlier_one_said(tmp_path: Path) -> None:
    """Also over a `nocreate`, as the real one has it."""
    create = rule_of(tmp_path, "create 0600 0 0", "nocreate", "create 0640").create
    assert create is not None and (create.mode, create.uid, create.gid) == (0o640, 0, 0)


def test_scripts_are_taken_as_they_are(tmp_path: Path) -> None:
    """From behind their word to the line of the end."""
    rule = rule_of(tmp_path, "postrotate x", "  y }", "", "\tendscript daily", "prerotate", "endscript")
    assert rule.postrotate is not None and rule.postrotate.text == " x\n  y }\n\n"
    assert rule.prerotate is not None and rule.prerotate.text == "\n"
    assert rule.criterion == rules.DAILY


def test_folders_for_old_logs_are_made(tmp_path: Path) -> None:
    """When the configuration is read, with those that they are in."""
    log = tmp_path / "a.log"
    _, failed, _ = read_text(tmp_path, f"{log} {{\nolddir old/er\ncreateolddir 0750\n}}\n")
    assert not failed
    assert [oct((tmp_path / name).stat().st_mode) for name in ("old", "old/er")] == [oct(0o40750)] * 2


def test_what_takes_the_place_of_a_new_folder_is_not_given_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Who may write where it is made could put a link there, to have root change what it leads to."""
    (tmp_path / "other").mkdir(0o700)
    make = os.mkdir

    def swapped(name: str, mode: int = 0o777, *, dir_fd: int | None = None) -> None:
        make(name, mode, dir_fd=dir_fd)
        os.rmdir(name, dir_fd=dir_fd)
        os.symlink(tmp_path / "other", name, dir_fd=dir_fd)

    monkeypatch.setattr(os, "mkdir", swapped)
    _, failed, said = read_text(tmp_path, f"{tmp_path}/a.log {{\nolddir old\ncreateolddir 0777\n}}\n")
    assert failed and "error opening" in said
    assert oct((tmp_path / "other").stat().st_mode) == oct(0o40700)


def test_a_pipe_among_the_files_is_passed_over(tmp_path: Path) -> None:
    """The real one waits for ever; so does whoever waits for it."""
    folder = tmp_path / "d"
    folder.mkdir()
    os.mkfifo(folder / "a")
    (folder / "b").write_text('"/x" {\n}\n')
    voice = Listener()
    sections, failed = read([str(folder)], voice)
    assert (len(sections), failed) == (1, False)
    assert "Ignoring a because it's not a regular file." in voice.said


def test_the_folder_that_one_is_in_stays_the_same(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though files of a folder are read from inside of it."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "d").mkdir()
    (tmp_path / "d/a").write_text("rotate x\n")
    read(["d", "d"], Listener())
    assert Path.cwd() == tmp_path


def test_a_file_that_is_too_large_is_refused(tmp_path: Path) -> None:
    """16 MiB are no configuration."""
    path = tmp_path / "large"
    path.touch(0o644)
    os.truncate(path, 2**24)
    voice = Listener()
    assert read([str(path)], voice) == ([], True)
    assert voice.said.endswith(f"error: file {path} too large, probably not a config file.\n")


PATTERNS = st.text(st.sampled_from("ab.*?[]!-\\é"), min_size=1, max_size=8)


@given(PATTERNS, st.text(st.sampled_from("ab.-]!é\\"), min_size=1, max_size=6))
@settings(max_examples=200)
def test_patterns_match_as_in_the_c_library(pattern: str, name: str) -> None:
    """fnmatch(3) with FNM_PERIOD, without a locale."""
    libc = __import__("ctypes").CDLL(None)
    fnm_period = 4
    own = locale.setlocale(locale.LC_CTYPE)
    locale.setlocale(locale.LC_CTYPE, "C")  # Python sets another where it can
    try:
        expected = libc.fnmatch(os.fsencode(pattern), os.fsencode(name), fnm_period) == 0
    finally:
        locale.setlocale(locale.LC_CTYPE, own)
    assert globs.matcher(pattern)(name) is expected


def test_globs_are_those_of_the_shell(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the order of bytes; a pattern that means nothing stands for itself."""
    for name in ("b.log", "a.log", "B.log", ".c.log", "d/x.log", "d/e/y.log"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).touch()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    assert globs.expand("*.log") == ["B.log", "a.log", "b.log"]
    assert globs.expand("*/*.log") == ["d/x.log"]
    assert globs.expand(f"{tmp_path}/*/") == [f"{tmp_path}/d/"]
    assert globs.expand(".*.log") == [".c.log"]
    assert globs.expand("~/a*") == [f"{tmp_path}/a.log"]
    assert globs.expand("~/none") == ["~/none"]
    assert globs.expand("no*") == ["no*"]


@given(st.text("0123456789abfkxXbB+- ", max_size=8))
def test_numbers_are_those_of_strtoul(text: str) -> None:
    """With any base that C takes for 0, but for a leading 0b, which is C23's."""
    ctypes = __import__("ctypes")
    strtoul = ctypes.CDLL(None).strtoul
    strtoul.restype = ctypes.c_ulong
    buffer = ctypes.create_string_buffer(text.encode())
    end = ctypes.c_void_p()
    value = strtoul(buffer, ctypes.byref(end), 0)
    whole = end.value == ctypes.addressof(buffer) + len(text) if text else True
    if text.lower().lstrip(" +-").startswith("0b"):
        return
    assert unsigned(text) == (value if whole else None)


@given(st.text(st.sampled_from("ab \"'\\\t"), max_size=12))
def test_names_are_split_without_losing_any(text: str) -> None:
    """No name is empty, and letters stay in their order."""
    try:
        names = split_names(text)
    except ValueError:
        return
    assert all(names)
    assert [char for char in "".join(names) if char in "ab"] == [char for char in text if char in "ab"]
