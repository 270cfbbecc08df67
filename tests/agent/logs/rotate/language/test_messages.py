"""What is said of a configuration, and which logs it means, is what logrotate 3.22 says and means."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from agent.cli import logrotate
from tests import peers
from tests.agent.logs.rotate.language.cases import ARGUMENTS, HOME, Case, condensed, load
from tests.require import require_root

CASES = load()


@pytest.mark.root
@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_ours_says_what_the_case_tells(
    case: Case, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    """Messages, their order, and the exit code; the owner of files that are refused is root."""
    require_root()
    case.prepare(tmp_path)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", HOME)
    code = logrotate.run(ARGUMENTS)
    out, said = capfdbinary.readouterr()
    assert (condensed(said, tmp_path), code, out) == (case.said, case.code, b"")


@pytest.mark.root
def test_the_real_one_says_what_the_cases_tell(tmp_path: Path) -> None:
    """The cases are its words, and not what somebody thought them to be."""
    require_root()
    program = peers.logrotate()
    for number, case in enumerate(CASES):
        folder = tmp_path / str(number)
        folder.mkdir()
        case.prepare(folder)
        environment = {**os.environ, "HOME": HOME}
        command = [*program, *ARGUMENTS]
        done = subprocess.run(command, cwd=folder, env=environment, stdin=subprocess.DEVNULL, capture_output=True)
        assert (condensed(done.stderr, folder), done.returncode) == (case.said, case.code), case.title


def test_cases_have_titles_of_their_own() -> None:
    """A failing one is found by it."""
    titles = [case.title for case in CASES]
    assert len(set(titles)) == len(titles) >= 150
