"""A check that gives each of its runs a number of its own and writes down, beside the agent, that it has: the oracle
for faults in which nothing can be committed."""

from __future__ import annotations

from pathlib import Path

SCRIPT = """#!/bin/sh
cd {folder} || exit 3
test -e quiet && {{ echo quiet; exit 0; }}
number=$(($(cat number 2>/dev/null || echo 0) + 1))
echo $number > number
echo "number $number | number=$number"
"""


class Numbers:
    """The check's script and what it wrote."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        folder.mkdir(mode=0o777)
        folder.chmod(0o777)
        self._script = folder / "check"
        self._script.write_text(SCRIPT.format(folder=folder))
        self._script.chmod(0o755)

    @property
    def configuration(self) -> str:
        """The check, once a second."""
        return f'[checks.numbers]\ntype = "command"\nevery = "1s"\ncommand = ["{self._script}"]\n'

    @property
    def last(self) -> int:
        """The highest number that was given."""
        try:
            return int((self._folder / "number").read_text() or 0)
        except FileNotFoundError:
            return 0

    def stop(self) -> None:
        """From its next run on, it gives none."""
        (self._folder / "quiet").touch()
