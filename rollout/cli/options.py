"""Options that several commands take, and how their text is read."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from kit.units import Duration
from rollout.rules.amount import Amount

T = TypeVar("T")


def read_as(parse: Callable[[str], T]) -> Callable[[str], T]:
    """For argparse, which shows what was expected."""

    def read(text: str) -> T:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f'"{text}" is not {error}') from error

    return read


amount = read_as(Amount.parse)
duration = read_as(Duration.parse)


def pair(text: str) -> tuple[str, str]:
    """`KEY=VALUE`."""
    key, equals, value = text.partition("=")
    if not equals or not key:
        raise argparse.ArgumentTypeError(f'"{text}" is not KEY=VALUE')
    return key, value


def rollout(parser: argparse.ArgumentParser) -> None:
    """Which rollout is meant."""
    parser.add_argument("id", nargs="?", metavar="ID", help="the rollout, or the end of its id (the newest)")


def as_json(parser: argparse.ArgumentParser) -> None:
    """--json, where a script may read."""
    parser.add_argument("--json", action="store_true", help="for programs")


def home(parser: argparse.ArgumentParser) -> None:
    """Which home is told."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--home", type=Path, metavar="FILE", help="home's file (~/.config/hostward/home.toml, if there)"
    )
    group.add_argument("--no-home", action="store_true", help="tell no home, and open no maintenance windows")
