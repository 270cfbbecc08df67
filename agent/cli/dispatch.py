"""Finds the command, parses its options, maps errors to what the user sees."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Protocol, cast

from agent.cli.main import COMMANDS
from kit.errors import HostwardError
from kit.terminal import clean


class CommandModule(Protocol):
    """What a file in this folder offers."""

    EPILOG: str
    configure: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


def dispatch(words: Sequence[str]) -> int:
    """Run `words` as a command line. Exits by SystemExit(2) on bad usage, as argparse does."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview())
        return 0
    name = words[0]
    if name not in COMMANDS:
        near = _nearest(name)
        hint = f'; did you mean "{near}"?' if near else ""
        print(
            f'hostward: there is no command "{clean(name)}"{hint} (hostward --help lists them)',
            file=sys.stderr,
        )
        return 2
    module_name, summary = COMMANDS[name]
    module = cast(CommandModule, import_module(module_name))
    parser = argparse.ArgumentParser(
        prog=f"hostward {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=module.EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--config", type=Path, metavar="FILE", help="instead of /etc/hostward/agent.toml")
    parser.add_argument("--state-dir", type=Path, metavar="DIR", help="instead of /var/lib/hostward")
    module.configure(parser)
    options = parser.parse_args(list(words[1:]))
    try:
        code = module.run(options)
        sys.stdout.flush()
    except HostwardError as error:
        for line in str(error).splitlines():
            print(f"hostward: {line}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) had enough. Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _overview() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {summary}" for name, (_, summary) in COMMANDS.items()]
    return "\n".join(
        [
            "usage: hostward COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            "hostward COMMAND --help shows a command's options with examples; hostward --version the version.",
        ]
    )


def _nearest(name: str) -> str | None:
    from difflib import get_close_matches

    found = get_close_matches(name, COMMANDS, n=1)
    return found[0] if found else None
