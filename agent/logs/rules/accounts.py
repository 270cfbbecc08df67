"""Users and groups that rules name, and what else they name that this host may lack."""

from __future__ import annotations

import grp
import os
import pwd
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import NamedTuple

from agent.config.logs import LogOptions
from kit.errors import ConfigurationError
from kit.terminal import clean


class UnknownAccountError(ConfigurationError):
    """There is no such user, or group, on this host."""


class Lack(NamedTuple):
    """What a rule names and this host has not: under which option, and a sentence."""

    option: str
    text: str


def user(name: str) -> int:
    """The id; a number is one itself. Raises UnknownAccountError."""
    return _id("user", name, lambda: pwd.getpwnam(name).pw_uid)


def group(name: str) -> int:
    """The id; a number is one itself. Raises UnknownAccountError."""
    return _id("group", name, lambda: grp.getgrnam(name).gr_gid)


def _id(kind: str, name: str, look: Callable[[], int]) -> int:
    if name.isdecimal():
        return int(name)
    try:
        return look()
    except KeyError:
        raise UnknownAccountError(f"there is no {kind} {clean(name)}") from None


@contextmanager
def said_of(options: LogOptions) -> Iterator[None]:
    """Have an account that is not there told with the rule that names it."""
    try:
        yield
    except UnknownAccountError as error:
        raise ConfigurationError(f"the rule {options.name}: {error}") from None


def lacks(options: LogOptions) -> list[Lack]:
    """Users, groups and programs that there are not: rotation will fail for them, unless they come until then."""
    found = []
    rotating_user, _, rotating_group = (options.su or "").partition(":")
    for option, look, name in (
        ("owner", user, options.owner),
        ("group", group, options.group),
        ("su", user, rotating_user),
        ("su", group, rotating_group),
    ):
        if name:
            try:
                look(name)
            except UnknownAccountError as error:
                found.append(Lack(option, str(error)))
    after = options.then.command if options.then is not None else ()
    for option, command in (("before", options.before), ("then", after)):
        if command and shutil.which(command[0]) is None:
            what = "cannot be run" if os.path.exists(command[0]) else "is not there"  # noqa: PTH110  # as it is written
            found.append(Lack(option, f"the program {clean(command[0])} {what}"))
    return found
