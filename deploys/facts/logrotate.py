"""Who rotates a host's logs."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Iterable
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase

DROP_IN = "/etc/systemd/system/logrotate.service.d/hostward.conf"
JOURNAL = "/var/lib/logrotate/status.journal"
"""Of a run of ours that was killed."""


class Rotation(msgspec.Struct, frozen=True, kw_only=True):
    """How logs are rotated here."""

    unit: bool = False
    """Whether there is Debian's `logrotate.service`."""
    agent: bool = False
    """Whether `hostward` is installed below the prefix."""
    drop_in: str | None = None
    """The text of the drop-in that has us rotate; None where there is none."""
    journal: bool = False
    """Whether a run of ours was killed and is to be finished."""
    watching: bool = False
    """Whether `hostward-logs.service` is enabled."""
    runs: bool = False
    """Whether it is active."""


def parse_rotation(lines: Iterable[str]) -> Rotation:
    """Of the command's `KEY VALUE`. What cannot be read counts as not there."""
    said = dict(line.partition(" ")[::2] for line in lines)
    try:
        drop_in = base64.b64decode(said["drop_in"], validate=True).decode() if "drop_in" in said else None
    except (binascii.Error, UnicodeDecodeError, ValueError):
        drop_in = ""  # something that is not ours
    return Rotation(
        unit=said.get("unit") == "loaded",
        agent="agent" in said,
        drop_in=drop_in,
        journal="journal" in said,
        watching=said.get("watching") == "enabled",
        runs=said.get("runs") == "active",
    )


class LogRotation(FactBase[Rotation]):
    """Who rotates."""

    def command(self, prefix: str) -> str:
        """Look, and change nothing."""
        return (
            'echo "unit $(systemctl show --property=LoadState --value logrotate.service)"; '
            f"test ! -x {quote(prefix)}/current/bin/hostward || echo agent; "
            f'test ! -e {DROP_IN} || echo "drop_in $(base64 -w 0 {DROP_IN})"; '
            f"test ! -e {JOURNAL} || echo journal; "
            'echo "watching $(systemctl is-enabled hostward-logs.service 2>/dev/null)"; '
            'echo "runs $(systemctl is-active hostward-logs.service 2>/dev/null)"'
        )

    @staticmethod
    def default() -> Rotation:
        """Of a host that says nothing."""
        return Rotation()

    def process(self, output: Iterable[str]) -> Rotation:
        """As parse_rotation."""
        return parse_rotation(output)
