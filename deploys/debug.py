"""Collect what is known of a host, for a time span, into one file here.

pyinfra INVENTORY deploys/debug.py --limit web1 --data 'debug.since=2 hours ago'

`HOST-TIME.tar.gz` holds the journal, logs, the agent's status, metrics and configuration, processes, disks, units,
network and packages. It is put together on the host, where secrets are taken out before it leaves, and where nothing
of it stays. Another one is made each time that it is asked for.
"""

from __future__ import annotations

from functools import partial
from pathlib import Path
from typing import Annotated

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.kit.alone import run_alone
from deploys.kit.options import options, parsed
from deploys.operations.bundle import fetch_bundle
from deploys.operations.fail import attempt
from kit.options.wrong import OptionError
from kit.units import Size

LEAST = 2**20
"""Bytes: less holds nothing of use."""
Pattern = Annotated[str, msgspec.Meta(pattern=r"^/")]
Prefix = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._-]+)+$")]


class DebugOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `debug` of host data."""

    since: str = "1 hour ago"
    """As date(1) on the host reads it: `2026-11-22 14:30`, `yesterday`."""
    until: str = "now"
    """For the journal. Of logs all is taken that was written to since, their newest lines."""
    logs: tuple[Pattern, ...] = ("/var/log/syslog", "/var/log/messages", "/var/log/*.log", "/var/log/*/*.log")
    """Patterns of files; () for none."""
    size: str = "50MiB"
    """What the file here may have at most."""
    folder: str = "."
    """Where it goes, on this machine. It is made where it is not there."""
    prefix: Prefix = "/opt/hostward"
    """Where the agent is installed."""

    def __post_init__(self) -> None:
        """A size as the agent's configuration has them."""
        if parsed("size", Size, self.size) < LEAST:
            raise OptionError("size", f'expected 1MiB or more, found "{self.size}"')


@deploy("Debug")
def debug(given: DebugOptions | None = None) -> None:
    """Collect a bundle."""
    wanted = given or options(here, "debug", DebugOptions)
    attempt(work=partial(_bundle, wanted=wanted), outcome="left_alone", name="Collect what is known")


def _bundle(host: Host, *, wanted: DebugOptions) -> None:
    fetch_bundle(
        host,
        since=wanted.since,
        until=wanted.until,
        size=int(Size.parse(wanted.size)),
        logs=wanted.logs,
        folder=Path(wanted.folder).expanduser(),
        prefix=wanted.prefix,
    )


run_alone(globals(), debug)
