"""Users and groups, by name or number, and the modes that stand beside them."""

from __future__ import annotations

import grp
import pwd

from agent.logs.rotate.language.numbers import LONG, unsigned
from agent.logs.rotate.language.text import MistakeError

_MODES = 2**32
"""A mode that is no less is none."""


_users: dict[str, int] = {}
_groups: dict[str, int] = {}
"""Ids that were looked up: a thousand sections name the same few."""


def user(name: str) -> int:
    """The id. One that no user has is refused, too. Raises MistakeError."""
    if name not in _users:
        try:
            _users[name] = _user(name)
        except (KeyError, OverflowError, ValueError):
            raise MistakeError(f"unknown user '{name}'") from None
    return _users[name]


def group(name: str) -> int:
    """The id. One that no group has is refused, too. Raises MistakeError."""
    if name not in _groups:
        try:
            _groups[name] = _group(name)
        except (KeyError, OverflowError, ValueError):
            raise MistakeError(f"unknown group '{name}'") from None
    return _groups[name]


def _user(name: str) -> int:
    try:
        return pwd.getpwnam(name).pw_uid
    except (KeyError, ValueError):
        return pwd.getpwuid(_number(name)).pw_uid


def _group(name: str) -> int:
    try:
        return grp.getgrnam(name).gr_gid
    except (KeyError, ValueError):
        return grp.getgrgid(_number(name)).gr_gid


def _number(text: str) -> int:
    value = unsigned(text, 10) if text else None
    if value is None or value == LONG:
        raise ValueError("no number")
    return value


def mode(text: str) -> int:
    """Octal. Raises MistakeError."""
    value = unsigned(text, 8) if text else None
    if value is None or value >= _MODES:
        raise MistakeError(f"invalid mode '{text}'")
    return value
