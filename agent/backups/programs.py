"""Programs whose output is saved, and those that are talked to: always with an end, and a reason where it is bad."""

from __future__ import annotations

import os
import pwd
import re
import selectors
import shutil
import signal
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Self

from agent.jobs.limits import Limits
from agent.jobs.process import Child, Exit, start, why_not_started
from kit.errors import HostwardError
from kit.terminal import bounded, clean

_SAID = 4096
"""Bytes of the end of what it says that are kept, to tell why it failed."""
_REASON = 300
"""Characters of that which are told."""
_REFUSED = b"setpriv: "
"""How the tool begins that could not become the program; that is told in our words."""
_CHUNK = 1 << 16
_WRONG = re.compile(r"\b(error|fatal)\b", re.IGNORECASE)


class ProgramError(HostwardError):
    """A program failed; the message says which, how, and its last words."""


class Output:
    """What a program writes to its standard output, as a stream that fails where the program failed. For a `with`."""

    def __init__(
        self,
        words: Sequence[str],
        *,
        environment: Mapping[str, str] | None = None,
        folder: str = "/",
        given: bytes | int = b"",
        pass_fds: Sequence[int] = (),
        user: str = "",
        heard: bool = True,
        then: str = "",
    ) -> None:
        """Start it (see agent.jobs.process.start), as `user` where one is named. What it says on standard error goes
        to ours where it is `heard`. `then` is what a failure means, for its message.

        Raises CannotStartError and ProgramError.
        """
        self._name = clean(words[0])
        self._heard = heard
        self._then = then and f"; {then}"
        self._child: Child | None = start(
            [*becoming(user), *words],
            limits=Limits(time=0),
            environment={**home_of(user), **(environment or {})},
            given=given,
            folder=folder,
            pass_fds=pass_fds,
        )
        self._said = bytearray()
        self._selector = selectors.DefaultSelector()
        for descriptor in (self._child.output, self._child.error):
            self._selector.register(descriptor, selectors.EVENT_READ)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._selector.close()
        if self._child is not None:
            self._child.signal_group(signal.SIGKILL)
            self._child.reap()
            self._child = None

    def readinto(self, into: memoryview, /) -> int:
        """Read what there is, waiting for something; 0 at the end of a program that did well. Raises ProgramError."""
        child = self._child
        if child is None:
            return 0
        while self._selector.get_map():
            for key, _ in self._selector.select():
                if key.fd == child.error:
                    self._hear(child.error)
                elif count := os.readv(child.output, [into]):
                    return count
                else:
                    self._selector.unregister(child.output)
        self._child = None
        self._judge(child.reap())
        return 0

    def _hear(self, descriptor: int) -> None:
        said = os.read(descriptor, _CHUNK)
        if not said:
            self._selector.unregister(descriptor)
            return
        told = not self._said.startswith(_REFUSED) if self._said else not said.startswith(_REFUSED)
        self._said = (self._said + said)[-_SAID:]
        if self._heard and told:
            os.write(2, _shown(said))

    def _judge(self, end: Exit) -> None:
        if end.code == 0:
            return
        how = f"exit code {end.code}" if end.code > 0 else f"signal {-end.code}"
        why = why_not_started(end.code, self._said) or f"{self._name} failed with {how}{_last_words(self._said)}"
        raise ProgramError(f"{why}{self._then}")


def collect(
    words: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    given: bytes | int = b"",
    pass_fds: Sequence[int] = (),
    user: str = "",
) -> bytes:
    """All that a program prints; what it says else is told where it fails. Raises CannotStartError, ProgramError."""
    with Output(words, environment=environment, given=given, pass_fds=pass_fds, user=user, heard=False) as output:
        return read_all(output)


def read_all(output: Output) -> bytes:
    """To the end. Raises ProgramError."""
    found, buffer = bytearray(), bytearray(_CHUNK)
    while count := output.readinto(memoryview(buffer)):
        found += buffer[:count]
    return bytes(found)


def becoming(user: str) -> list[str]:
    """The words before a command by which it runs as `user`: none for nobody, and for who we are.

    Raises ProgramError.
    """
    if not user or (entry := _entry(user)).pw_uid == os.geteuid():
        return []
    if os.geteuid() != 0:
        raise ProgramError(f"a program is to run as {user}, which only root can bring about")
    # A change of user clears the signal of the parent's death, so that it is set again.
    who = [f"--reuid={entry.pw_uid}", f"--regid={entry.pw_gid}", "--init-groups"]
    return ["setpriv", *who, "--pdeathsig=KILL", "--"]


def home_of(user: str) -> dict[str, str]:
    """What a program finds in its environment of who it runs as."""
    return {"HOME": entry.pw_dir, "USER": user} if user and (entry := _entry(user)) else {}


@contextmanager
def secret_file(content: str, user: str = "") -> Iterator[int]:
    """A file that exists only in memory and as long as this, for a program that runs as `user`: its descriptor.

    The program inherits it by `pass_fds`, and finds it at `path_of(descriptor)`.
    """
    descriptor = os.memfd_create("secret")
    try:
        os.fchmod(descriptor, 0o600)
        if user and os.geteuid() == 0:
            entry = _entry(user)
            os.fchown(descriptor, entry.pw_uid, entry.pw_gid)
        os.write(descriptor, content.encode())
        yield descriptor
    finally:
        os.close(descriptor)


def path_of(descriptor: int) -> str:
    """By which a program opens what it has inherited."""
    return f"/dev/fd/{descriptor}"


def first_of(*names: str) -> str | None:
    """The first of several programs that is on PATH."""
    return next((name for name in names if shutil.which(name)), None)


def _entry(user: str) -> pwd.struct_passwd:
    try:
        return pwd.getpwnam(user)
    except KeyError:
        raise ProgramError(f"there is no user {clean(user)}") from None


def _shown(said: bytes) -> bytes:
    """For a terminal: what programs say may hold names that somebody chose to steer it."""
    return "\n".join(map(clean, said.decode(errors="replace").split("\n"))).encode()


def _last_words(said: bytes | bytearray) -> str:
    """The last line that speaks of an error, for some say more after it, or else the last one."""
    lines = [line.strip() for line in bytes(said).decode(errors="replace").splitlines()]
    lines = [line for line in lines if line]
    line = next((line for line in reversed(lines) if _WRONG.search(line)), lines[-1] if lines else "")
    return f": {bounded(line, _REASON)}" if line else ""
