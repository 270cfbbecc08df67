"""The command line that both programs have, driven as a program of its own."""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from kit.commands import Command, Program, dispatch
from kit.errors import ConfigurationError, HostwardError, UsageError


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("what", choices=["say", "fail", "broken", "os", "interrupt", "odd", "much", "lines", "file"])


def _run(options: argparse.Namespace) -> int:
    match options.what:
        case "fail":
            raise HostwardError("it \x1b[31mfailed")
        case "lines":
            raise ConfigurationError("one\ntwo")
        case "os":
            Path("/no/such/file").read_text()
        case "interrupt":
            raise KeyboardInterrupt
        case "odd":
            print("→ \N{SNOWMAN}")
        case "much":
            print("x" * 10_000_000)
        case "file":
            with Path(options.shared).open("w") as file:
                print("said")
                print("said", file=sys.stderr)
                sys.stdin.read(0)
                for number in (1, 2):
                    os.write(number, b"said")
                file.write("content")
        case _:
            print("said", options.shared)
    return 5


DO = Command(run=_run, configure=_configure, examples="  program do say", bad_usage=3)
GROUPED = Command(run=lambda _: 0, examples="  program group one", notes="Noted.\nA line of\nwords.")


def _shared(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--shared", default="nothing")


def _words(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("first")
    parser.add_argument("more", nargs="*")
    parser.add_argument("-o", "--option", action="append")


def _print_words(options: argparse.Namespace) -> int:
    print(options.first, options.more, options.option, options.inner)
    return 0


WORDS = Command(run=_print_words, configure=_words, examples="  program within words")


def _needs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--place", required=True, metavar="DIR")
    one = parser.add_mutually_exclusive_group(required=True)
    one.add_argument("-a", action="store_true")
    one.add_argument("--best", metavar="KIND")
    parser.add_argument("words", nargs="+", metavar="FROM TO")
    parser.add_argument("note", nargs="?", metavar="NOTE")


NEEDY = Command(run=lambda _: 0, configure=_needs, examples="  program within needy", shared=lambda _: None)


def _inner(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--inner", default="nothing")


def _around(command: Command, options: argparse.Namespace) -> int:
    return command.run(options) + 7


WITHIN = Program(
    "program within",
    {"words": (f"{__name__}:WORDS", "print words"), "needy": (f"{__name__}:NEEDY", "need what must be given")},
    _inner,
    _around,
)

PROGRAM = Program(
    "program",
    {
        "do": (f"{__name__}:DO", "do something"),
        "group one": (f"{__name__}:GROUPED", "do one thing of a group"),
        "within": (f"{__name__}:WITHIN", "do what has commands of its own"),
    },
    _shared,
)


def run(*words: str, before: Sequence[str] = (), **options: object) -> subprocess.CompletedProcess[str]:
    """The program in a process of its own; `before` is what becomes it."""
    code = f"import sys; from {__name__} import *; sys.exit(dispatch(PROGRAM, sys.argv[1:]))"
    done: subprocess.CompletedProcess[str] = subprocess.run(
        [*before, sys.executable, "-c", code, *words],
        **{"capture_output": True, "text": True, "timeout": 60, **options},  # type: ignore[call-overload]
    )
    return done


def test_a_command_gets_its_options_and_gives_its_exit_code(capsys: pytest.CaptureFixture[str]) -> None:
    """Those of every command among them."""
    assert dispatch(PROGRAM, ["do", "say", "--shared", "this"]) == 5
    assert capsys.readouterr().out == "said this\n"


@pytest.mark.parametrize(
    ("words", "code", "said"),
    [
        (["do", "fail"], HostwardError.exit_code, "program: it \N{REPLACEMENT CHARACTER}[31mfailed\n"),
        (["do", "lines"], ConfigurationError.exit_code, "program: one\nprogram: two\n"),
        (["do", "os"], HostwardError.exit_code, "program: /no/such/file: No such file or directory\n"),
        (["do", "interrupt"], 130, ""),
        (["doo"], UsageError.exit_code, 'did you mean "do"?'),
        (["group", "oen"], UsageError.exit_code, 'there is no command "group oen"; did you mean "group one"?'),
        (["\x1b[31m"], UsageError.exit_code, 'there is no command "\N{REPLACEMENT CHARACTER}[31m" ('),
    ],
)
def test_what_goes_wrong_is_told_in_clear_lines(
    words: list[str], code: int, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """On standard error, without a traceback, and with the exit code of its kind."""
    assert dispatch(PROGRAM, words) == code
    out, err = capsys.readouterr()
    assert out == ""
    assert said in err
    assert "Traceback" not in err


@pytest.mark.parametrize(("words", "code"), [(["do", "--no"], 3), (["do", "x"], 3), (["group", "one", "--no"], 2)])
def test_bad_options_end_with_the_commands_own_code(words: list[str], code: int) -> None:
    """2, unless that means something else to who reads it."""
    with pytest.raises(SystemExit) as end:
        dispatch(PROGRAM, words)
    assert end.value.code == code


def test_help_shows_examples_and_notes(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Of the command; of a group its commands; of the program all of them. Notes are as wide as the terminal."""
    monkeypatch.setenv("COLUMNS", "12")
    with pytest.raises(SystemExit) as end:
        dispatch(PROGRAM, ["group", "one", "--help"])
    assert end.value.code == 0
    assert capsys.readouterr().out.endswith("examples:\n  program group one\n\nNoted.\nA line of\nwords.\n")
    monkeypatch.setenv("COLUMNS", "80")
    with pytest.raises(SystemExit):
        dispatch(PROGRAM, ["help", "group", "one"])
    assert capsys.readouterr().out.endswith("\n\nNoted.\nA line of words.\n")
    assert dispatch(PROGRAM, ["group", "--help"]) == 0
    text = capsys.readouterr().out
    assert "group one" in text
    assert "do something" not in text
    assert dispatch(PROGRAM, []) == 0
    assert "do something" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("words", "usage"),
    [
        (["within", "words"], "usage: program within words [OPTIONS] first [more…]"),
        (["within", "needy"], "usage: program within needy --place DIR (-a | --best KIND) [OPTIONS] FROM TO [NOTE]"),
    ],
)
def test_help_begins_with_one_line_of_usage(
    words: list[str], usage: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the arguments, and of the options those that must be given."""
    monkeypatch.setenv("COLUMNS", "100")
    with pytest.raises(SystemExit):
        dispatch(PROGRAM, [*words, "--help"])
    assert capsys.readouterr().out.splitlines()[0] == usage


def test_a_command_may_take_other_options_than_the_programs(capsys: pytest.CaptureFixture[str]) -> None:
    """What it does not take is refused, not ignored."""
    given = ["--place", "here", "-a", "from", "to", "--inner", "b"]
    with pytest.raises(SystemExit) as end:
        dispatch(PROGRAM, ["within", "needy", *given])
    assert end.value.code == UsageError.exit_code
    assert "--inner" in capsys.readouterr().err
    assert dispatch(PROGRAM, ["within", "needy", *given[:-2]]) == 7


def test_a_group_alone_is_no_command(capsys: pytest.CaptureFixture[str]) -> None:
    """It shows what there is, and is bad usage."""
    assert dispatch(PROGRAM, ["group"]) == UsageError.exit_code
    assert "group one" in capsys.readouterr().out


def test_a_reader_that_has_enough_is_no_error() -> None:
    """As in `… | head`."""
    reader, writer = os.pipe()
    os.close(reader)
    try:
        done = run("do", "much", capture_output=False, stdout=writer, stderr=subprocess.PIPE)
    finally:
        os.close(writer)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_full_disk_behind_the_output_is_one_line() -> None:
    """Also where the output is so short that it is written at the end."""
    for what in ("say", "much"):
        with open("/dev/full", "w") as full:
            done = run("do", what, capture_output=False, stdout=full, stderr=subprocess.PIPE)
        assert done.returncode == 1
        assert done.stderr == "program: No space left on device\n"


@pytest.mark.parametrize("closed", ["<&-", ">&-", "2>&-", "<&- >&- 2>&-"])
def test_streams_that_are_closed_are_nobodys(tmp_path: Path, closed: str) -> None:
    """The next files that are opened get other numbers, so that nothing that is said can end up in them."""
    file = tmp_path / "file"
    done = run("do", "file", "--shared", str(file), before=["sh", "-c", f'exec "$0" "$@" {closed}'])
    assert (done.returncode, file.read_text()) == (5, "content"), done.stderr


def test_letters_that_the_output_cannot_show_end_nothing() -> None:
    """They become question marks."""
    done = run("do", "odd", env={**os.environ, "PYTHONIOENCODING": "ascii", "PYTHONUTF8": "0"})
    assert done.returncode == 5, done.stderr
    assert done.stdout == "? ?\n"


def test_a_command_may_be_a_program_with_commands_of_its_own(capsys: pytest.CaptureFixture[str]) -> None:
    """With its own overview and its own common options."""
    assert dispatch(PROGRAM, ["within", "words", "a", "--inner", "b"]) == 7
    assert capsys.readouterr().out == "a [] None b\n"
    assert dispatch(PROGRAM, ["within"]) == 0
    text = capsys.readouterr().out
    assert text.startswith("usage: program within COMMAND")
    assert "print words" in text
    assert "do something" not in text
    assert dispatch(PROGRAM, ["within", "wrods"]) == UsageError.exit_code
    assert 'did you mean "words"?' in capsys.readouterr().err


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["a", "-o", "x", "b"], "a ['b'] ['x'] nothing"),
        (["-o", "x", "a", "--inner=y", "b", "c"], "a ['b', 'c'] ['x'] y"),
        (["a", "--", "-o", "b"], "a ['-o', 'b'] None nothing"),
        (["--", "-o", "b"], "-o ['b'] None nothing"),
        (["-o", "x", "a", "--", "--", "-o"], "a ['--', '-o'] ['x'] nothing"),
    ],
)
def test_options_may_stand_among_the_arguments(
    words: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    """Until `--`, after which nothing is one."""
    dispatch(PROGRAM, ["within", "words", *words])
    assert capsys.readouterr().out == said + "\n"
