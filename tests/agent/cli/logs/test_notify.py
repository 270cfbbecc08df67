"""Telling whoever writes logs that they were rotated."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.logs.notify import main
from agent.config.logs import Then
from agent.logs.rules.sections import commands_of, then_in_words
from tests.require import require_root


@pytest.fixture
def writer() -> Iterator[subprocess.Popen[bytes]]:
    """A process that ends at SIGUSR1 with 7."""
    program = (
        "import signal, sys; signal.signal(signal.SIGUSR1, lambda *_: sys.exit(7)); print(flush=True); signal.pause()"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        yield process
        process.kill()


@pytest.fixture
def systemctl(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A systemctl that writes down what it is told; idle.service is not active, bad.service cannot be reloaded."""
    said = tmp_path / "said"
    tool = tmp_path / "bin" / "systemctl"
    tool.parent.mkdir()
    tool.write_text(
        f'#!/bin/sh\necho "$@" >> {said}\n'
        'case "$*" in is-active*idle*) exit 3;; "reload bad.service") exit 1;; esac\n'
    )
    tool.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
    said.touch()
    return said


def test_by_pid_file(writer: subprocess.Popen[bytes], tmp_path: Path) -> None:
    """The process gets the signal."""
    (tmp_path / "pid").write_text(f"{writer.pid}\n")
    assert main(["signal-process", "USR1", str(tmp_path / "pid")]) == 0
    assert writer.wait(30) == 7


def test_who_is_not_there_needs_not_be_told(tmp_path: Path) -> None:
    """Neither without the file nor without the process."""
    assert main(["signal-process", "USR1", str(tmp_path / "pid")]) == 0
    with subprocess.Popen(["/bin/true"]) as gone:
        gone.wait()
    (tmp_path / "pid").write_text(str(gone.pid))
    assert main(["signal-process", "USR1", str(tmp_path / "pid")]) == 0


@pytest.mark.parametrize("text", ["", "x", "-1", "0", "1", "1\n2", "99999999999999999999"])
def test_what_is_no_number(text: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Nobody is signalled, least of all everybody or the first process."""
    (tmp_path / "pid").write_text(text)
    assert main(["signal-process", "HUP", str(tmp_path / "pid")]) == 1
    assert "holds no number of a process" in capsys.readouterr().err


def test_a_file_of_another_user(
    writer: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Its owner cannot have root signal somebody else's process."""
    require_root()
    (tmp_path / "pid").write_text(str(writer.pid))
    os.chown(tmp_path / "pid", 65534, 65534)
    assert main(["signal-process", "KILL", str(tmp_path / "pid")]) == 1
    assert "belongs to user 65534" in capsys.readouterr().err
    assert writer.poll() is None


def test_a_link_in_place_of_the_file(
    writer: subprocess.Popen[bytes], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Whoever has the folder cannot have root signal what another file of root's names."""
    require_root()
    (tmp_path / "other").write_text(str(writer.pid))
    (tmp_path / "pid").symlink_to(tmp_path / "other")
    assert main(["signal-process", "KILL", str(tmp_path / "pid")]) == 1
    assert str(tmp_path / "pid") in capsys.readouterr().err
    assert writer.poll() is None


def test_units(systemctl: Path) -> None:
    """Units that are active are reloaded or signalled; a failure is one."""
    assert main(["reload", "web.service"]) == 0
    assert main(["reload", "idle.service"]) == 0
    assert main(["reload", "bad.service"]) == 1
    assert main(["signal-unit", "USR1", "web.service"]) == 0
    assert systemctl.read_text().splitlines() == [
        "is-active --quiet web.service",
        "reload web.service",
        "is-active --quiet idle.service",
        "is-active --quiet bad.service",
        "reload bad.service",
        "is-active --quiet web.service",
        "kill --kill-who=main --signal=USR1 web.service",
    ]


def test_bad_words(capsys: pytest.CaptureFixture[str]) -> None:
    """Are told."""
    for words in ([], ["reload"], ["what", "x"], ["signal-unit", "HUP"]):
        assert main(words) == 2
        assert "expected reload UNIT" in capsys.readouterr().err


def test_what_a_rule_runs(systemctl: Path) -> None:
    """The programs for `then` are this one, and do what they say from any folder."""
    then = Then(reload="web.service", signal="HUP", unit="db.service", command=("/bin/true", "x"))
    for command in commands_of(then):
        subprocess.run(command, check=True, cwd="/")
    assert "reload web.service" in systemctl.read_text().splitlines()
    assert "kill --kill-who=main --signal=HUP db.service" in systemctl.read_text().splitlines()
    assert commands_of(then)[-1] == ("/bin/true", "x")
    assert then_in_words(then) == ["reload web.service", "send SIGHUP to db.service", "run /bin/true x"]
    by_file = Then(signal="USR1", pid_file="/run/web.pid")
    assert then_in_words(by_file) == ["send SIGUSR1 to the process in /run/web.pid"]
    assert commands_of(by_file)[0][-3:] == ("signal-process", "USR1", "/run/web.pid")
    assert signal.Signals[f"SIG{by_file.signal}"] is signal.SIGUSR1
