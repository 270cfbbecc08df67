"""What the engine asks of `hostward logs`."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from agent.cli.logs.waiting import Waiting
from agent.logs.followers import Followers

WORK = """
import os, sys
from pathlib import Path
from agent.cli.logs.waiting import Waiting
hooks = Waiting(Path(sys.argv[1]).parent, now=0, quiet=False)
file = os.open(sys.argv[1], os.O_RDONLY)
os.read(file, 500)
status = os.fstat(file)
hooks.may_compress(sys.argv[1], status.st_dev, status.st_ino)
sys.stdin.read()
hooks.close()
"""
"""Something that compresses a file until its standard input ends."""


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
    with subprocess.Popen([sys.executable, "-c", WORK, str(log)], stdin=waits, stderr=inside) as child:
        os.close(waits)
        said = b""
        while b"500B of 1000B" not in said:
            said += os.read(terminal, 4096)
        os.close(goes_on)
        assert child.wait(60) == 0
    os.set_blocking(terminal, False)
    said += os.read(terminal, 65536)
    assert said.endswith(b"\r\x1b[K")
    os.close(terminal)
    os.close(inside)
