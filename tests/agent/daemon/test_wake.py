"""What wakes the loop."""

from __future__ import annotations

import os
import select
import signal
import threading

from agent.daemon.wake import CALL, Wake


def test_signals_and_calls_wake_it_and_are_told_apart() -> None:
    """A signal is its number, a call from a thread is CALL, and a flood of either blocks nobody."""
    before = signal.getsignal(signal.SIGHUP)
    wake = Wake([signal.SIGHUP])
    try:
        assert wake.read() == set()
        os.kill(os.getpid(), signal.SIGHUP)
        assert select.select([wake], [], [], 10)[0] == [wake]
        assert wake.read() == {signal.SIGHUP}
        thread = threading.Thread(target=lambda: [wake.call() for _ in range(100_000)])
        thread.start()
        thread.join()
        assert wake.read() == {CALL}
    finally:
        wake.close()
    assert signal.getsignal(signal.SIGHUP) == before
    assert signal.set_wakeup_fd(-1) == -1
