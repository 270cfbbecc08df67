"""`hostward logrotate` and the real one, each in a folder of its own that was made alike."""

from __future__ import annotations

import os
import re
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.cli.main import main
from tests import peers

BROKEN = 70
"""The exit code after an exception that nobody caught."""


@dataclass(frozen=True)
class Ended:
    """Exit code, and what was said, with `@` for the folder."""

    code: int
    out: str
    said: str


def ours(arguments: Sequence[str], folder: Path) -> Ended:
    """Run ours in its folder."""
    return _run(folder, lambda: main(["logrotate", *arguments]))


def real(arguments: Sequence[str], folder: Path) -> Ended:
    """Run the real one in its folder."""
    command = peers.logrotate()
    return _run(folder, lambda: os.execv(command[0], [*command, *arguments]))


def both(tmp_path: Path, arguments: Sequence[str], prepare: Callable[[Path], object]) -> tuple[Ended, Ended]:
    """What the real one and ours did, in `tmp_path/one` and `tmp_path/two`: names that are of the same length."""
    ended = []
    for run, name in ((real, "one"), (ours, "two")):
        folder = tmp_path / name
        folder.mkdir(parents=True)
        prepare(folder)
        ended.append(run(arguments, folder))
    return ended[0], ended[1]


def _run(folder: Path, work: Callable[[], int]) -> Ended:
    """In a fork: to start Python for each of some hundred runs would take a minute."""
    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as said:
        child = os.fork()
        if child == 0:
            code = BROKEN
            try:
                os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
                os.dup2(out.fileno(), 1)
                os.dup2(said.fileno(), 2)
                os.closerange(3, 256)
                os.chdir(folder)
                code = work()
            except BaseException:
                os.write(2, traceback.format_exc().encode())
            finally:
                os._exit(code)
        code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
        texts = []
        for stream in (out, said):
            stream.seek(0)
            text = stream.read().decode(errors="surrogateescape").replace(str(folder), "@")
            texts.append(re.sub(r"  Now: .*\n", "", text))
    return Ended(code, *texts)


def command() -> list[str]:
    """What starts ours as a program of its own."""
    return [sys.executable, "-c", "import sys; from agent.cli.main import main; sys.exit(main())", "logrotate"]
