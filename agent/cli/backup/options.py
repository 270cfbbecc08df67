"""What every command of backups can be told: options, then HOSTWARD_ variables, then restic's own."""

from __future__ import annotations

import argparse
import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from backup.stores.registry import has_password
from kit.errors import UsageError
from kit.units import Duration

PREFIXES = ("HOSTWARD_", "RESTIC_")
"""Of the environment variables: ours first. What stands in RESTIC_ is what restic reads."""

Value = TypeVar("Value")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command."""
    group = parser.add_argument_group("the repository (docs/backup.md has the environment variables)")
    add_access(group, "")
    group.add_argument("--job", metavar="NAME", help="the repository and password of this backup job")
    _add_places(group)
    group.add_argument("--no-cache", action="store_true", help="keep no copies of indexes and trees on this host")
    group.add_argument("--cache-dir", metavar="DIR", help="where these copies are kept")
    group.add_argument("--cleanup-cache", action="store_true", help="remove caches that nobody used for 30 days")
    group.add_argument("--no-lock", action="store_true", help="read without a lock, from a place that is read-only")
    group.add_argument(
        "--retry-lock",
        type=parsed(Duration.parse),
        default=0.0,
        metavar="TIME",
        help="wait so long where somebody else has the lock: 5m, 2h",
    )
    group.add_argument("--limit-upload", type=positive, metavar="RATE", help="at most so many KiB/s")
    group.add_argument("--limit-download", type=positive, metavar="RATE", help="at most so many KiB/s")
    group.add_argument("--compression", metavar="MODE", help="auto, off or max; auto")
    group.add_argument("--pack-size", metavar="SIZE", help="MiB of the packs that are written, 4 to 128; 16")
    group.add_argument(
        "--no-extra-verify", action="store_true", help="do not open again what was sealed before it is written"
    )
    group.add_argument("--cacert", metavar="FILE", help="trust these certificate authorities, for rest: and s3:")
    group.add_argument("--tls-client-cert", metavar="FILE", help="the certificate and key to show, for rest:")
    group.add_argument(
        "-o",
        "--option",
        action="append",
        type=parsed(_extended),
        default=[],
        metavar="NAME=VALUE",
        help="s3.region, s3.storage-class, s3.bucket-lookup, s3.list-objects-v1; SCHEME.connections",
    )
    shown = parser.add_argument_group("what is shown")
    shown.add_argument("--json", action="store_true", help="print JSON, in the shapes of restic's")
    shown.add_argument("-q", "--quiet", action="store_true", help="show no progress, and less else")
    shown.add_argument("-v", "--verbose", action="count", default=0, help="show more; twice: each file")


def configure_without_repository(parser: argparse.ArgumentParser) -> None:
    """Add the options of a command that opens none."""
    _add_places(parser)
    parser.add_argument("--json", action="store_true", help="print JSON")
    parser.set_defaults(job=None)


def _add_places(group: argparse._ActionsContainer) -> None:
    group.add_argument("--config", type=Path, metavar="FILE", help="with the jobs; /etc/hostward/agent.toml")
    group.add_argument("--state-dir", type=Path, metavar="DIR", help="with the runs; /var/lib/hostward")


def add_access(group: argparse._ActionsContainer, source: str) -> None:
    """Options that name a repository and its password. `source` stands before each: `from-`, or nothing."""
    short = not source
    group.add_argument(
        *(["-r"] if short else []),
        f"--{source}repo",
        dest=f"{source.replace('-', '_')}repository",
        metavar="PLACE",
        help="/PATH, sftp:…, s3:…, rest:https://… or home",
    )
    group.add_argument(f"--{source}repository-file", metavar="FILE", help="a file that names the repository")
    group.add_argument(
        *(["-p"] if short else []),
        f"--{source}password-file",
        metavar="FILE",
        help="a file that holds the password, or credential:NAME",
    )
    group.add_argument(f"--{source}password-command", metavar="COMMAND", help="a program that prints the password")
    group.add_argument(f"--{source}key-hint", metavar="ID", help="try this key first")
    group.add_argument(f"--{source}insecure-no-password", action="store_true", help="the password is empty")


class Environment(dict[str, str]):
    """The variables as the command was given them. Passwords are taken out of the process's own, for good."""

    @classmethod
    def taken(cls) -> Environment:
        """A copy, after which no child gets a password."""
        found = cls(os.environ)
        for name, value in found.items():
            place = name.endswith("REPOSITORY") and has_password(value)
            if name.startswith(PREFIXES) and (place or name.endswith("PASSWORD")):
                del os.environ[name]
        return found

    def for_stores(self) -> dict[str, str]:
        """With restic's names alone, which stores look for; what stands in ours comes first."""
        ours, restics = PREFIXES
        return {**self, **{restics + name.removeprefix(ours): self[name] for name in self if name.startswith(ours)}}

    def __repr__(self) -> str:
        """What a variable holds is never shown."""
        return f"{type(self).__name__}({len(self)} variables)"


def setting(options: argparse.Namespace, name: str) -> str | None:
    """What was given as an option (`key_hint`), else the first of its environment variables that is not empty."""
    return chosen(options, name).get(name)


def chosen(options: argparse.Namespace, *names: str) -> dict[str, str]:
    """What the command line says of these options, or else the HOSTWARD_ variables, or else the RESTIC_ ones."""
    levels = [{name: getattr(options, name, None) for name in names}]
    for prefix in PREFIXES:
        levels.append({name: options.environment.get(prefix + name.upper()) for name in names})
    return next((said for level in levels if (said := {name: value for name, value in level.items() if value})), {})


def require_words(options: argparse.Namespace, *names: str) -> None:
    """Raises UsageError for one that was given as an empty word: a variable of a script that should have held it.

    What the environment says is not what was meant then.
    """
    for name in names:
        if getattr(options, name, None) == "":
            flag = name.replace("_", "-")
            flag = flag.removesuffix("sitory") if flag.endswith("repository") else flag
            raise UsageError(f"--{flag} is empty, which names nothing")


def parsed(parse: Callable[[str], Value]) -> Callable[[str], Value]:
    """For argparse's `type`: what raises ValueError or UsageError with a sentence."""

    def converted(text: str) -> Value:
        try:
            return parse(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f'"{text}": expected {error}') from None
        except UsageError as error:
            raise argparse.ArgumentTypeError(str(error)) from None

    return converted


def _extended(text: str) -> tuple[str, str]:
    name, equals, value = text.partition("=")
    if not equals or "." not in name:
        raise ValueError("NAME=VALUE, as in s3.region=eu-west-1")
    return name.strip().lower(), value.strip()


def positive(text: str) -> int:
    """A whole number above zero."""
    if not text.isascii() or not text.isdigit() or int(text[:12]) == 0:
        raise argparse.ArgumentTypeError(f'"{text}": expected a whole number above zero')
    return int(text[:12])
