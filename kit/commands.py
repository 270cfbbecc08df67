"""A command line: a table of commands, each in a file that is loaded when it is called; errors become clear lines.

The only place that prints errors. A program's entry point answers `--version` by itself and imports this module only
for the rest: argparse alone costs as much as starting Python.
"""

from __future__ import annotations

import argparse
import io
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn, cast

from kit.errors import HostwardError, UsageError
from kit.terminal import clean

_UNKNOWN = "unrecognized arguments: "
"""How argparse begins its message of options that there are not."""
_WIDEST = 118
"""Columns up to which notes are as wide as the terminal: longer lines are hard to read."""
INTERRUPTED = 130
"""The exit code after Ctrl-C: 128 and the number of SIGINT, as shells have it."""


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No options of its own."""


@dataclass(frozen=True, slots=True)
class Command:
    """`run` returns the exit code, and raises HostwardError for what the user should be told."""

    run: Callable[[argparse.Namespace], int]
    examples: str
    """Indented lines for `--help`."""
    notes: str = ""
    """What else `--help` should say, exit codes above all. A line that ends no sentence goes on in the next."""
    configure: Callable[[argparse.ArgumentParser], None] = _nothing
    """Adds the command's own options."""
    bad_usage: int = UsageError.exit_code
    """The exit code for options that there are not."""
    shared: Callable[[argparse.ArgumentParser], None] | None = None
    """Adds the options that it takes of those that the program's commands have; all of them when left out."""


def _run_it(command: Command, options: argparse.Namespace) -> int:
    return command.run(options)


@dataclass(frozen=True, slots=True)
class Program:
    """What `dispatch` drives."""

    name: str
    commands: Mapping[str, tuple[str, str]]
    """One word or two: to `module:attribute` of a Command, and to what it does, in a few words.

    Of another Program too, whose commands follow the word; its name is this one's and the word.
    """
    configure: Callable[[argparse.ArgumentParser], None]
    """Adds the options that every command has."""
    around: Callable[[Command, argparse.Namespace], int] = _run_it
    """Runs a command, with what all of them need before and after."""
    known_as: Mapping[str, str] = field(default_factory=dict)
    """What commands are called in a program that users may know better. Only a hint names the right one."""
    absent: Mapping[str, str] = field(default_factory=dict)
    """Commands of such a program that there are not, to what is said of it."""
    json_errors: bool = False
    """Whether bad usage is told as JSON (`print_exit_error`) where `--json` is among the words."""


