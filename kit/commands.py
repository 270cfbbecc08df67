"""A command line: a table of commands, each in a file that is loaded when it is called; errors become clear lines.

The only place that prints errors. A program's entry point answers `--version` by itself and imports this module only
for the rest: argparse alone costs as much as starting Python.
"""

from __future__ import annotations

import argparse
import io
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from importlib import import_module
from typing import NoReturn, cast

from kit.errors import HostwardError, UsageError
from kit.terminal import clean

_UNKNOWN = "unrecognized arguments: "
"""How argparse begins its message of options that there are not."""
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
    """What else `--help` should say, exit codes above all."""
    configure: Callable[[argparse.ArgumentParser], None] = _nothing
    """Adds the command's own options."""
    bad_usage: int = UsageError.exit_code
    """The exit code for options that there are not."""


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


def _run(program: Program, words: Sequence[str]) -> int:
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(program, program.commands))
        return 0
    name = next((found for found in (words[0], " ".join(words[:2])) if found in program.commands), None)
    if name is None:
        return _no_such_command(program, words)
    place, summary = program.commands[name]
    module, _, attribute = place.partition(":")
    command = cast(Command | Program, getattr(import_module(module), attribute))
    rest = words[len(name.split()) :]
    if isinstance(command, Program):
        return _run(command, rest)
    parser = _Parser(
        prog=f"{program.name} {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{command.examples}" + (f"\n\n{command.notes}" if command.notes else ""),
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.bad_usage = command.bad_usage
    program.configure(parser)
    command.configure(parser)
    return program.around(command, _parsed(parser, list(rest)))


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


class _Parser(argparse.ArgumentParser):
    bad_usage = UsageError.exit_code

    def error(self, message: str) -> NoReturn:
        """One line: argparse's own usage would fill the screen, and the mistake stand below it."""
        hint = ""
        if message.startswith(_UNKNOWN):
            option = message.removeprefix(_UNKNOWN).split()[0].partition("=")[0]
            near = get_close_matches(option, self._option_string_actions, n=1)
            hint = f'; did you mean "{near[0]}"?' if near else ""
        self.exit(self.bad_usage, f"{self.prog}: {clean(message)}{hint} ({self.prog} --help says what it takes)\n")


def _no_such_command(program: Program, words: Sequence[str]) -> int:
    commands = program.commands
    group = [name for name in commands if name.startswith(f"{words[0]} ")]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_overview(program, group))
        return 0 if len(words) > 1 else UsageError.exit_code
    if words[0].startswith("-"):
        raise UsageError(f'"{words[0]}" stands before the command: expected {program.name} COMMAND [OPTIONS]')
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
