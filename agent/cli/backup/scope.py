"""What is left out of a snapshot, by options."""

from __future__ import annotations

import argparse
import os
from typing import cast

from agent.cli.backup.options import parsed
from agent.cli.backup.patterns import add_patterns, patterns_of
from backup.archive.scope import Scope
from backup.select.filters import CACHE_MARK, Mark
from backup.select.sizes import parse_size


def add_scope(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    chosen = parser.add_argument_group("what is left out")
    add_patterns(cast(argparse.ArgumentParser, chosen), "exclude")
    chosen.add_argument(
        "--exclude-if-present",
        action="append",
        type=os.fsencode,
        default=[],
        metavar="FILE[:HEADER]",
        help="folders that hold such a file",
    )
    chosen.add_argument("--exclude-caches", action="store_true", help="folders that hold a CACHEDIR.TAG")
    chosen.add_argument(
        "--exclude-larger-than", type=parsed(parse_size), metavar="SIZE", help="files larger than this: 500M, 2G"
    )
    chosen.add_argument("-x", "--one-file-system", action="store_true", help="what is on other file systems")


def scope_of(options: argparse.Namespace) -> Scope:
    """What they say. Raises UsageError."""
    patterns = patterns_of(options, "exclude")
    marks = [Mark.parse(text) for text in options.exclude_if_present]
    if options.exclude_caches:
        marks.append(CACHE_MARK)
    return Scope(
        patterns.sensitive,
        patterns.insensitive,
        tuple(marks),
        options.exclude_larger_than,
        options.one_file_system,
    )
