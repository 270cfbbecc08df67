"""Finds the command, parses its options, maps errors to what the user sees."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from importlib import import_module
from pathlib import Path
from typing import cast

from kit.errors import HostwardError
from kit.terminal import clean

COMMANDS = {
    "init": ("collector.cli.init:INIT", "set a collector up: certificates, database, first administrator"),
    "serve": ("collector.cli.serve:SERVE", "take reports, serve the pages and the API"),
    "token create": ("collector.cli.token:CREATE", "make a one-time token with which a host enrols"),
    "host list": ("collector.cli.host:LIST", "list the hosts and how they stand"),
    "host revoke": ("collector.cli.host:REVOKE", "take no more reports of a host, and free its name"),
    "api-token create": ("collector.cli.api_token:CREATE", "make a token with which a program uses the API"),
    "api-token list": ("collector.cli.api_token:LIST", "list the API tokens"),
    "api-token revoke": ("collector.cli.api_token:REVOKE", "end an API token"),
    "user create": ("collector.cli.user:CREATE", "add a person who may log in"),
    "user list": ("collector.cli.user:LIST", "list who may log in"),
    "user password": ("collector.cli.user:PASSWORD", "set a person's password, and end their sessions"),
    "user delete": ("collector.cli.user:DELETE", "remove a person"),
}
PROGRAM = "hostward-collector"


def dispatch(words: Sequence[str]) -> int:
    """Run `words` as a command line. Exits by SystemExit(2) on bad usage, as argparse does."""
    if not words or words[0] in ("-h", "--help", "help"):
        print(_overview(COMMANDS))
        return 0
    name = next((found for found in (words[0], " ".join(words[:2])) if found in COMMANDS), None)
    if name is None:
        return _no_such_command(words)
    place, summary = COMMANDS[name]
    module, _, attribute = place.partition(":")
    # Imported by name, so that a command loads only what it needs itself.
    from collector.cli.command import DATA_DIR, Command

    command = cast(Command, getattr(import_module(module), attribute))
    parser = argparse.ArgumentParser(
        prog=f"{PROGRAM} {name}",
        description=summary[0].upper() + summary[1:] + ".",
        epilog=f"examples:\n{command.examples}",
        formatter_class=argparse.RawDescriptionHelpFormatter,
        allow_abbrev=False,
    )
    parser.add_argument("--data-dir", type=Path, default=DATA_DIR, metavar="DIR", help=f"instead of {DATA_DIR}")
    command.configure(parser)
    options = parser.parse_args(list(words[len(name.split()) :]))
    try:
        code = command.run(options)
        sys.stdout.flush()
    except HostwardError as error:
        for line in str(error).splitlines():
            print(f"{PROGRAM}: {clean(line)}", file=sys.stderr)
        return error.exit_code
    except BrokenPipeError:
        # The reader (head, less) had enough. Python would complain again while it shuts down.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except KeyboardInterrupt:
        return 130
    return code


def _no_such_command(words: Sequence[str]) -> int:
    group = [name for name in COMMANDS if name.startswith(f"{words[0]} ")]
    if group and (len(words) == 1 or words[1] in ("-h", "--help")):
        print(_overview(group))
        return 0 if len(words) > 1 else 2
    near = get_close_matches(" ".join(words[:2]), COMMANDS, n=1) or get_close_matches(words[0], COMMANDS, n=1)
    said = " ".join(words[:2]) if group else words[0]
    hint = f'; did you mean "{near[0]}"?' if near else ""
    print(f'{PROGRAM}: there is no command "{clean(said)}"{hint} ({PROGRAM} --help lists them)', file=sys.stderr)
    return 2


def _overview(names: Sequence[str] | dict[str, tuple[str, str]]) -> str:
    width = max(map(len, names))
    lines = [f"  {name:<{width}}  {COMMANDS[name][1]}" for name in names]
    return "\n".join(
        [
            f"usage: {PROGRAM} COMMAND [OPTIONS]",
            "",
            *lines,
            "",
            f"{PROGRAM} COMMAND --help shows a command's options with examples; {PROGRAM} --version the version.",
        ]
    )
