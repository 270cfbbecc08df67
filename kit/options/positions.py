"""The line of every key in a TOML text: what `tomllib` knows while it parses, and does not tell.

The scanner follows the grammar of https://toml.io/en/v1.0.0 as far as it takes to find keys and values, and leaves
judging to tomllib: in a valid document it finds each key that tomllib finds; in a broken one it stops where it
loses track, and says where.
"""

from __future__ import annotations

import re
import tomllib
from bisect import bisect_left
from dataclasses import dataclass

KeyPath = tuple[str | int, ...]
"""`("checks", "disk", "used", "overrides", 0, "warning")`: keys of tables and indexes of arrays."""

MAX_DEPTH = 64
"""Parts of a key path. tomllib needs quadratic time and memory for a dotted key, and recursion for an array."""

_SPACE = re.compile(r"[ \t]*")
_SKIP = re.compile(r"(?:[ \t\n]|#[^\n]*)*+")
_BARE = re.compile(r"[A-Za-z0-9_-]+")
_ONE_LINE = re.compile(r""" "(?:[^"\\\n]|\\.)*+" | '[^'\n]*' """, re.VERBOSE)
_MULTI_LINE = re.compile(
    r'''
      """ (?: [^"\\] | \\. | "(?!"") )*+ """ "{0,2}
    | \'\'\' .*? \'\'\' '{0,2}
    ''',
    re.VERBOSE | re.DOTALL,
)
_SCALAR = re.compile(r"[^\s,\[\]{}#\"'=][^,\[\]{}#\n]*")


class TooDeepError(ValueError):
    """A key path with more than MAX_DEPTH parts; `line` is where."""

    def __init__(self, line: int) -> None:
        super().__init__(f"nested more than {MAX_DEPTH} levels deep")
        self.line = line


@dataclass(frozen=True, slots=True)
class Positions:
    """Lines count from 1. A table's line is that of its header, or of the key that first made it."""

    lines: dict[KeyPath, int]
    lost: int | None
    """The line of the statement at which the scanner lost track, None in a valid document."""


def positions(text: str) -> Positions:
    """Scan `text`, valid or not. Raises TooDeepError."""
    scanner = _Scanner(text.replace("\r\n", "\n"))
    try:
        scanner.document()
    except _LostError:
        return Positions(scanner.lines, scanner.line(scanner.statement))
    return Positions(scanner.lines, None)


class _LostError(Exception):
    pass


class _Scanner:
    def __init__(self, text: str) -> None:
        self.text = text
        self.at = 0
        self.statement = 0
        self.lines: dict[KeyPath, int] = {}
        self.arrays: dict[KeyPath, int] = {}
        self.newlines = [match.start() for match in re.finditer("\n", text)]

    def line(self, at: int) -> int:
        return bisect_left(self.newlines, at) + 1

    def document(self) -> None:
        table: KeyPath = ()
        while True:
            self.take(_SKIP)
            self.statement = self.at
            if self.at >= len(self.text):
                return
            if self.eat("[["):
                keys = self.keys()
                self.expect("]]")
                path = self.resolve(keys[:-1]) + keys[-1:]
                number = self.arrays.get(path, -1) + 1
                self.arrays[path] = number
                self.note(path, self.statement)
                table = (*path, number)
                self.note(table, self.statement)
            elif self.eat("["):
                table = self.resolve(self.keys())
                self.expect("]")
                self.note(table, self.statement, header=True)
            else:
                self.pair(table)
            self.take(_SPACE)
            if self.at < len(self.text) and self.text[self.at] not in "#\n":
                raise _LostError

    def resolve(self, keys: KeyPath) -> KeyPath:
        """The path that a header means: a key that names an array of tables means its last table."""
        path: KeyPath = ()
        for key in keys:
            path = (*path, key)
            self.note(path, self.statement)
            if path in self.arrays:
                path = (*path, self.arrays[path])
        return path

    def pair(self, table: KeyPath) -> None:
        start = self.at
        path = table
        for key in self.keys():
            path = (*path, key)
            self.note(path, start)
        self.expect("=")
        self.value(path)

    def keys(self) -> KeyPath:
        found: list[str] = []
        while True:
            self.take(_SPACE)
            if word := self.take(_BARE):
                found.append(word)
            else:
                quoted = self.take(_ONE_LINE)
                if not quoted:
                    raise _LostError
                try:
                    found.append(tomllib.loads(f"key = {quoted}")["key"])
                except tomllib.TOMLDecodeError:
                    raise _LostError from None
            if len(found) > MAX_DEPTH:
                raise TooDeepError(self.line(self.at))
            self.take(_SPACE)
            if not self.eat("."):
                return tuple(found)

    def value(self, path: KeyPath) -> None:
        self.take(_SPACE)
        if self.eat("["):
            index = 0
            while not self.closes("]"):
                self.note((*path, index), self.at)
                self.value((*path, index))
                index += 1
                self.between("]")
        elif self.eat("{"):
            while not self.closes("}"):
                self.pair(path)
                self.between("}")
        elif not (self.take(_MULTI_LINE) or self.take(_ONE_LINE) or self.take(_SCALAR)):
            raise _LostError

    def closes(self, bracket: str) -> bool:
        self.take(_SKIP)
        return self.eat(bracket)

    def between(self, bracket: str) -> None:
        """A comma, or the closing bracket, which is left for `closes`."""
        self.take(_SKIP)
        if not self.eat(",") and not self.text.startswith(bracket, self.at):
            raise _LostError

    def note(self, path: KeyPath, at: int, *, header: bool = False) -> None:
        """The first mention counts, but for a table its own header."""
        if len(path) > MAX_DEPTH:
            raise TooDeepError(self.line(at))
        if header or path not in self.lines:
            self.lines[path] = self.line(at)

    def take(self, pattern: re.Pattern[str]) -> str:
        match = pattern.match(self.text, self.at)
        if match is None:
            return ""
        self.at = match.end()
        return match.group()

    def eat(self, token: str) -> bool:
        if not self.text.startswith(token, self.at):
            return False
        self.at += len(token)
        return True

    def expect(self, token: str) -> None:
        if not self.eat(token):
            raise _LostError
