"""Patterns of files on the command line and in files."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence
from typing import NamedTuple

from backup.select.filters import Excludes, Includes, parse_pattern_file
from kit.errors import UsageError
from kit.terminal import clean


class Patterns(NamedTuple):
    """Those that heed case, and those that do not."""

    sensitive: tuple[bytes, ...]
    insensitive: tuple[bytes, ...]

    def excludes(self) -> Excludes:
        """Raises UsageError for one that is malformed."""
        return Excludes(self.sensitive, self.insensitive)

    def includes(self) -> Includes:
        """Raises UsageError for one that is malformed."""
        return Includes(self.sensitive, self.insensitive)

    def __bool__(self) -> bool:
        return bool(self.sensitive or self.insensitive)


def add_patterns(parser: argparse.ArgumentParser, word: str) -> None:
    """Add --exclude or --include, and the three like it."""
    parser.add_argument(
        f"-{word[0]}", f"--{word}", action="append", default=[], metavar="PATTERN", help=f"{word} what matches"
    )
    parser.add_argument(f"--i{word}", action="append", default=[], metavar="PATTERN", help="whatever the case")
    parser.add_argument(f"--{word}-file", action="append", default=[], metavar="FILE", help="one pattern a line")
    parser.add_argument(f"--i{word}-file", action="append", default=[], metavar="FILE", help="whatever the case")


def patterns_of(options: argparse.Namespace, word: str) -> Patterns:
    """What they say. Raises UsageError."""
    return Patterns(
        _collected(options, getattr(options, word), getattr(options, f"{word}_file")),
        _collected(options, getattr(options, f"i{word}"), getattr(options, f"i{word}_file")),
    )


def read_named(file: str) -> bytes:
    """The content of a file that an option names; `-` is standard input. Raises UsageError."""
    try:
        with open(0 if file == "-" else file, "rb", closefd=file != "-") as stream:
            return stream.read()
    except OSError as error:
        raise UsageError(f"{clean(file)}: {error.strerror}") from None


def _collected(options: argparse.Namespace, patterns: Sequence[str], files: Sequence[str]) -> tuple[bytes, ...]:
    environment = {os.fsencode(name): os.fsencode(value) for name, value in os.environ.items()}
    found = [os.fsencode(pattern) for pattern in patterns]
    for file in files:
        found += parse_pattern_file(read_named(file), environment, clean(file))
    return tuple(found)
