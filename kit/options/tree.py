"""TOML files as one raw tree, in which every key knows the file and the line that it stands in."""

from __future__ import annotations

import errno
import json
import os
import re
import stat
import tomllib
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from kit.options.positions import KeyPath, TooDeepError, positions
from kit.terminal import clean

MAX_SIZE = 1024 * 1024
"""Bytes of one file. A configuration is text by people; what is larger is some other file."""

_BARE = re.compile(r"[A-Za-z0-9_-]+")
_PARSER_PLACE = re.compile(r" \(at (?:line ([0-9]+), column [0-9]+|end of document)\)\Z")
_PARSER_SAYS = {
    "Cannot overwrite a value": "a key is given twice, or as a value and as a table",
    "Invalid value": 'this is no value; text stands in quotes, as in name = "value"',
    "Invalid statement": "expected a key, a [table] or a comment",
    "Expected '=' after a key in a key/value pair": "expected key = value",
    "Expected newline or end of document after a statement": "one key = value to a line; text stands in quotes",
    "Unescaped '\\' in a string": "a backslash in double quotes is written \\\\, or use 'single quotes'",
    "Unterminated string": "a text without its closing quote",
    "Unclosed array": "an array without a comma or its closing ]",
    "Unclosed inline table": "an inline table without a comma or its closing } (it must fit on one line)",
}
"""What the parser of Python 3.11 to 3.13 says, for people; a message that is not here is passed on as it is."""


@dataclass(frozen=True, slots=True, order=True)
class Place:
    """A line of a file, counted from 1; 0 is the file as a whole."""

    file: str
    line: int

    def __str__(self) -> str:
        return f"{self.file}:{self.line}" if self.line else self.file


@dataclass(frozen=True, slots=True)
class Mistake:
    """One thing that is wrong, where, and what was expected instead."""

    place: Place | None
    path: KeyPath
    text: str
    lacking: bool = False
    """True for a key that is missing: a file that could not be read may hold it."""

    def __str__(self) -> str:
        # Keys and values come from outside, and a mistake is one line.
        return clean(": ".join(part for part in (str(self.place or ""), dotted(self.path), self.text) if part))


@dataclass(frozen=True, slots=True)
class Tree:
    """What tomllib gives for one file or several, and where each of its keys stands."""

    values: dict[str, Any] = field(default_factory=dict)
    places: dict[KeyPath, Place] = field(default_factory=dict)

    def place(self, path: KeyPath) -> Place | None:
        """Where `path` stands, or the nearest table round it that stands anywhere."""
        for length in range(len(path), 0, -1):
            if found := self.places.get(path[:length]):
                return found
        return None


class UnreadableError(Exception):
    """A file that gives no tree; `mistake` says why."""

    def __init__(self, mistake: Mistake) -> None:
        super().__init__(str(mistake))
        self.mistake = mistake


def dotted(path: KeyPath) -> str:
    """`checks."my site".overrides[0].warning`"""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        else:
            text += ("." if text else "") + key(part)
    return text


def key(name: str) -> str:
    """A key as TOML writes it: in quotes where it must be."""
    if _BARE.fullmatch(name):
        return name
    return quoted(name)


def quoted(text: str) -> str:
    """Text in quotes as TOML has it: JSON's escapes, and DEL is escaped too."""
    return json.dumps(text, ensure_ascii=False).replace("\x7f", "\\u007f")


def read(file: Path) -> Tree:
    """Parse one file. Raises UnreadableError; a file that is not there at all raises FileNotFoundError."""
    try:
        data = _bytes(file)
    except FileNotFoundError:
        if file.is_symlink():
            raise _unreadable(file, 0, "is a symbolic link to a file that is not there") from None
        raise
    except OSError as error:
        raise _unreadable(file, 0, f"cannot be read: {error.strerror or error}") from error
    if len(data) > MAX_SIZE:
        raise _unreadable(file, 0, f"is larger than {MAX_SIZE // 1024} KiB, so it is no configuration")
    try:
        text = data.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise _unreadable(file, line, f"is not UTF-8 text (byte 0x{data[error.start]:02x})") from error
    return parse(str(file), text)


def listing(folder: Path) -> list[Path]:
    """The `*.toml` files of `folder` by name, none where there is no such folder. Raises UnreadableError.

    Names that begin with a dot are left out: editors keep their own files under them.
    """
    try:
        files = sorted(folder.iterdir())
    except FileNotFoundError:
        return []
    except OSError as error:
        raise _unreadable(folder, 0, f"cannot be read: {error.strerror or error}") from error
    return [file for file in files if file.name.endswith(".toml") and not file.name.startswith(".")]


