"""`hostward logs analyse` as it is called."""

from __future__ import annotations

import gzip
import json
import os
import pty
import shutil
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest

from agent.logs import journal, journal_usage
from agent.logs.analyse.count import Window
from agent.logs.analyse.result import Analysis, Requests, Shape
from agent.logs.analyse.work import Task, Work
from tests.agent.checks.journals import BEGAN, write_journal

LINES = """\
2026-11-21T10:00:00+00:00 web app[1]: error: job 1 failed \x1b[2J\x07
2026-11-21T11:00:00+00:00 web app[1]: error: job 2 failed \x1b[2J\x07
2026-11-21T12:00:00+00:00 web sshd[1]: Failed password for root\x1b[31m from 10.0.0.1 port 2 ssh2
"""
REQUEST = '10.0.0.9 - - [21/Nov/2026:10:00:00 +0000] "GET /\\x1b[2J HTTP/1.1" 500 1 "-" "curl/8\x1b[2J"\n'


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log with what would steer a terminal."""
    path = tmp_path / "app.log"
    path.write_text(LINES)
    return path


def analyse(
    folder: Path, *words: str | Path, given: bytes = b"", **environment: str
) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [Path(sys.executable).with_name("hostward"), "logs", "analyse", *words, "--state-dir", folder],
        input=given,
        capture_output=True,
        env={**os.environ, "TZ": "UTC", **environment},
        check=False,
    )


def test_a_log_is_summed_up(log: Path, tmp_path: Path) -> None:
    done = analyse(tmp_path, log)
    shown = done.stdout.decode()
    assert done.returncode == 0, done.stderr
    assert "3 lines from 11-21 10:00 to 11-21 12:00" in shown
    assert "error 3" in shown
    assert "app: error: job <n> failed" in shown
    assert "10.0.0.1" in shown
    assert "lines   @@@  at most 1 in an hour" in shown, "what is piped is ASCII"
    assert shown.isascii() or "\N{REPLACEMENT CHARACTER}" in shown


def test_json_is_as_documented(log: Path, tmp_path: Path, repository: Path) -> None:
    done = analyse(tmp_path, "--json", log)
    analysis = msgspec.json.decode(done.stdout, type=Analysis)
    assert analysis.lines == 3
    assert set(json.loads(done.stdout)) == set(Analysis.__struct_fields__)
    text = (repository / "docs/logs.md").read_text().partition("## Analysis")[2]
    for name in (*Analysis.__struct_fields__, *Requests.__struct_fields__, *Shape.__struct_fields__):
        assert f"`{name}`" in text, name


def test_the_commands_of_the_page_work(tmp_path: Path, repository: Path) -> None:
    """As they stand there, with logs of the test's own in place of the host's."""
    text = (repository / "docs/logs.md").read_text().partition("\n## Analysis\n")[2]
    commands = text.partition("```sh\n")[2].partition("```")[0]
    assert commands.count("hostward logs analyse") == 6
    logs = tmp_path / "var/log"
    (logs / "nginx").mkdir(parents=True)
    (logs / "nginx/access.log").write_text(REQUEST)
    for name in ("syslog", "auth.log"):
        (logs / name).write_text(LINES)
    (tmp_path / "old.log.gz").write_bytes(gzip.compress(LINES.encode()))
    (tmp_path / "bin").mkdir()
    entry = '{"__REALTIME_TIMESTAMP": "1000000", "MESSAGE": "x"}'
    (tmp_path / "bin/journalctl").write_text(f"#!/bin/sh\necho '{entry}'\n")
    (tmp_path / "bin/hostward").write_text(
        f'#!/bin/sh\nexec {Path(sys.executable).with_name("hostward")} --state-dir {tmp_path} "$@"\n'
    )
    for program in ("journalctl", "hostward"):
        (tmp_path / "bin" / program).chmod(0o755)
    done = subprocess.run(
        ["/bin/bash", "-e", "-o", "pipefail", "-c", commands.replace("/var/log", str(logs))],
        cwd=tmp_path,
        env={**os.environ, "TZ": "UTC", "PATH": f"{tmp_path}/bin:{os.environ['PATH']}"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert "10.0.0.1" in done.stdout


def test_nothing_of_a_log_steers_the_terminal(log: Path, tmp_path: Path) -> None:
    """Neither piped nor on a terminal, where there are colours of our own; columns keep to its width."""
    access = tmp_path / "access.log"
    access.write_text(REQUEST)
    piped = analyse(tmp_path, log, access).stdout
    assert b"\x1b" not in piped
    assert b"\x07" not in piped
    main, side = pty.openpty()
    with subprocess.Popen(
        [Path(sys.executable).with_name("hostward"), "logs", "analyse", log, access, "--state-dir", tmp_path],
        stdout=side,
        stderr=subprocess.DEVNULL,
        env={**os.environ, "TZ": "UTC", "COLUMNS": "60", "TERM": "xterm", "LC_ALL": "C.UTF-8"},
    ) as process:
        os.close(side)
        shown = b""
        try:
            while data := os.read(main, 4096):
                shown += data
        except OSError:
            pass
        assert process.wait() == 0
    os.close(main)
    assert b"\x1b[31m" in shown, "errors are red"
    assert "█" in shown.decode()
    for ours in (b"\x1b[31m", b"\x1b[33m", b"\x1b[2m", b"\x1b[0m"):
        shown = shown.replace(ours, b"")
    assert b"\x1b" not in shown
    assert max(map(len, shown.decode().splitlines())) <= 60


def test_times_are_taken_as_ages_and_as_moments(log: Path, tmp_path: Path) -> None:
    for since, lines in (("2026-11-21 11:00", 2), ("2026-11-21T11:00:01Z", 1), ("1ms", 0)):
        assert json.loads(analyse(tmp_path, log, "--json", "--since", since).stdout)["lines"] == lines
    until = analyse(tmp_path, log, "--json", "--until", "2026-11-21 11:00")
    assert json.loads(until.stdout)["lines"] == 1


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--since", "soon"], "expected an age"),
        (["--top", "0"], "from 1 to 1000"),
        (["--since", "1h", "--until", "2h"], "not later than"),
        (["what is this"], "expected the path of a log"),
        (["acces.log"], '"acces.log" is no file: expected the path of a log'),
    ],
)
def test_mistakes_are_told(words: list[str], said: str, tmp_path: Path) -> None:
    done = analyse(tmp_path, *words)
    assert (done.returncode, said in done.stderr.decode()) == (2, True)


def test_exit_codes_tell_what_could_not_be_read(log: Path, tmp_path: Path) -> None:
    """3 where there was something else; 1 where there was nothing."""
    assert analyse(tmp_path, log, tmp_path / "missing.log").returncode == 3
    done = analyse(tmp_path, tmp_path / "missing.log")
    assert done.returncode == 1
    assert b"missing.log: No such file" in done.stderr


def test_a_unit_is_read_from_the_journal(tmp_path: Path) -> None:
    """A real one, to which a wrapper leads journalctl; what is long or no text counts too."""
    rows: list[dict[str, str | bytes]] = [
        {"MESSAGE": "no 1", "PRIORITY": "3"},
        {"MESSAGE": "no 22", "PRIORITY": "3"},
        {"MESSAGE": b"bytes \xff\n", "PRIORITY": "6"},
        {"MESSAGE": "long " * 2000, "PRIORITY": "6"},
    ]
    unit = {"_SYSTEMD_UNIT": "nginx.service", "SYSLOG_IDENTIFIER": "nginx", "_UID": "0"}
    others = [{"MESSAGE": "other", "_SYSTEMD_UNIT": "other.service"}]
    write_journal(tmp_path / "journal", [*({**unit, **row} for row in rows), *others])
    program = tmp_path / "bin/journalctl"
    program.parent.mkdir()
    program.write_text(f'#!/bin/sh\nexec {shutil.which("journalctl")} --directory={tmp_path}/journal "$@"\n')
    program.chmod(0o755)
    since = datetime.fromtimestamp(BEGAN + 1, UTC).isoformat()
    done = analyse(
        tmp_path, "nginx.service", "--since", since, "--json", PATH=f"{program.parent}:{os.environ['PATH']}"
    )
    found = json.loads(done.stdout)
    assert (found["lines"], found["earlier"], found["errors"]) == (3, 1, [])
    assert (found["severities"]["error"], found["severities"]["info"]) == (1, 2)
    assert found["shapes"][0] | {"example": ""} == {
        "shape": "nginx: <long message>",
        "count": 1,
        "severity": "info",
        "first": BEGAN + 3,
        "last": BEGAN + 3,
        "example": "",
    }
    assert found["sources"] == [{"name": "journal: nginx.service", "files": 0, "lines": 3}]


def test_a_host_without_a_journal(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing was read, which is no quiet unit."""
    monkeypatch.setattr(journal_usage, "FOLDERS", (str(tmp_path),))
    monkeypatch.setattr(journal, "printed", lambda *_: iter(()))
    work = Work([Task(0, None, "ssh.service", 0, None, "", ())], Window(0.0, 1.0), 0.0, UTC, 1.0, 1)
    (outcome,) = work.outcomes()
    assert outcome.error == journal_usage.NO_JOURNAL
