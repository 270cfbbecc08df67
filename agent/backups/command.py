"""How backup jobs and drills are run by the agent: as a command of its own, which prints what goes on record."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Literal

Kind = Literal["backup", "drill"]

WORK = Path("/var/lib/hostward-backup")
"""Where privileged runs keep what the next one has to know, in a folder for each job."""
CACHES = Path("/var/cache/hostward-backup")
"""Where they keep copies of what they read again and again."""

_MAIN = "import sys; from agent.cli.main import program; sys.exit(program())"
_WORDS: dict[Kind, tuple[str, ...]] = {"backup": ("run",), "drill": ("drill",)}


def command(kind: Kind, name: str, *, config: Path, state: Path, caches: Path, isolated: bool) -> Sequence[str]:
    """The command. Its standard output is the run as JSON (wire.report), whatever became of it, or nothing where it
    was killed. `isolated`: by the installed packages alone, whatever the environment says.
    """
    python = [sys.executable, "-I" if isolated else "-P", "-c", _MAIN]
    places = ["--config", str(config), "--state-dir", str(state), "--cache-dir", str(caches)]
    return [*python, "backup", *_WORDS[kind], name, "--for-agent", *places]
