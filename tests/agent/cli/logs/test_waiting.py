"""What the engine asks of `hostward logs`."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

from agent.cli.logs.waiting import Waiting
from agent.logs.followers import Followers


def test_how_far_it_is(tmp_path: Path) -> None:
    """Is told by how far the log was read that is compressed now, by whoever has it open."""
    log = tmp_path / "log.1"
    log.write_bytes(bytes(1000))
    hooks = Waiting(tmp_path, now=0, quiet=True)
    status = log.stat()
    assert hooks.may_compress(str(log), status.st_dev, status.st_ino)
    shown = hooks.status()
    assert (shown.done, shown.total, shown.item) == (0, None, str(log))
    with log.open("rb", buffering=0) as file:
        file.read(300)
        shown = hooks.status()
        assert (shown.done, shown.total) == (300, 1000)
    hooks.close()


def test_what_is_still_read_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And told."""
    monkeypatch.setattr(Followers, "may_compress", lambda *_: False)
    hooks = Waiting(tmp_path, now=0, quiet=True)
    assert not hooks.may_compress("/log.1", 1, 2)
    assert hooks.left == ["/log.1"]


def test_a_line_on_a_terminal(tmp_path: Path) -> None:
    """Is drawn while something is compressed, and taken away."""
    terminal, inside = os.openpty()
    waits, goes_on = os.pipe()
    log = tmp_path / "log.1"
    log.write_bytes(bytes(1000))
    child = os.fork()
    if child == 0:
        os.close(goes_on)
        os.dup2(inside, 2)
        sys.stderr = open(2, "w", closefd=False)  # noqa: SIM115  # for the child's life
        hooks = Waiting(tmp_path, now=0, quiet=False)
        file = os.open(log, os.O_RDONLY)
        os.read(file, 500)
        status = os.fstat(file)
        hooks.may_compress(str(log), status.st_dev, status.st_ino)
        os.read(waits, 1)
        hooks.close()
        os._exit(0)
    os.close(waits)
    said = b""
    while b"500B of 1000B" not in said:
        said += os.read(terminal, 4096)
    os.close(goes_on)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    os.set_blocking(terminal, False)
    said += os.read(terminal, 65536)
    assert said.endswith(b"\r\x1b[K")
    os.close(terminal)
    os.close(inside)
