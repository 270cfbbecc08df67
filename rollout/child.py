"""The runner's side of a wave: the process that runs it is started, given its order, heard, answered, killed here.

A wave is a process of its own (decision 11). It ends by itself when all is told, and also when this side goes away:
its standard input then comes to its end, and nothing goes on changing hosts that nobody keeps a journal of. The only
user of `subprocess` in this room.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess  # noqa: TID251 -- the banned import's one place in this room
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from time import monotonic
from types import TracebackType

import msgspec

from rollout.protocol import Answer, Message, Order

ENGINE = (sys.executable, "-P", "-m", "rollout.engine")
"""What carries out an order. -P: no module of the folder it is started in stands for one of ours."""
CHUNK = 1 << 16
GRACE = 10.0
"""Seconds for a process that has told everything to be gone."""


class WaveError(Exception):
    """The process of a wave cannot be started, or does not speak as it should; the text says which."""


class Spare:
    """A process that has loaded its libraries and waits for an order: that takes half a second, which the next wave
    need not wait for.
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def make(self, log: Path) -> None:
        """Have one. Until its order names a log, it prints into this one. Without it, the next wave takes longer."""
        if self._process is None:
            with suppress(WaveError):
                self._process = _start(log)

    def take(self) -> subprocess.Popen[bytes] | None:
        """It is the caller's."""
        process, self._process = self._process, None
        return process

    def close(self) -> None:
        """It is not needed any more."""
        if (process := self.take()) is not None:
            process.kill()
            process.wait()
            _close(process)


class Wave:
    """One process that carries out one order. Leaving the block kills it if it is still there.

    ::

        with Wave(order, log) as wave:
            for message in wave.messages(tick=1.0):
                ...
            died = wave.died()
    """

    def __init__(self, order: Order, log: Path, spare: Spare | None = None) -> None:
        """Start it, or take the spare one. What its libraries print is appended to `log`, which nobody else may read.

        Raises WaveError.
        """
        self.log = log
        self._process = (spare.take() if spare is not None else None) or _start(log)
        self._decoder: msgspec.json.Decoder[Message] = msgspec.json.Decoder(Message)
        self._killed = False
        self._write(msgspec.structs.replace(order, log=str(log)))

    def __enter__(self) -> Wave:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self.kill()
        _close(self._process)

    def messages(self, tick: float | None = None) -> Iterator[Message | None]:
        """What it says, until it says no more; None whenever nothing came for `tick` seconds. Raises WaveError."""
        pipe = self._process.stdout
        assert pipe is not None
        waiting = b""
        with selectors.DefaultSelector() as selector:
            selector.register(pipe, selectors.EVENT_READ)
            due = None if tick is None else monotonic() + tick
            while True:
                if not selector.select(None if due is None else max(0.0, due - monotonic())):
                    yield None
                    due = None if tick is None else monotonic() + tick
                    continue
                chunk = os.read(pipe.fileno(), CHUNK)
                if not chunk:
                    return
                *lines, waiting = (waiting + chunk).split(b"\n")
                for line in lines:
                    yield self._decoded(line)
                due = None if tick is None else monotonic() + tick

    def answer(self, answer: Answer) -> None:
        """Answer what it asked. A process that is gone needs no answer."""
        self._write(answer)

    def kill(self) -> None:
        """End it at once, with whatever it started here. What it began on hosts is left as it is."""
        if self._process.poll() is None:
            self._killed = True
            with suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def died(self) -> str | None:
        """After its last message: why it ended before everything was told, in one sentence; None when all was."""
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"the process of the wave did not end; what it printed is in {self.log}"
        if code == 0:
            return None
        if self._killed:
            return "the process of the wave was ended by the runner"
        how = f"ended with {code}" if code > 0 else f"was killed by signal {-code}"
        return f"the process of the wave {how}; what it printed is in {self.log}"

    def _write(self, what: Order | Answer) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.write(msgspec.json.encode(what) + b"\n")
            pipe.flush()

    def _decoded(self, line: bytes) -> Message:
        try:
            return self._decoder.decode(line)
        except (msgspec.ValidationError, msgspec.DecodeError) as error:
            raise WaveError(f"the process of the wave said what cannot be read: {error}") from None


def _start(log: Path) -> subprocess.Popen[bytes]:
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise WaveError(f"the log of a wave, {log}, cannot be written: {error.strerror}") from None
    try:
        # A session of its own: a Ctrl-C at the terminal is for the runner, which decides what becomes of it.
        return subprocess.Popen(  # noqa: S603 -- a list of words, no shell
            ENGINE,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=descriptor,
            start_new_session=True,
        )
    except OSError as error:
        raise WaveError(f"the process of a wave cannot be started: {error.strerror}") from None
    finally:
        os.close(descriptor)


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
