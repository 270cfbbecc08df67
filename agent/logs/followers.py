"""Whether our own `log` checks have read a rotated log to its end, so that it may be compressed.

A compressed log is not read any more (agent.logs.follow). How far each check has read stands in the agent's state,
which belongs to another user than the one that rotates: a child with that user's rights reads it, once for all logs
of a run, and tells what it found as JSON.

Little is imported here, since `hostward logrotate` asks too: where the agent has no state nothing more is.
"""

from __future__ import annotations

import os
import select
import signal
import time
from collections.abc import Callable, Sequence
from typing import NamedTuple

from agent.logs import names
from agent.logs.rotate.hooks import Hooks

PATIENCE = 900.0
"""Seconds after its rotation for which a log waits: a check that is stopped keeps no disk from being freed."""
ANSWER_WITHIN = 10.0
MOST = 32 * 2**20
"""Bytes of an answer."""
TAIL = 2**18
"""Bytes behind a check's place that may be a line without an end, which it leaves (log.longest)."""
MOMENT = 5.0
"""Seconds by which a look must be later than a rotation to have seen all that it did."""


class Followed(NamedTuple):
    """What a check follows, and how far it has read."""

    check: str
    patterns: list[str]
    looked: float
    """Seconds since the epoch."""
    places: dict[tuple[int, int], int]
    """Device and inode to the first byte that it has not read."""


class File(NamedTuple):
    """A rotated log."""

    path: str
    device: int
    inode: int
    size: int
    changed: float
    """When it got its name, seconds since the epoch (st_ctime)."""


class Followers(Hooks):
    """The checks as they stood when this was made. It is of use for one run."""

    def __init__(self, state: str, *, now: float, say: Callable[[str], None], patience: float = PATIENCE) -> None:
        """`state` is the agent's folder; `say` gets a sentence where a log is not waited for any longer."""
        self._state = state
        self._now = now
        self._say = say
        self._patience = patience
        self._checks: list[Followed] | None = None
        self.waiting: list[str] = []
        """Paths that may not be compressed yet."""

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        """Whether nobody has to read it any more: what the engine asks (agent.logs.rotate.run)."""
        if self._checks is None:
            self._checks = _ask(self._state, self._say)
        if not self._checks:
            return True
        try:
            descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_NOFOLLOW | os.O_CLOEXEC)
        except OSError:
            return True  # whoever compresses it will say why not
        try:
            found = os.fstat(descriptor)
            if (found.st_dev, found.st_ino) != (device, inode):
                return False
            file = File(path, device, inode, found.st_size, found.st_ctime)
            behind = unread(self._checks, file, lambda offset: os.pread(descriptor, TAIL, offset))
        finally:
            os.close(descriptor)
        if not behind:
            return True
        if self._now - file.changed > self._patience:
            checks = " and ".join(behind)
            self._say(f"{path} is compressed although it has not been read to its end by the check {checks}")
            return True
        self.waiting.append(path)
        return False


def unread(checks: Sequence[Followed], file: File, read: Callable[[int], bytes]) -> list[str]:
    """The checks that have lines of a file before them. `read` gives at most TAIL bytes of it from an offset on."""
    found = []
    for check in checks:
        offset = check.places.get((file.device, file.inode))
        if offset is not None:
            rest = file.size - offset
            is_behind = rest > TAIL or (rest > 0 and b"\n" in read(offset))
        else:
            # It was not there at the last look, under any name; or it was, and is none that the check wants.
            is_behind = check.looked < file.changed + MOMENT and any(follows(p, file.path) for p in check.patterns)
        if is_behind:
            found.append(check.check)
    return found


def follows(pattern: str, path: str) -> bool:
    """Whether a check of this pattern reads a rotated log of this path."""
    head, _, tail = pattern.rpartition("/")
    folder, _, name = path.rpartition("/")
    if head.count("/") != folder.count("/"):
        return False
    parts = zip(os.fsencode(folder).split(b"/"), os.fsencode(head).split(b"/"), strict=True)
    if not all(names.matches(part, wanted) for part, wanted in parts):
        return False
    return names.family(os.fsencode(name), os.fsencode(tail)) is not None


def _ask(state: str, say: Callable[[str], None]) -> list[Followed]:
    """Every check that follows files, of the agent's state. Where that cannot be read nobody is waited for."""
    try:
        os.lstat(f"{state}/agent.db")
    except PermissionError:
        pass  # for who rotates as another user at the moment
    except OSError:
        return []  # there is no agent here
    reader, writer = os.pipe2(os.O_CLOEXEC)
    child = os.fork()
    if child == 0:
        try:
            os.close(reader)
            _become_owner(state)
            # SQLite and msgspec: only this child pays for them.
            from agent.logs.followed import tell

            tell(state, writer)
            os._exit(0)
        except BaseException:
            os._exit(1)
    os.close(writer)
    answer = None
    try:
        answer = _read(reader)
    finally:
        os.close(reader)
        if answer is None:
            os.kill(child, signal.SIGKILL)
        _, status = os.waitpid(child, 0)
    import json  # 3 ms, which nobody pays who has no agent

    try:
        if answer is None or status != 0:
            raise ValueError
        return [
            Followed(
                str(check),
                [str(p) for p in patterns],
                float(looked),
                {(int(d), int(i)): int(o) for d, i, o in places},
            )
            for check, patterns, looked, places in json.loads(answer)
        ]
    except (ValueError, TypeError, RecursionError):
        say("how far the checks of logs have read cannot be told: they are not waited for")
        return []


def _become_owner(path: str) -> None:
    """Give up all rights but those of whose files are read."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_DFL)
    if os.getuid() == 0 and os.geteuid() != 0:
        os.seteuid(0)
    owner = os.lstat(path)
    if os.geteuid() == 0 and owner.st_uid != 0:
        os.setgroups([])
        os.setresgid(owner.st_gid, owner.st_gid, owner.st_gid)
        os.setresuid(owner.st_uid, owner.st_uid, owner.st_uid)


def _read(reader: int) -> bytes | None:
    """All that comes; None where it is too much, or too late."""
    answer = bytearray()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    end = time.monotonic() + ANSWER_WITHIN
    while len(answer) <= MOST and poll.poll(max(0, end - time.monotonic()) * 1000):
        part = os.read(reader, 1 << 20)
        if not part:
            return bytes(answer)
        answer += part
    return None
