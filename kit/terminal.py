"""What a person sees on a terminal: tables and colours that turn into plain text when piped."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Sequence
from typing import TextIO

COLOURS = {
    "ok": "32",
    "warning": "33",
    "critical": "31",
    "down": "31",
    "unknown": "90",
    "dim": "2",
    "bold": "1",
}


def is_coloured(stream: TextIO) -> bool:
    """Colours go to a terminal that wants them (https://no-color.org), and nowhere else."""
    return stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"


def paint(text: str, colour: str, stream: TextIO | None = None) -> str:
    """`text` in the colour of a state or style from COLOURS, or as it is."""
    if colour not in COLOURS or not is_coloured(stream or sys.stdout):
        return text
    return f"\x1b[{COLOURS[colour]}m{text}\x1b[0m"


def clean(text: str) -> str:
    """`text` without control characters: what came from outside must not steer the terminal it is shown on."""
    if text.isprintable():
        return text
    return "".join(c if c == "\t" or unicodedata.category(c)[0] != "C" else "\N{REPLACEMENT CHARACTER}" for c in text)


def bounded(text: str, length: int) -> str:
    """One line of at most `length` characters, without control characters."""
    if len(text) <= length and text.isprintable():
        return text
    line = clean(" ".join(text[: 4 * length].split()))
    return line if len(line) <= length else line[: length - 1] + "…"


def table(
    headings: Sequence[str],
    rows: Sequence[Sequence[str]],
    *,
    colours: Sequence[Sequence[str]] | None = None,
    stream: TextIO | None = None,
) -> str:
    """Rows under headings, columns as wide as their widest cell. `colours[row][column]` names a colour or is ''."""
    cells = [[clean(cell) for cell in row] for row in rows]
    widths = [max([len(heading), *(len(row[i]) for row in cells)]) for i, heading in enumerate(headings)]
    lines = [_line([paint(h.upper(), "dim", stream) for h in headings], [len(h) for h in headings], widths)]
    for number, row in enumerate(cells):
        painted = [
            paint(cell, colours[number][i], stream) if colours and colours[number][i] else cell
            for i, cell in enumerate(row)
        ]
        lines.append(_line(painted, [len(cell) for cell in row], widths))
    return "\n".join(lines)


def _line(cells: Sequence[str], lengths: Sequence[int], widths: Sequence[int]) -> str:
    padded = [cell + " " * (widths[i] - lengths[i]) for i, cell in enumerate(cells[:-1])]
    return "  ".join([*padded, cells[-1]])
