"""`hostward logrotate` takes the options of logrotate 3.22, says what it says, and ends as it ends."""

from __future__ import annotations

import os
import subprocess
import sys
import syslog
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.logs.rotate.say import Voice
from kit.version import __version__
from tests.agent.logs.rotate.twins import both, command, ours
from tests.require import require_root

COMMAND_LINES = [
    "",
    "-d",
    "-v",
    "-s st",
    "-s",
    "--state",
    "-d c",
    "-dv c",
    "-dvs /dev/null c",
    "-ds/dev/null c",
    "-s=/dev/null -v c",
    "--state=/dev/null -v c",
    "--state /dev/null --verbose c",
    "--stat=/dev/null c",
    "--debug=1 c",
    "-d=1 c",
    "-d1 c",
    "-dx c",
    "-x c",
    "--x c",
    "---d c",
    "-V c",
    "-s st c --foo",
    "-s st -- c",
    "-s st -v -- -c",
    "-s st - c",
    "c -vs st",
    "-s st c c",
    "-s st nosuch c",
    "-v -s st c d",
    "--force --verbose -s st c",
    "-fvs st c",
    "-s st --skip-state-lock --wait-for-state-lock c",
    "--skip-state-lock=x c",
    "-m true -vs st c",
    "--mail c",
    "-vs st -l log c",
    "-s st -l log c",
    "-s st --log=no/log c",
    "-s st -l log -l other c",
    "--usage c",
    "-d --usage",
    "-state=/dev/null c",
]


def prepare(folder: Path) -> None:
    """A configuration that says something at each level, and a folder of such."""
    (folder / "c").write_text('daily\nfoo x\n"a.log" {\n\tweekly\n\tmissingok\n}\n')
    (folder / "c").chmod(0o644)
    (folder / "d").mkdir()
    (folder / "d/x.bak").touch()
    (folder / "d/y").write_text("rotate x\n")


def of_ours(said: str) -> str:
    """What the real one says of its version, as ours does: of who made it each speaks for itself."""
    theirs = (
        "logrotate 3.22.0 - Copyright (C) 1995-2001 Red Hat, Inc.\n"
        "This may be freely redistributed under the terms of the GNU General Public License\n"
    )
    return said.replace(theirs, f"logrotate 3.22.0, provided by hostward {__version__}\n")


@pytest.mark.root
def test_options_are_taken_as_by_the_real_one(tmp_path: Path) -> None:
    """Each way to write them, and what is wrong with them: output, exit code, files of --log and the state."""
    require_root()
    for number, line in enumerate(COMMAND_LINES):
        real, own = both(tmp_path / str(number), line.split(), prepare)
        assert (own.code, own.out, own.said) == (real.code, real.out, of_ours(real.said)), line
        made = [
            {path.name: condensed(path) for path in (tmp_path / str(number) / name).iterdir()}
            for name in ("one", "two")
        ]
        assert made[1] == made[0], line


def condensed(path: Path) -> str:
    """What is in a file, without what depends on the minute."""
    if not path.is_file():
        return ""
    return "".join(line for line in path.read_text().splitlines(keepends=True) if not line.startswith("  Now: "))


def test_the_first_line_of_the_version_is_what_scripts_look_for(capfd: pytest.CaptureFixture[str]) -> None:
    """The rest says who provides it."""
    assert main(["logrotate", "--version"]) == 0
    lines = capfd.readouterr().out.splitlines()
    assert lines[0] == "logrotate 3.22.0"
    assert lines[-1].split() == ["Provided", "by:", "hostward", __version__]


def test_help_names_each_option(capfd: pytest.CaptureFixture[str]) -> None:
    """Those that --usage names."""
    assert main(["logrotate", "-?"]) == 0
    shown = capfd.readouterr().out
    assert main(["logrotate", "--usage"]) == 0
    usage = capfd.readouterr().out
    for option in (
        "debug",
        "force",
        "mail",
        "state",
        "skip-state-lock",
        "wait-for-state-lock",
        "verbose",
        "log",
        "version",
    ):
        assert f"--{option}" in shown and f"--{option}" in usage


def test_it_is_a_command_among_the_others(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """The overview lists it, and options of every command may stand before it."""
    assert main(["--help"]) == 0
    assert "  logrotate " in capsys.readouterr().out
    with pytest.raises(SystemExit) as ended:
        main(["help", "logrotate"])
    assert ended.value.code == 0
    assert main(["--config", "x", "logrotate", str(tmp_path / "nosuch")]) in (1, 3)


def test_closed_streams_end_up_in_no_file(tmp_path: Path) -> None:
    """What is said would be written into the state file, which gets the number of standard error."""
    prepare(tmp_path)
    line = f"exec {' '.join(map(quoted, command()))} -v -s st c 0<&- 1>&- 2>&-"
    done = subprocess.run(
        ["/bin/sh", "-c", line],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
    )
    assert done.returncode == 0
    assert (tmp_path / "st").read_text().startswith("logrotate state -- version 2\n")


def quoted(word: str) -> str:
    """For the shell."""
    return f"'{word}'"


def test_nobody_who_listens_changes_nothing(tmp_path: Path) -> None:
    """A reader that goes away early does not end a rotation."""
    prepare(tmp_path)
    reading, writing = os.pipe()
    os.close(reading)
    try:
        done = subprocess.run(
            [*command(), "-v", "-s", "st", "c"],
            cwd=tmp_path,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
            stderr=writing,
        )
    finally:
        os.close(writing)
    assert done.returncode == 0
    assert (tmp_path / "st").read_text().endswith(":0:0\n")


def test_names_are_said_as_the_bytes_that_they_are(tmp_path: Path) -> None:
    """Whatever the encoding is."""
    name = os.fsdecode(b"\xff\xfe")
    (tmp_path / name).write_text("rotate x\n")
    (tmp_path / name).chmod(0o644)
    ended = ours(["-s", "/dev/null", name], tmp_path)
    assert ended.said == f"error: {name}:1 bad rotation count 'x'\n"


def test_syslog_gets_each_message_with_its_gravity(monkeypatch: pytest.MonkeyPatch) -> None:
    """As a number beside it, and not in words."""
    sent: list[tuple[int, str]] = []
    monkeypatch.setattr(syslog, "syslog", lambda level, text: sent.append((level, text)))
    voice = Voice(stream=os.open(os.devnull, os.O_WRONLY))
    voice.log_to("syslog")
    voice.verbose("a")
    voice.warning("b")
    voice.error("c")
    assert sent == [(syslog.LOG_INFO, "a"), (syslog.LOG_WARNING, "b"), (syslog.LOG_ERR, "c")]


def test_nothing_heavy_is_loaded_when_nothing_is_due(tmp_path: Path) -> None:
    """A timer runs it each hour or day, for a thousand logs."""
    prepare(tmp_path)
    (tmp_path / "a.log").touch()
    program = "import sys; from agent.cli.main import main; main(); print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-S", "-c", program, "logrotate", "-s", "st", "c"],
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
        check=True,
    )
    loaded = set(done.stdout.split())
    heavy = {
        "typing",
        "re",
        "dataclasses",
        "enum",
        "pathlib",
        "subprocess",
        "argparse",
        "datetime",
        "json",
        "glob",
        "fnmatch",
    }
    assert not loaded & {
        *heavy,
        "contextlib",
        "functools",
        "collections",
        "msgspec",
        "logging",
        "grp",
        "syslog",
        "tempfile",
    }
