"""The page as PDF, with the fonts of this host (extra `pdf`).

PDF's own fonts have Western letters alone. So DejaVu is taken where it is, and what it lacks from whatever font of
the host has it. A character that no font has stands as its number, `<U+5BB6>`: nothing is left out or shown as a box.
"""

from __future__ import annotations

from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from agent.backups.recovery.page import Block, Commands, Facts, Heading, Page, Paragraph
from kit.errors import HostwardError

if TYPE_CHECKING:
    from fpdf import FPDF

FOLDERS = (Path("/usr/share/fonts"), Path("/usr/local/share/fonts"))
_SANS = ("DejaVuSans.ttf", "LiberationSans-Regular.ttf", "NotoSans-Regular.ttf")
_BOLD = ("DejaVuSans-Bold.ttf", "LiberationSans-Bold.ttf", "NotoSans-Bold.ttf")
_MONO = ("DejaVuSansMono.ttf", "LiberationMono-Regular.ttf", "NotoSansMono-Regular.ttf")
_LOOKED_AT = 2000
"""Files of fonts that are looked at."""
_GREY = 110
_MARGIN = 20.0
"""Millimetres, as all lengths here."""
_LINE = 5.0
_CODE_LINE = 4.4
_LABEL = 46.0


def render(page: Page, fonts: tuple[Path, ...] = FOLDERS) -> tuple[bytes, str]:
    """The file, and the characters that no font in the folders `fonts` has. Raises HostwardError without fpdf2."""
    try:
        fpdf = import_module("fpdf")
    except ImportError:
        raise HostwardError('a PDF needs the package fpdf2: `make install EXTRAS="pdf"`, or --format text') from None
    paper: FPDF = fpdf.FPDF(format="A4")
    typesetter = _Typesetter(paper, _Fonts(paper, fonts, _characters(page)))
    typesetter.set(page)
    return bytes(paper.output()), typesetter.fonts.missing


def _characters(page: Page) -> set[str]:
    found = set(page.title + page.subtitle)
    for block in page.blocks:
        for part in block:
            if isinstance(part, str):
                found.update(part)
            elif isinstance(part, tuple):
                for item in part:
                    found.update(item if isinstance(item, str) else "".join(item))
    return found


class _Fonts:
    """The fonts of a page that has these characters."""

    def __init__(self, paper: FPDF, folders: tuple[Path, ...], characters: set[str]) -> None:
        files = {path.name: path for path in _files(folders)}
        sans, bold, mono = (_first(files, names) for names in (_SANS, _BOLD, _MONO))
        self.sans, self.mono = "helvetica", "courier"
        self._known: set[str] = {chr(code) for code in (*range(32, 127), *range(160, 256))}
        if sans and bold and mono:
            self.sans, self.mono = "sans", "mono"
            paper.add_font("sans", "", sans)
            paper.add_font("sans", "B", bold)
            paper.add_font("mono", "", mono)
            self._known = _covers(sans) & _covers(bold) & _covers(mono)
            self._borrow(paper, files, characters)
        self.missing = "".join(sorted(character for character in characters - self._known if character.isprintable()))

    def _borrow(self, paper: FPDF, files: dict[str, Path], characters: set[str]) -> None:
        """Take other fonts for what these lack."""
        borrowed: list[str] = []
        for path in files.values():
            lacking = {character for character in characters - self._known if character.isprintable()}
            if not lacking:
                break
            covered = _covers(path)
            if lacking & covered:
                family = f"borrowed{len(borrowed)}"
                for style in ("", "B"):
                    paper.add_font(family, style, path)
                borrowed.append(family)
                self._known |= covered & lacking
        if borrowed:
            paper.set_fallback_fonts(borrowed, exact_match=False)

    def shown(self, text: str) -> str:
        """The text with what no font has as numbers."""
        return "".join(
            character if character in self._known or character == "\n" else f"<U+{ord(character):04X}>"
            for character in text
        )


