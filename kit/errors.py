"""Errors that a user may see: each class carries its exit code; only the entry points print and exit.

Exit codes (the same for every command but `hostward check`, which has a monitoring plugin's):
0 done; 1 failed; 2 bad usage or configuration; 3 partly done.
"""

from __future__ import annotations

from typing import ClassVar


class HostwardError(Exception):
    """Something failed, and `str(error)` is the one clear sentence: what, where, what was expected."""

    exit_code: ClassVar[int] = 1


class UsageError(HostwardError):
    """The command line asked for something that cannot be."""

    exit_code = 2


class ConfigurationError(HostwardError):
    """The configuration is not usable; the message may hold several lines, one for each mistake."""

    exit_code = 2