def dispatch(program: Program, words: Sequence[str]) -> int:
    """Run `words` as a command line and return the exit code.

    Raises SystemExit for `--help` and for options that there are not, as argparse does.
    """
    _open_standard_streams()
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="replace")  # What the terminal's encoding lacks must not end the command.
    try:
        code = _run(program, words)
        sys.stdout.flush()
    except HostwardError as error:
        for line in str(error).splitlines():
            print(f"{program.name}: {clean(line)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:  # The reader (head, less) had enough.
        _give_up_output()
        return 0
    except OSError as error:
        _give_up_output()
        where = f"{clean(str(error.filename))}: " if error.filename else ""
        print(f"{program.name}: {where}{error.strerror or error}", file=sys.stderr)
        return HostwardError.exit_code
    except KeyboardInterrupt:
        return INTERRUPTED
    return code


def _open_standard_streams() -> None:
    """What was closed by whoever started this: the next files would get its number, and then what is said."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            descriptor = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(descriptor, True)
            mode = "w" if number else "r"
            setattr(sys, name, open(descriptor, mode, encoding="utf-8", errors="replace"))  # noqa: SIM115  # for good


def print_exit_error(message: str, code: int) -> None:
    """Say on standard error what ends a command, as an object in the shape of restic's (its manual, "Scripting")."""
    print(json.dumps({"message_type": "exit_error", "code": code, "message": message}), file=sys.stderr)


def _run(program: Program, words: Sequence[str]) -> int:
    as_json = program.json_errors and "--json" in words[: words.index("--") if "--" in words else None]
    try:
        return _run_one(program, words, as_json=as_json)
    except UsageError as error:
        if not as_json:
            raise
        print_exit_error(str(error), error.exit_code)
        return error.exit_code


def _run_one(program: Program, words: Sequence[str], *, as_json: bool) -> int:
    if words and words[0] == "help":
        words = [*words[1:], "--help"]
    if not words or words[0] in ("-h", "--help"):
        print(_overview(program, program.commands))
        return 0
    before = words[: _count_options(program, words)]
    words = words[len(before) :]
    if not words:
        raise UsageError(f"no command is named: expected {program.name} COMMAND [OPTIONS]")
    name = next((found for found in (words[0], " ".join(words[:2])) if found in program.commands), None)
    if name is None:
        return _no_such_command(program, words)
    place, summary = program.commands[name]
    module, _, attribute = place.partition(":")
    command = cast(Command | Program, getattr(import_module(module), attribute))
    rest = [*before, *words[len(name.split()) :]]
    if isinstance(command, Program):
        return _run(command, rest)
    parser = _Parser(
        prog=f"{program.name} {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{command.examples}" + (f"\n\n{_wrapped(command.notes)}" if command.notes else ""),
        formatter_class=_Formatter,
        allow_abbrev=False,
    )
    parser.bad_usage = command.bad_usage
    parser.as_json = as_json
    (command.shared or program.configure)(parser)
    command.configure(parser)
    return program.around(command, _parsed(parser, list(rest)))


def _count_options(program: Program, words: Sequence[str]) -> int:
    """How many words stand before the command: options that every command has, and their values."""
    if not words[0].startswith("-"):
        return 0
    parser = _Parser(allow_abbrev=False)
    program.configure(parser)
    count = 0
    while count < len(words) and words[count].startswith("-"):
        takes = parser.takes_next(words[count])
        if takes is None:
            raise UsageError(f'"{words[count]}" stands before the command: expected {program.name} COMMAND [OPTIONS]')
        count += 1 + takes
    return min(count, len(words))


def _wrapped(notes: str) -> str:
    width = min(shutil.get_terminal_size().columns - 2, _WIDEST)
    paragraphs: list[str] = []
    for line in notes.splitlines():
        if paragraphs and paragraphs[-1] and line and not paragraphs[-1].endswith("."):
            paragraphs[-1] += f" {line}"
        else:
            paragraphs.append(line)
    return "\n".join(
        textwrap.fill(each, width, break_long_words=False, break_on_hyphens=False) for each in paragraphs
    )


def _parsed(parser: _Parser, words: list[str]) -> argparse.Namespace:
    """Options may stand among the arguments, and what follows `--` is no option; argparse does only one of both."""
    if "--" not in words:
        return parser.parse_intermixed_args(words)
    end = words.index("--")
    literal = {f"\0{number}": word for number, word in enumerate(words[end + 1 :])}
    options = parser.parse_intermixed_args([*words[:end], *literal])
    for name, value in vars(options).items():
        if isinstance(value, list):
            setattr(options, name, [literal.get(word, word) for word in value])
        elif isinstance(value, str):
            setattr(options, name, literal.get(value, value))
    return options


class _Formatter(argparse.RawDescriptionHelpFormatter):
    """One line of usage: argparse would name every option there, and below it once more."""

    def add_usage(
        self,
        usage: str | None,
        actions: Iterable[argparse.Action],
        groups: Iterable[argparse._MutuallyExclusiveGroup],
        prefix: str | None = None,
    ) -> None:
        if usage is None:  # else parse_intermixed_args had it made before it took the arguments away
            named = [_named(each) for each in actions if each.option_strings and each.required]
            named += [f"({' | '.join(map(_named, group._group_actions))})" for group in groups if group.required]
            words = [_shown(each) for each in actions if not each.option_strings]
            usage = " ".join(["%(prog)s", *named, "[OPTIONS]", *words])
        super().add_usage(usage, actions, groups, prefix)


def _shown(argument: argparse.Action) -> str:
    word = str(argument.metavar or argument.dest)
    if argument.nargs in ("*", "+") and " " not in word:  # else it says itself which of the words may be repeated
        word += "…"
    return f"[{word}]" if argument.nargs in ("*", "?") else word


def _named(action: argparse.Action) -> str:
    value = "" if action.nargs == 0 else f" {action.metavar or action.dest.upper()}"
    return f"{action.option_strings[-1]}{value}"


class _Parser(argparse.ArgumentParser):
    bad_usage = UsageError.exit_code
    as_json = False

    def takes_next(self, word: str) -> bool | None:
        """Whether an option, or several of one letter, takes its value from the next word; None: there is no such."""
        actions = self._option_string_actions
        if word.startswith("--"):
            name, equals, _ = word.partition("=")
            return actions[name].nargs != 0 and not equals if name in actions else None
        for place, letter in enumerate(word[1:], 2):
            if f"-{letter}" not in actions:
                return None
            if actions[f"-{letter}"].nargs != 0:
                return place == len(word)
        return False if len(word) > 1 else None

    def error(self, message: str) -> NoReturn:
        """One line: argparse's own usage would fill the screen, and the mistake stand below it."""
        hint = ""
        if message.startswith(_UNKNOWN):
            option = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            near = get_close_matches(option, self._option_string_actions, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
        said = f"{clean(message)}{hint} ({self.prog} --help says what it takes)"
        if self.as_json:
            print_exit_error(said, self.bad_usage)
            self.exit(self.bad_usage)
        self.exit(self.bad_usage, f"{self.prog}: {said}\n")


def _no_such_command(program: Program, words: Sequence[str]) -> int:
    commands = program.commands
    group = [name for name in commands if name.startswith(f"{words[0]} ")]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_overview(program, group))
        return 0 if len(words) > 1 else UsageError.exit_code
    if words[0] in program.absent:
        raise UsageError(f'there is no command "{words[0]}": {program.absent[words[0]]}')
    near = get_close_matches(" ".join(words[:2]), commands, n=1) or get_close_matches(words[0], commands, n=1)
    if words[0] in program.known_as:
        near = [program.known_as[words[0]]]
    said = " ".join(words[:2]) if group else words[0]
    hint = f'; did you mean "{near[0]}"?' if near else ""
    raise UsageError(f'there is no command "{said}"{hint} ({program.name} --help lists them)')


def _overview(program: Program, names: Iterable[str]) -> str:
    name, summaries = program.name, {name: program.commands[name][1] for name in names}
    width = max(map(len, summaries))
    return "\n".join(
        [
            f"usage: {name} COMMAND [OPTIONS]",
            "",
            *(f"  {command:<{width}}  {summary}" for command, summary in summaries.items()),
            "",
            f"{name} COMMAND --help shows what it takes, with examples; {name.split()[0]} --version the version.",
        ]
    )


def _give_up_output() -> None:
    """What cannot be written would be tried, and complained of, once more while Python shuts down."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), sys.stdout.fileno())
