"""The collector's unit, looked at by systemd itself."""

from __future__ import annotations

import configparser
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from collector.cli import main
from collector.cli.dispatch import DATA_DIR
from collector.server import DRAIN
from tests.require import require_program

UNIT = "systemd/hostward-collector.service"


def options(repository: Path) -> dict[str, str]:
    """Of the service."""
    parser = configparser.ConfigParser(strict=False, interpolation=None)
    parser.optionxform = str  # type: ignore[method-assign,assignment]  # the keys of units are spelt with capitals
    parser.read(repository / UNIT)
    return dict(parser["Service"])


def test_systemd_finds_nothing_wrong(repository: Path, tmp_path: Path) -> None:
    """Every option is one that systemd knows, with a value that it takes."""
    program = require_program("systemd-analyze")
    unit = tmp_path / "hostward-collector.service"
    # The program is not installed here, and verify looks for it.
    text = (repository / UNIT).read_text()
    unit.write_text(text.replace("/opt/hostward/current/bin/hostward-collector", sys.executable))
    done = subprocess.run([str(program), "verify", "--man=no", str(unit)], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.returncode == 0


def test_the_sandbox_is_tight(repository: Path) -> None:
    """systemd's own score of exposure, of which 10 is all and 0 is none, stays low."""
    program = require_program("systemd-analyze")
    done = subprocess.run(
        [str(program), "security", "--offline=true", "--threshold=20", str(repository / UNIT)],
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stdout


def test_the_unit_and_the_commands_mean_the_same_folder_and_options(
    repository: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """What `init` fills by default is what the service is given, and it knows the options it is started with."""
    found = options(repository)
    assert Path("/var/lib") / found["StateDirectory"] == DATA_DIR
    program, *words = shlex.split(found["ExecStart"])
    assert program.endswith("/hostward-collector")
    with pytest.raises(SystemExit) as ended:
        main([words[0], "--help"])
    assert ended.value.code == 0
    shown = capsys.readouterr().out
    assert all(word in shown for word in words if word.startswith("--"))


def test_the_unit_gives_the_collector_the_time_that_it_takes(repository: Path) -> None:
    """systemd does not kill one that is writing what it took in."""
    assert int(options(repository)["TimeoutStopSec"]) > DRAIN + 10
