"""What a run does with its watcher: asks what changed since the run before, and keeps for the next run what it needs.

Whatever is missing, old or strange leads to a full scan, never to a folder that is passed over.
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.backups.watch.changed import ChangedFolders
from agent.backups.watch.exchange import exchange
from agent.backups.watch.protocol import Answer, ChangesSince, ProtocolError, decode_answer
from kit.files import write_durably

FULL_EVERY = 86_400.0
"""Seconds after which a run scans everything: so long may last what no watcher sees."""
PATIENCE = 60.0
"""Seconds for the answer: a watcher may have to begin anew before it."""


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What the run before left."""

    version: int = 1
    repository: str
    """The id of its config."""
    fingerprint: str
    """Of what was saved."""
    snapshot: str
    """The id of what it wrote."""
    token: str
    """Of the answer that it had."""
    scanned: float
    """When everything was scanned last, seconds since the epoch."""


@dataclass(frozen=True)
class Advice:
    """What a run is to do."""

    parent: str = ""
    """The snapshot to compare with; empty: as without a watcher."""
    changed: ChangedFolders | None = None
    """The folders to look into; None: all."""
    reason: str = ""
    """Why all."""
    is_answered: bool = True
    """Whether there is a watcher."""
    token: str = ""
    """To be kept when the snapshot is written; empty: nothing will be known of this run."""
    scanned: float = 0.0


def advise(
    memory: Memory | None, *, repository: str, fingerprint: str, folder: Path, now: float, patience: float = PATIENCE
) -> Advice:
    """Ask the watcher whose socket is in `folder`. `now` is the time, seconds since the epoch."""
    reason = ""
    if memory is None:
        reason = "it is the first run that asks a watcher"
    elif memory.repository != repository:
        reason = "the run before was into another repository"
    elif memory.fingerprint != fingerprint:
        reason = "the run before saved something else"
    elif not 0 <= now - memory.scanned < FULL_EVERY:
        reason = "everything is scanned once a day"
    known = memory if not reason else None
    try:
        question = ChangesSince(fingerprint=fingerprint, token=known.token if known else "")
        answer = ask(folder, question, patience)
    except (OSError, ProtocolError) as error:
        cause = error.strerror if isinstance(error, OSError) and error.strerror else str(error)
        return Advice(reason=f"no watcher answers ({cause})", is_answered=False)
    if known is None or answer.everything:
        return Advice(reason=reason or answer.everything, token=answer.token, scanned=now)
    changed = ChangedFolders(answer.changed, answer.whole)
    return Advice(parent=known.snapshot, changed=changed, token=answer.token, scanned=known.scanned)


def ask(folder: Path, question: ChangesSince, patience: float = PATIENCE) -> Answer:
    """Raises OSError where nobody answers in time, ProtocolError."""
    return decode_answer(exchange(folder, question, patience))


def remember(file: Path, memory: Memory) -> None:
    """Keep it for the next run. Where that fails nothing is kept, and the next run scans everything."""
    try:
        file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(file, msgspec.json.encode(memory), mode=0o600)
    except OSError:
        forget(file)


def recall(file: Path) -> Memory | None:
    """What the run before left; None where there is nothing that this version takes."""
    with suppress(OSError, msgspec.MsgspecError, ValueError):
        memory = msgspec.json.decode(file.read_bytes(), type=Memory)
        return memory if memory.version == 1 else None
    return None


def forget(file: Path) -> None:
    """Keep nothing."""
    with suppress(OSError):
        file.unlink(missing_ok=True)
