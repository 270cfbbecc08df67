"""A case in twin folders: one lives under the real logrotate, the other under ours, both by the same name."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from difflib import unified_diff

from tests.agent.logs.rotate.differential.case import FOLDER, Case
from tests.agent.logs.rotate.differential.folder import look, prepare, seconds
from tests.agent.logs.rotate.differential.programs import Program, written


class Twins:
    """Compares two programs, one case after the other."""

    def __init__(self, *programs: Program) -> None:
        self.place = programs[0].runner.place
        self.folder = self.place / "case"
        """What both folders are called while a program runs, so that all paths are the same."""
        self.programs = programs

    def differences(self, case: Case) -> list[str]:
        """What differs after the first run after which something does; empty when nothing ever does.

        Each is one text: which run, what, and its lines, of which those that only the real one has begin with `-`.
        """
        homes = [self.place / f"twin-{number}" for number in range(len(self.programs))]
        try:
            for home in homes:
                home.mkdir()
            for number, run in enumerate(case.runs):
                sides = []
                for home, program in zip(homes, self.programs, strict=True):
                    home.rename(self.folder)
                    try:
                        prepare(self.folder, str(self.folder), run, case.timezone)
                        sides.append(self.lived(case, number, program))
                    finally:
                        self.folder.rename(home)
                if differing := list(compare(*sides)):
                    return [f"run {number + 1}: {text}".replace(str(self.folder), FOLDER) for text in differing]
            return []
        finally:
            for home in homes:
                shutil.rmtree(home, ignore_errors=True)

    def lived(self, case: Case, number: int, program: Program) -> dict[str, str]:
        """One run of one program: everything that is to be seen of it by name."""
        run = case.runs[number]
        output = (self.place / "output", self.place / "errors")
        began = time.time()
        code = program(run, self.folder, case.timezone, output)
        seen = look(self.folder, written(began), seconds(run.clock, case.timezone))
        said = {f"<{path.name}>": path.read_text(errors="surrogateescape") for path in output}
        return seen | said | {"<exit code>": str(code)}


def compare(real: dict[str, str], ours: dict[str, str]) -> Iterator[str]:
    """One text for each thing that is not the same."""
    for name in sorted(real.keys() | ours.keys()):
        left, right = (comparable(side.get(name, "(missing)")) for side in (real, ours))
        if left != right:
            lines = unified_diff(left.splitlines(), right.splitlines(), "real", "ours", lineterm="", n=2)
            yield "\n".join((name, *lines))


def comparable(text: str) -> str:
    """Without what is never the same twice: process ids in messages."""
    return re.sub(r"\(pid \d+\)", "(pid N)", text)