class _Typesetter:
    def __init__(self, paper: FPDF, fonts: _Fonts) -> None:
        self.fonts = fonts
        self._paper = paper
        self._by_character = import_module("fpdf.enums").WrapMode.CHAR
        paper.set_margins(_MARGIN, _MARGIN, _MARGIN)
        paper.set_auto_page_break(auto=True, margin=_MARGIN)

    def set(self, page: Page) -> None:
        paper, fonts = self._paper, self.fonts
        paper.set_title(fonts.shown(page.title))
        name = fonts.shown(page.title)

        def foot() -> None:
            paper.set_y(-_MARGIN + 6)
            paper.set_font(fonts.sans, "", 8)
            paper.set_text_color(_GREY)
            paper.cell(0, 4, f"{name}    {paper.page_no()} / {{nb}}", align="C")
            paper.set_text_color(0)

        paper.footer = foot  # type: ignore[method-assign]  # its way without a class of one's own
        paper.add_page()
        paper.set_font(fonts.sans, "B", 18)
        self._write(page.title, 9)
        paper.set_font(fonts.sans, "", 9.5)
        paper.set_text_color(_GREY)
        self._write(page.subtitle, _LINE)
        paper.set_text_color(0)
        for block in page.blocks:
            self._block(block)

    def _block(self, block: Block) -> None:
        paper, fonts = self._paper, self.fonts
        if isinstance(block, Heading):
            size, room = (13, 30) if block.level == 1 else (10.5, 24)
            if paper.will_page_break(room):  # not by itself at the foot of a page
                paper.add_page()
            else:
                paper.ln(4 if block.level == 1 else 2)
            paper.set_font(fonts.sans, "B", size)
            self._write(block.text, size * 0.5)
            if block.level == 1:
                paper.set_draw_color(_GREY)
                paper.line(_MARGIN, paper.get_y(), paper.w - _MARGIN, paper.get_y())
            paper.ln(1.5)
        elif isinstance(block, Paragraph):
            paper.set_font(fonts.sans, "", 9.5)
            self._write(block.text, _LINE)
            paper.ln(1.5)
        elif isinstance(block, Facts):
            self._facts(block)
        elif isinstance(block, Commands):
            self._commands(block)
        else:
            if paper.will_page_break(16):
                paper.add_page()
            paper.set_font(fonts.sans, "", 9.5)
            self._write(block.label, _LINE)
            paper.ln(8)
            paper.set_draw_color(0)
            paper.line(_MARGIN, paper.get_y(), paper.w - _MARGIN, paper.get_y())
            paper.ln(3)

    def _facts(self, block: Facts) -> None:
        paper = self._paper
        for name, value in block.rows:
            if paper.will_page_break(2 * _LINE):
                paper.add_page()
            top = paper.get_y()
            paper.set_font(self.fonts.sans, "", 9)
            paper.set_text_color(_GREY)
            paper.multi_cell(_LABEL - 2, _LINE, self.fonts.shown(name), align="L", new_x="LMARGIN", new_y="NEXT")
            paper.set_text_color(0)
            below, leaf = paper.get_y(), paper.page
            paper.set_xy(_MARGIN + _LABEL, top)
            self._write(value or "-", _LINE)
            if paper.page == leaf:
                paper.set_y(max(below, paper.get_y()))
        paper.ln(1.5)

    def _commands(self, block: Commands) -> None:
        paper = self._paper
        paper.set_font(self.fonts.mono, "", 8.5)
        paper.set_fill_color(243)
        for line in block.lines:
            paper.multi_cell(
                0,
                _CODE_LINE,
                self.fonts.shown(line),
                fill=True,
                align="L",
                new_x="LMARGIN",
                new_y="NEXT",
                wrapmode=self._by_character,
            )
        paper.ln(2.5)

    def _write(self, text: str, height: float) -> None:
        self._paper.multi_cell(0, height, self.fonts.shown(text), align="L", new_x="LMARGIN", new_y="NEXT")


def _files(folders: tuple[Path, ...]) -> Iterator[Path]:
    """Files of fonts with outlines, by name, so that the same ones are taken each time."""
    found = [path for folder in folders for path in folder.rglob("*.ttf")]
    yield from sorted(found, key=lambda path: path.name)[:_LOOKED_AT]


def _first(files: dict[str, Path], names: tuple[str, ...]) -> Path | None:
    return next((files[name] for name in names if name in files), None)


def _covers(path: Path) -> set[str]:
    """The characters that a font has; none where it cannot be read or has no outlines that can be embedded."""
    tables = import_module("fontTools.ttLib")
    try:
        with tables.TTFont(path, lazy=True) as font:
            return {chr(code) for code in font.getBestCmap() or ()} if "glyf" in font else set()
    except (OSError, tables.TTLibError, ValueError, AssertionError):
        return set()
