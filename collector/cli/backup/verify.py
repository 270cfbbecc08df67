"""`hostward-collector backup verify`: read repositories back."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from collector.cli.backup.ground import configure, ground
from collector.cli.command import json_option
from kit.commands import Command
from kit.errors import HostwardError
from kit.jsontext import json_text
from kit.terminal import clean


def _configure(parser: argparse.ArgumentParser) -> None:
    configure(parser)
    json_option(parser)
    parser.add_argument(
        "repository",
        nargs="?",
        metavar="REPOSITORY",
        help="its name, or that of a host (all of which home has the password)",
    )


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        results: list[dict[str, object]] = []
        for target in home.targets(options.repository):
            if options.repository is None and target.password_file is None:
                if not options.json:
                    print(f"{clean(target.title)}: not verified: home has no password of it")
                continue
            result = asyncio.run(home.keeper.verify(target))
            results.append({"repository": target.title, **msgspec.to_builtins(result)})
            if not options.json:
                print("\n  ".join(clean(line) for line in (f"{target.title}: {result.message}", *result.problems)))
    if options.json:
        print(json_text(results, indent=False))
    return 0 if all(one["outcome"] == "done" for one in results) else HostwardError.exit_code


VERIFY = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector backup verify
  hostward-collector backup verify web1 --json""",
    notes="""\
The structure is checked as a whole; `verify_part` in the configuration says how much data is read.
What is found raises an alert, and nothing of the repository is removed until that is acknowledged.
exit codes: 0 no problem; 1 problems, or it could not be verified; 2 bad usage or configuration.""",
)