def parse(name: str, text: str) -> Tree:
    """Parse the text of the file called `name`. Raises UnreadableError, never anything else."""
    try:
        found = positions(text)
    except TooDeepError as error:
        raise _unreadable(name, error.line, f"not valid TOML: {error}") from error
    try:
        values = tomllib.loads(text)
    except ValueError as error:  # its own TOMLDecodeError, or int() of too many digits
        said = str(error)
        place = _PARSER_PLACE.search(said)
        reason = said[: place.start()] if place else said
        end = text.rstrip().count("\n") + 1
        line = int(place[1]) if place and place[1] else found.lost or end
        raise _unreadable(name, line, f"not valid TOML: {_in_words(reason)}") from error
    return Tree(values, {path: Place(name, line) for path, line in found.lines.items()})


def merge(trees: Iterable[Tree], *, joined: Collection[str] = ()) -> tuple[Tree, list[Mistake]]:
    """One tree of several. Tables merge key by key; any other value replaces the one before it, arrays wholly.

    Arrays at the top that are `joined` go on where those before them end: each file may have tables `[[logs]]`.
    Where one has a table and the other something else, the first stays and a mistake names both places.
    """
    merged = Tree()
    mistakes: list[Mistake] = []
    for tree in trees:
        rest = dict(tree.values)
        for name in joined:
            old, new = merged.values.get(name), rest.get(name)
            if isinstance(old, list) and isinstance(new, list):
                _join(merged, tree, name)
                del rest[name]
        _overlay(merged, tree, merged.values, rest, (), mistakes)
    return merged, mistakes


def _join(below: Tree, above: Tree, name: str) -> None:
    new, count = above.values[name], len(below.values[name])
    for known in _paths(new, (name,)):
        if len(known) > 1 and isinstance(number := known[1], int):
            below.places[(name, count + number, *known[2:])] = above.places[known]
    below.values[name] = [*below.values[name], *new]


def _overlay(
    below: Tree, above: Tree, old: dict[str, Any], new: Mapping[str, Any], path: KeyPath, mistakes: list[Mistake]
) -> None:
    for name, value in new.items():
        here: KeyPath = (*path, name)
        if isinstance(value, dict) and isinstance(old.get(name, {}), dict):
            below.places[here] = above.places[here]
            _overlay(below, above, old.setdefault(name, {}), value, here, mistakes)
        elif isinstance(value, dict) or isinstance(old.get(name), dict):
            one, other = ("a table", "not") if isinstance(value, dict) else ("not a table", "is one")
            mistakes.append(Mistake(above.place(here), here, f"is {one} here, but {other} at {below.place(here)}"))
        else:
            if name in old:
                for gone in _paths(old[name], here):
                    del below.places[gone]
            below.places.update((known, above.places[known]) for known in _paths(value, here))
            old[name] = value


def _paths(value: Any, path: KeyPath) -> Iterator[KeyPath]:
    """The key path of a value, and those of all that is in it."""
    yield path
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for part, item in inside:
        yield from _paths(item, (*path, part))


def _bytes(file: Path) -> bytes:
    # Not blocking: opening a pipe would wait for a writer for ever.
    descriptor = os.open(file, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        mode = os.fstat(descriptor).st_mode
        if stat.S_ISDIR(mode):
            raise IsADirectoryError(errno.EISDIR, "it is a folder, and a file was expected")
        if not stat.S_ISREG(mode) and not stat.S_ISCHR(mode):  # /dev/null is a way to say "no configuration"
            raise OSError(errno.EINVAL, "it is not a regular file")
        with open(descriptor, "rb", closefd=False) as stream:
            return stream.read(MAX_SIZE + 1)
    finally:
        os.close(descriptor)


def _unreadable(file: Path | str, line: int, text: str) -> UnreadableError:
    return UnreadableError(Mistake(Place(str(file), line), (), text))


def _in_words(reason: str) -> str:
    if reason in _PARSER_SAYS:
        return _PARSER_SAYS[reason]
    if twice := re.fullmatch(r"Cannot declare \((.*)\) twice", reason):
        parts: Sequence[str] = [name for _, name in re.findall(r"(['\"])(.*?)\1", twice[1])]
        return f"the table [{dotted(tuple(parts))}] is given twice"
    return reason[:1].lower() + reason[1:]
