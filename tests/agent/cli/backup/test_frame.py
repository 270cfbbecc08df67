"""What stands around every command of backups."""

from __future__ import annotations

import signal
import subprocess
import sys
from pathlib import Path

import pytest

PROGRAM = """
import argparse, os, sys, time
sys.path.insert(0, {root!r})
from agent.cli.backup.frame import around
from kit.commands import Command

class Finalized:
    def __del__(self):
        os.kill(os.getpid(), {number})
        for _ in range(1000):
            pass

def run(options):
    Finalized()
    for _ in range(1000):
        time.sleep(0.01)
    return 0

sys.exit(around(Command(run, ""), argparse.Namespace(job=None, json=False)))
"""


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_in_a_finalizer_ends_the_command(number: signal.Signals) -> None:
    """Python ignores what is raised there, and a run that was to end would go on to its end."""
    program = PROGRAM.format(root=str(Path(__file__).parents[4]), number=int(number))
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60)
    assert (done.returncode, done.stdout) == (128 + number, "")
    assert done.stderr == f"hostward: ended by {number.name} before it was done\n"
