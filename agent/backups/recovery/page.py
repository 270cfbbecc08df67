"""What a page consists of. How it looks is up to `text.py` and `pdf.py`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


class Heading(NamedTuple):
    """The beginning of a part."""

    text: str
    level: int = 1
    """1 or 2."""


class Paragraph(NamedTuple):
    """Some sentences."""

    text: str


class Facts(NamedTuple):
    """Names and values, one below the other."""

    rows: tuple[tuple[str, str], ...]


class Commands(NamedTuple):
    """Lines for a shell, none longer than `shell.WIDTH`, but for a word that is longer by itself."""

    lines: tuple[str, ...]


class WriteHere(NamedTuple):
    """A line to be filled in by hand on the printed page."""

    label: str


Block = Heading | Paragraph | Facts | Commands | WriteHere


@dataclass(frozen=True, slots=True)
class Page:
    """All of it."""

    title: str
    subtitle: str
    blocks: tuple[Block, ...]
