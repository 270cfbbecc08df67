"""What is on record on a host while it is patched, so that whoever comes next can bring it to an end."""

from __future__ import annotations

from typing import Literal

import msgspec
from pyinfra.api.host import Host

from deploys.facts.survey import FOLDER
from deploys.operations.packages.contract import Change
from deploys.operations.run import ran
from deploys.operations.write import write
from wire.report import State

SAVED = f"{FOLDER}/saved"
"""The packages as they were before."""


class Record(msgspec.Struct, frozen=True, kw_only=True):
    """A patch as it stands."""

    phase: Literal["installing", "installed", "undoing"]
    manager: str
    who: str
    changes: tuple[Change, ...]
    saved: tuple[str, ...]
    """Names of the packages that can be put back."""
    boot: str
    """The kernel's name for the boot before."""
    ran: dict[str, bool]
    """The services that ran before, and whether a boot starts each."""
    failed: tuple[str, ...]
    """Those that had failed before."""
    checks: dict[str, State] | None
    """The agent's, before; None where there was no agent to ask."""
    problem: str | None = None
    """What was amiss with the agent itself, before."""
    reason: str = ""
    """Why it is undone."""


class Last(msgspec.Struct, frozen=True, kw_only=True):
    """What stays of the last patch, in `last.json`."""

    outcome: Literal["done", "rolled_back"]
    who: str
    reason: str
    before: dict[str, str | None]
    after: dict[str, str | None]


def parse(found: object) -> Record:
    """Raises msgspec.ValidationError for what another version of this wrote."""
    return msgspec.convert(found, Record)


def keep(host: Host, record: Record) -> None:
    """Have it on the host's disk. Raises StepError."""
    write(host, f"{FOLDER}/record.json", msgspec.json.encode(record).decode(), mode=0o600, outcome="broken")


def close(host: Host, last: Last) -> None:
    """Put the end on record; the packages that were saved stay until the next patch. Raises StepError."""
    write(host, f"{FOLDER}/last.json", msgspec.json.encode(last).decode(), mode=0o600, outcome="broken")
    forget(host)


def forget(host: Host) -> None:
    """There is nothing to bring to an end any more."""
    ran(host, f"rm -f {FOLDER}/record.json; sync {FOLDER}")
