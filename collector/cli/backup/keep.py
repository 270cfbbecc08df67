"""`hostward-collector backup keep`: apply the policies now."""

from __future__ import annotations

import argparse
import asyncio

import msgspec

from collector.backups.keeping.results import LOCKED
from collector.cli.backup.ground import by, configure_choice, ground
from collector.cli.backup.plan import show
from kit.commands import Command
from kit.errors import HostwardError
from kit.jsontext import json_text
from kit.terminal import clean


def _configure(parser: argparse.ArgumentParser) -> None:
    configure_choice(parser)
    parser.add_argument(
        "--dry-run", "-n", action="store_true", help="only say what would be removed, as `backup plan`"
    )


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        if options.dry_run:
            show(home, options.repository, as_json=options.json)
            return 0
        results = []
        for target in home.targets(options.repository):
            result = asyncio.run(home.keeper.keep(target, by=by(), always=True))
            results.append({"repository": target.title, **msgspec.to_builtins(result)})
            if not options.json:
                print(f"{clean(target.title)}: {clean(result.message)}")
    if options.json:
        print(json_text(results, indent=False))
    outcomes = {one["outcome"] for one in results}
    if "failed" in outcomes:
        return HostwardError.exit_code
    return LOCKED if "waiting" in outcomes else 0


KEEP = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector backup keep                  every repository
  hostward-collector backup keep web1
  hostward-collector backup keep web1 --dry-run
  hostward-collector backup keep --json | jq '.[] | select(.outcome != "done")'""",
    notes="""\
What is odd, and what alerts are about, is not removed: `backup flags` lists it.
exit codes: 0 done; 1 failed; 2 bad usage or configuration; 11 a repository is locked or not there yet.""",
)
