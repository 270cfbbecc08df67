"""Steps that fail."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.deploys.support import BIN, REPOSITORY, environment

DEPLOY = """\
from pyinfra.api.exceptions import PyinfraError
from deploys.operations.fail import StepError, attempt, fail

def works(host):
    host.log(f"works on {host.name}")

def breaks(host):
    raise KIND

attempt(works, name="first")
attempt(breaks, outcome="rolled_back", name="second")
attempt(works, name="never")
"""


def run(tmp_path: Path, kind: str) -> str:
    """What pyinfra prints of a deploy whose second step raises `kind`."""
    path = tmp_path / "step.py"
    path.write_text(DEPLOY.replace("KIND", kind))
    words = [str(BIN / "pyinfra"), "@fake/one", str(path), "-y"]
    done = subprocess.run(
        words,
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    said = done.stdout + done.stderr
    assert done.returncode == 1, said
    assert "Traceback" not in said, said
    assert said.count("works on @fake/one") == 1, said
    return said


def test_a_step_that_fails_says_one_sentence_and_how_the_host_was_left(tmp_path: Path) -> None:
    """And no step follows it."""
    assert "the disk is full (broken)" in run(tmp_path, 'StepError("the disk is full", "broken")')


def test_a_lost_connection_leaves_the_host_as_the_step_says(tmp_path: Path) -> None:
    """For what is lost says nothing of that itself."""
    assert "the connection was lost: gone (rolled back)" in run(tmp_path, 'EOFError("gone")')
