"""Containers that are held up while their volumes are read, and go on afterwards whatever happens.

A guard is started before the first of them is held up: a process of its own that knows them all, and lets them go on
as soon as the other end of a socket is closed, which the kernel does where the run is killed. What even the guard
does not survive (a power cut) stands in a note, by which the next run lets them go on before anything else.
"""

from __future__ import annotations

import signal
import socket
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import msgspec

from agent.backups.sources.contract import SourceError
from agent.checks.engine import EngineError
from agent.checks.engine_client import Engine
from agent.jobs.process import start_server
from kit.files import fsync_folder, write_durably

PATIENCE = 30.0
"""Seconds that the engine may take to answer."""
_TRIES = 5
_BETWEEN = 1.0
"""Seconds between two tries to let containers go on."""
_MOST = 1 << 20
_END = b"\n"


class Held(msgspec.Struct, frozen=True):
    """What is held up, by whom."""

    engine: str
    """The path of the engine's socket."""
    containers: dict[str, str]
    """Name by id."""
    stopped: bool
    """Stopped, and to be started; else paused."""
    note: str
    """Where this is written until they go on."""


class _State(msgspec.Struct):
    Status: str = ""


class _Inspected(msgspec.Struct):
    State: _State


def resume(held: Held) -> list[str]:
    """Let all of them go on that do not; what is wrong with those that cannot. The note goes with the last."""
    left = dict(held.containers)
    problems: list[str] = []
    for attempt in range(_TRIES):
        if attempt:
            time.sleep(_BETWEEN)
        problems = []
        for id_, name in list(left.items()):
            try:
                _go_on(held, id_)
            except EngineError as error:
                problems.append(f"container {name} cannot go on: {error}")
            else:
                del left[id_]
        if not left:
            break
    if not left and Path(held.note).exists():
        Path(held.note).unlink(missing_ok=True)
        fsync_folder(Path(held.note).parent)
    return problems


def resume_left(note: Path) -> list[str]:
    """Let containers go on that a run before this left, as its note says; what is wrong with those that cannot."""
    try:
        held = msgspec.json.decode(note.read_bytes(), type=Held)
    except FileNotFoundError:
        return []
    except (OSError, msgspec.MsgspecError, UnicodeDecodeError) as error:
        return [f"{note} cannot be read: {error}"]
    return resume(held)


@contextmanager
def guarded(held: Held) -> Iterator[None]:
    """Containers may be held up in here; on the way out they go on.

    Raises OSError where the note cannot be written or the guard not be started, and SourceError for those that cannot
    go on: that counts for more than whatever else went wrong.
    """
    data = msgspec.json.encode(held)
    ours, theirs = socket.socketpair()
    with ours:
        with theirs:
            argv = [sys.executable, "-I", "-m", "agent.backups.sources.containers", str(theirs.fileno())]
            guard = start_server(argv, theirs.fileno(), environment={})
        try:
            ours.sendall(data + _END)
            if _read(ours, _END) != _END:
                raise SourceError("the guard of the containers did not start")
            write_durably(Path(held.note), data, mode=0o600)
            yield
        finally:
            ours.shutdown(socket.SHUT_WR)
            answer = _read(ours)
            guard.reap()
            problems = msgspec.json.decode(answer, type=list[str]) if answer else resume(held)
            if problems:
                raise SourceError("; ".join(problems))


def guard(link: socket.socket) -> None:
    """Be the guard: learn what is held up, wait until the other end closes, let it go on, and say how that went."""
    held = msgspec.json.decode(_read(link, _END), type=Held)
    link.sendall(_END)
    _read(link)
    answer = msgspec.json.encode(resume(held))
    with suppress(OSError):  # the run was killed: nobody wants to know
        link.sendall(answer)


def _read(link: socket.socket, end: bytes = b"") -> bytes:
    """What comes until `end`, or until the other end closes."""
    data = bytearray()
    while (more := link.recv(_MOST)) and not (end and more.endswith(end)):
        data += more
    return bytes(data + more)


def _go_on(held: Held, id_: str) -> None:
    engine = Engine(held.engine, PATIENCE)
    answer = engine.get_container(id_)
    if answer is None:
        return  # somebody removed it
    try:
        status = msgspec.json.decode(answer, type=_Inspected).State.Status
    except (msgspec.MsgspecError, UnicodeDecodeError):
        raise EngineError("what the engine says of it makes no sense") from None
    if status == "paused":
        engine.act(id_, "unpause")
    elif held.stopped and status != "running":
        engine.act(id_, "start")


def main() -> None:
    """The guard's process, which is told the number of the socket that it has inherited."""
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)  # its end is that of the run
    with socket.socket(fileno=int(sys.argv[1])) as link:
        guard(link)


if __name__ == "__main__":
    main()
