"""`hostward logrotate` and the real one, each in a folder of its own that was made alike."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests import peers

OURS = (sys.executable, "-c", "import sys; from agent.cli.main import main; sys.exit(main())", "logrotate")


@dataclass(frozen=True)
class Ended:
    """Exit code, and what was said, with `@` for the folder."""

    code: int
    out: str
    said: str


def run(command: Sequence[str], arguments: Sequence[str], folder: Path) -> Ended:
    """Run one of both in its folder."""
    done = subprocess.run(
        [*command, *arguments],
        cwd=folder,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    out, said = (
        each.decode(errors="surrogateescape").replace(str(folder), "@") for each in (done.stdout, done.stderr)
    )
    return Ended(done.returncode, out, re.sub(r"  Now: .*\n", "", said))


def both(tmp_path: Path, arguments: Sequence[str], prepare: Callable[[Path], None]) -> tuple[Ended, Ended]:
    """What the real one and ours did, in `tmp_path/one` and `tmp_path/two`: names that are of the same length."""
    real = peers.logrotate()
    ended = []
    for command, name in ((real, "one"), (OURS, "two")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        prepare(folder)
        ended.append(run(command, arguments, folder))
    return ended[0], ended[1]
