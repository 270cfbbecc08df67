"""The runner's side of a wave: the process that runs it is started, given its order, heard, answered, killed here.

A wave is a process of its own (decision 11), which the engine's process forks once its libraries are loaded. It ends
by itself when all is told, and also when this side goes away: the standard input then comes to its end, and nothing
goes on changing hosts that nobody keeps a journal of. The only user of `subprocess` in this room.
"""

from __future__ import annotations

import os
import selectors
import signal
import subprocess  # noqa: TID251 -- the banned import's one place in this room
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from time import monotonic
from types import TracebackType

import msgspec

from rollout.protocol import Answer, Message, Order, Told

ENGINE = (sys.executable, "-P", "-m", "rollout.engine")
"""What carries out an order. -P: no module of the folder it is started in stands for one of ours."""
CHUNK = 1 << 16
GRACE = 10.0
"""Seconds for a process that says nothing more to be gone."""


class WaveError(Exception):
    """The process of a wave cannot be started, or does not speak as it should; the text says which."""


class Engine:
    """The process that carries out orders, one after the other. It is started by the first one, and anew by the next
    after it was killed or died. Leaving the block ends it.

    ::

        with Engine() as engine, engine.wave(order, log) as wave:
            for message in wave.messages(tick=1.0):
                ...
            died = wave.died()
    """

    def __init__(self) -> None:
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Engine:
        return self

    def __exit__(
        self, _kind: type[BaseException] | None, _error: BaseException | None, _trace: TracebackType | None
    ) -> None:
        self._end()

    @contextmanager
    def wave(self, order: Order, log: Path) -> Iterator[Wave]:
        """Have an order carried out. Leaving the block kills what is still at it.

        What libraries print is appended to `log`, which nobody else may read. Raises WaveError.
        """
        if self._process is not None and self._process.poll() is not None:
            self._end()  # it died since
        if self._process is None:
            self._process = _start(log)
        wave = Wave(self._process, msgspec.structs.replace(order, log=str(log)))
        try:
            yield wave
        finally:
            if not wave.told:
                self._end()

    def _end(self) -> None:
        process, self._process = self._process, None
        if process is not None:
            _kill(process)
            _close(process)


class Wave:
    """One order that is being carried out."""

    def __init__(self, process: subprocess.Popen[bytes], order: Order) -> None:
        self.told = False
        """Whether it came to its end."""
        self._process = process
        self._log = order.log
        self._decoder: msgspec.json.Decoder[Message | Told] = msgspec.json.Decoder(Message | Told)
        self._killed = False
        self._write(order)

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
                    message = self._decoded(line)
                    if isinstance(message, Told):
                        self.told = True
                        return
                    yield message
                due = None if tick is None else monotonic() + tick

    def answer(self, answer: Answer) -> None:
        """Answer what it asked. A process that is gone needs no answer."""
        self._write(answer)

    def kill(self) -> None:
        """End it at once, with whatever it started here. What it began on hosts is left as it is."""
        self._killed = _kill(self._process)

    def died(self) -> str | None:
        """After its last message: why it ended before everything was told, in one sentence; None when all was."""
        if self.told:
            return None
        try:
            code = self._process.wait(GRACE)
        except subprocess.TimeoutExpired:
            self.kill()
            return f"the process of the wave did not end; what it printed is in {self._log}"
        if self._killed:
            return "the process of the wave was ended by the runner"
        how = f"ended with {code}" if code >= 0 else f"was killed by signal {-code}"
        return f"the process of the wave {how}; what it printed is in {self._log}"

    def _write(self, what: Order | Answer) -> None:
        pipe = self._process.stdin
        assert pipe is not None
        with suppress(BrokenPipeError):
            pipe.write(msgspec.json.encode(what) + b"\n")
            pipe.flush()

    def _decoded(self, line: bytes) -> Message | Told:
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


def _kill(process: subprocess.Popen[bytes]) -> bool:
    """Returns whether it was still there."""
    if process.poll() is not None:
        return False
    with suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    return True


def _close(process: subprocess.Popen[bytes]) -> None:
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):
                pipe.close()
