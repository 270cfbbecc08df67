"""Which files are meant: restic's pattern language, and the marks by which folders are left out.

A pattern is a path whose components are globs as Go's `filepath.Match` has them: `*`, `?`, `[a-z]`, `[^a-z]`, and a
backslash before a character that is meant as it is. What begins with `/` is matched from the root, others at every
depth. `**` stands for any number of components. What matches a folder matches all that is in it. `!` before a
pattern takes back what the patterns before it matched. Names are bytes of the file system; `?` and classes count
characters of UTF-8, and a byte that is not UTF-8 is a character.

The patterns become regular expressions over the bytes of the path. Their answers are restic's, its oddities included.
As in Go, what stands between two stars is taken where it first fits, for good: so no name takes long to judge.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import groupby
from typing import NamedTuple

from kit.errors import UsageError

MAX_LINE = 64 * 1024
"""Bytes in one line of a file of patterns, as in restic."""

_SPECIAL = frozenset(b"\\[]*?")
_ROOT = b"/"
_ANY_DEPTH = b"**"
_STAR = rb"[^/]*"
_COMPONENT = b"/" + _STAR
_NESTED = b"(?:" + _COMPONENT + b")*?"
_END = rb"(?=/|\Z)"
# One character of valid UTF-8 beyond ASCII (Unicode 15, table 3-7).
_VALID = (
    rb"[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]"
    rb"|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}"
)
_CHARACTER = rb"(?>[^/\x80-\xff]|" + _VALID + rb"|[\x80-\xff])"
_INVALID = rb"(?!" + _VALID + rb")[\x80-\xff]"
_REPLACEMENT = 0xFFFD
"""The character that Go takes a byte for that is not UTF-8."""

_SPACE = "".join(map(chr, (*range(9, 14), 0x20, 0x85, 0xA0, 0x1680, *range(0x2000, 0x200B), 0x2028, 0x2029, 0x202F)))
_SPACE += "\u205f\u3000"  # what has Unicode's property White_Space
_VARIABLE = re.compile(rb"\$(?:\{([^}]+)\}|\{\}?|([*#$@!?0-9-])|([A-Za-z0-9_]+))")


class Filter:
    """A list of patterns, in order, compiled once.

    Raises UsageError for a pattern that is malformed, naming it. Empty patterns are ignored.
    """

    def __init__(self, patterns: Iterable[bytes], *, ignore_case: bool = False) -> None:
        self._ignore_case = ignore_case
        parsed = [_Pattern.parse(pattern, ignore_case=ignore_case) for pattern in patterns if pattern]
        # The last pattern that matches decides: so groups of one sign, the last one first.
        groups = [(negated, list(group)) for negated, group in groupby(parsed, key=lambda pattern: pattern.negated)]
        self._groups = [(negated, _Union(group)) for negated, group in reversed(groups)]

    def __bool__(self) -> bool:
        """Whether there is any pattern."""
        return bool(self._groups)

    def matches(self, path: bytes) -> bool:
        """Whether the path, absolute and clean, or a folder above it is meant by the patterns."""
        if self._ignore_case:
            path = lower(path)
        for negated, union in self._groups:
            if union.matches(path):
                return not negated
        return False

    def child_may_match(self, path: bytes) -> bool:
        """Whether something in the folder `path` could be meant; where not, it need not be looked into."""
        if path == _ROOT:
            return bool(self._groups)
        if self._ignore_case:
            path = lower(path)
        for negated, union in self._groups:
            if union.matches(path) if negated else union.child_may_match(path):
                return not negated
        return False


class Excludes:
    """What is left out: patterns that heed case and patterns that do not; `!` acts within its own kind."""

    def __init__(self, patterns: Iterable[bytes] = (), insensitive: Iterable[bytes] = ()) -> None:
        self._filters = [each for each in (Filter(patterns), Filter(insensitive, ignore_case=True)) if each]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def rejects(self, path: bytes) -> bool:
        """Whether the path is left out, and with a folder all that is in it."""
        return any(each.matches(path) for each in self._filters)


class Includes:
    """What alone is wanted: patterns that heed case and patterns that do not."""

    def __init__(self, patterns: Iterable[bytes] = (), insensitive: Iterable[bytes] = ()) -> None:
        self._filters = [each for each in (Filter(patterns), Filter(insensitive, ignore_case=True)) if each]

    def __bool__(self) -> bool:
        return bool(self._filters)

    def selects(self, path: bytes) -> bool:
        """Whether the path itself is wanted."""
        return any(each.matches(path) for each in self._filters)

    def may_select_in(self, path: bytes) -> bool:
        """Whether something in the folder `path` may be wanted."""
        return any(each.child_may_match(path) for each in self._filters)


class Mark(NamedTuple):
    """A file whose presence says that the rest of its folder is not to be saved."""

    name: bytes
    header: bytes = b""
    """What the file must begin with; empty: anything."""

    @classmethod
    def parse(cls, text: bytes) -> Mark:
        """`NAME` or `NAME:HEADER`. Raises UsageError."""
        name, _, header = text.partition(b":")
        if not name:
            raise UsageError(f'a mark of folders is written as "NAME" or "NAME:HEADER", not {_shown(text)}')
        return cls(name, header)

    def fits(self, start: bytes) -> bool:
        """Whether a file that begins with `start` (as many bytes as the header has) is the mark."""
        return start[: len(self.header)] == self.header


CACHE_MARK = Mark(b"CACHEDIR.TAG", b"Signature: 8a477f597d28d172789f06886806bc55")
"""https://bford.info/cachedir/"""


def parse_pattern_file(content: bytes, environment: Mapping[bytes, bytes], name: str) -> list[bytes]:
    """The patterns in a file: one a line, without the space around them; no empty lines and none that begin with `#`.

    `$NAME` and `${NAME}` are replaced from the environment (nothing where it has none), `$$` is a dollar sign. The
    file is UTF-8 or, with a byte order mark, UTF-16. `name` is for the message. Raises UsageError for a line that is
    too long.
    """
    patterns = []
    for number, raw in enumerate(_decoded(content).split(b"\n"), start=1):
        if len(raw) >= MAX_LINE:
            raise UsageError(
                f"{name}, line {number}: a pattern has less than {MAX_LINE} bytes, and this has {len(raw)}"
            )
        line = raw.decode(errors="surrogateescape").strip(_SPACE).encode(errors="surrogateescape")
        if line and not line.startswith(b"#"):
            patterns.append(_VARIABLE.sub(lambda match: _value(match, environment), line))
    return patterns


def lower(path: bytes) -> bytes:
    """The path in lower case, each character by itself; a byte that is not UTF-8 becomes U+FFFD, as in Go."""
    if path.isascii():
        return path.lower()
    return path.decode(errors="surrogateescape").translate(_LOWER).encode()


class _Lower(dict[int, int]):
    """The lower case of each character that was asked for."""

    def __missing__(self, character: int) -> int:
        # Only U+0130 becomes two characters, and the first is what Go has.
        lowered = _REPLACEMENT if 0xDC80 <= character <= 0xDCFF else ord(chr(character).lower()[0])
        self[character] = lowered
        return lowered


_LOWER = _Lower()


def _value(match: re.Match[bytes], environment: Mapping[bytes, bytes]) -> bytes:
    name = match[1] or match[2] or match[3] or b""
    return b"$" if name == b"$" else environment.get(name, b"")


def _decoded(content: bytes) -> bytes:
    if content.startswith(b"\xef\xbb\xbf"):
        return content[3:]
    if content.startswith((b"\xfe\xff", b"\xff\xfe")):
        return content.decode("utf-16", errors="replace").encode()
    return content


def _shown(text: bytes) -> str:
    """For a message: in quotes, with what cannot be shown escaped."""
    return '"' + text.decode(errors="backslashreplace") + '"'


class _Pattern(NamedTuple):
    """A pattern in its components; the first is `/` in one that begins at the root."""

    parts: Sequence[bytes]
    negated: bool

    @classmethod
    def parse(cls, text: bytes, *, ignore_case: bool) -> _Pattern:
        negated = text.startswith(b"!")
        path = posixpath.normpath(text[1:] if negated else text)
        if path.startswith(_ROOT):
            # The root alone is taken by restic for the root and all that is in it.
            path = path.lstrip(_ROOT) or _ANY_DEPTH
            parts = [_ROOT, *path.split(_ROOT)]
        else:
            parts = path.split(_ROOT)
        try:
            for part in parts:
                _component(part)
        except ValueError as error:
            raise UsageError(f"the pattern {_shown(text)} is malformed: {error}") from None
        if ignore_case:
            parts = [lower(part) for part in parts]
        return cls(parts, negated)

    @property
    def absolute(self) -> bool:
        return self.parts[0] == _ROOT

    def expressions(self) -> Iterator[tuple[bool, bytes]]:
        """Regular expressions for what the pattern matches: whether from the root, and the expression.

        With several `**` restic wants a component for each of those behind the one that it expands, though they may
        stand for nothing in the end: paths that are too short for that do not match. Components above the pattern's
        first make up for it, so one for every depth is an expression for each of the first depths, and one for the
        rest.
        """
        if self.absolute:
            yield True, self._from(0)
            return
        spared = self.parts.count(_ANY_DEPTH) - 1
        if spared > 1:
            yield from ((True, _COMPONENT * (depth - 1) + self._from(depth)) for depth in range(1, spared))
            yield True, _COMPONENT * (spared - 1) + _NESTED + self._from(spared)
            return
        expression = self._from(1)
        first = _component(self.parts[0])
        if first.startswith(_STAR) and first != _STAR:
            # To search for ".o" is faster than for "/", anything and ".o", and finds the same paths.
            expression = expression.removeprefix(b"/" + _STAR)
        yield False, expression

    def _from(self, depth: int) -> bytes:
        """The expression for paths that have `depth` components (the root is one) above the pattern's first."""
        expression = b""
        wildcards = self.parts.count(_ANY_DEPTH)
        for index, part in enumerate(self.parts):
            if part == _ROOT:
                continue
            if part != _ANY_DEPTH:
                expression += b"/" + _component(part)
                continue
            wildcards -= 1
            rest = len(self.parts) - index - 1
            if rest:
                expression += _NESTED
            elif index == 0:
                expression += _COMPONENT  # alone, it needs something to stand for
            if wildcards and rest > depth:
                expression += rb"(?=(?:/[^/]*){%d})" % (rest - depth)
        return expression + _END

    def prefixes(self) -> bytes:
        """The expression for folders in which the pattern, which begins at the root, may match."""
        parts = self.parts[1:]
        fixed = parts[: parts.index(_ANY_DEPTH)] if _ANY_DEPTH in parts else parts
        expression = _END
        for part in reversed(fixed):
            expression = rb"(?:\Z|/" + _component(part) + expression + b")"
        return expression


class _Union:
    """Patterns of one sign, any of which may match."""

    def __init__(self, patterns: Sequence[_Pattern]) -> None:
        expressions = [each for pattern in patterns for each in pattern.expressions()]
        self._rooted = _any(expression for rooted, expression in expressions if rooted)
        self._nested = _any(expression for rooted, expression in expressions if not rooted)
        relative = any(not pattern.absolute for pattern in patterns)
        self._prefixes = None if relative else _any(pattern.prefixes() for pattern in patterns)

    def matches(self, path: bytes) -> bool:
        return (self._rooted is not None and self._rooted.match(path) is not None) or (
            self._nested is not None and self._nested.search(path) is not None
        )

    def child_may_match(self, path: bytes) -> bool:
        return self._prefixes is None or self._prefixes.match(path) is not None


def _any(expressions: Iterable[bytes]) -> re.Pattern[bytes] | None:
    alternatives = b"|".join(expressions)
    return re.compile(alternatives) if alternatives else None


def _component(glob: bytes) -> bytes:
    """The expression for one component. Raises ValueError for a malformed glob.

    What stands between two stars is taken where it first fits; what follows the last one must fit at the end.
    """
    if not _SPECIAL.intersection(glob):
        return re.escape(glob)
    *chunks, last = _chunks(glob)
    if not chunks:
        return last
    first, *middle = chunks
    return first + b"".join(rb"(?>[^/]*?" + chunk + b")" for chunk in middle) + _STAR + last


def _chunks(glob: bytes) -> list[bytes]:
    """What stands between the stars, as expressions; the first and the last may be empty."""
    chunks = [b""]
    position = 0
    while position < len(glob):
        character = glob[position : position + 1]
        position += 1
        if character == b"*":
            if len(chunks) == 1 or chunks[-1]:
                chunks.append(b"")
        elif character == b"?":
            chunks[-1] += _CHARACTER
        elif character == b"[":
            expression, position = _class(glob, position)
            chunks[-1] += expression
        else:
            if character == b"\\":
                character = glob[position : position + 1]
                position += 1
                if not character:
                    raise ValueError(r'nothing follows "\"')
            chunks[-1] += re.escape(character)
    return chunks


def _class(glob: bytes, position: int) -> tuple[bytes, int]:
    """The class that begins at the position, and the position after it."""
    negated = glob[position : position + 1] == b"^"
    position += negated
    ranges: list[tuple[int, int]] = []
    while not ranges or glob[position : position + 1] != b"]":
        low, position = _bound(glob, position)
        high = low
        if glob[position : position + 1] == b"-":
            high, position = _bound(glob, position + 1)
        ranges.append((low, high))
    expression = b"|".join(alternative for low, high in ranges for alternative in _characters(low, high))
    if any(low <= _REPLACEMENT <= high for low, high in ranges):
        expression += b"|" + _INVALID
    if negated:
        expression = b"(?!" + expression + b")" + _CHARACTER if expression else _CHARACTER
    else:
        expression = b"(?:" + expression + b")" if expression else rb"(?!)"
    return expression, position + 1


def _bound(glob: bytes, position: int) -> tuple[int, int]:
    """A character of a class as its number, and the position after it, at which something must follow."""
    if glob[position : position + 1] in (b"-", b"]"):
        raise ValueError(f'"{chr(glob[position])}" in "[…]" needs "\\" before it')
    if glob[position : position + 1] == b"\\":
        position += 1
    for length in range(1, 5):
        try:
            character = glob[position : position + length].decode()
        except UnicodeDecodeError:
            continue
        if not character or position + length >= len(glob):
            raise ValueError('"[" has no "]"')
        return ord(character), position + length
    raise ValueError('what is not UTF-8 cannot stand in "[…]"')


def _characters(low: int, high: int) -> Iterator[bytes]:
    """Expressions of bytes that together match the characters from `low` to `high` in UTF-8, but no slash."""
    for first, last in (
        (0, 0x2E),
        (0x30, 0x7F),
        (0x80, 0x7FF),
        (0x800, 0xD7FF),
        (0xE000, 0xFFFF),
        (0x10000, 0x10FFFF),
    ):
        if max(low, first) <= min(high, last):
            yield from _sequences(chr(max(low, first)).encode(), chr(min(high, last)).encode())


def _sequences(low: bytes, high: bytes) -> Iterator[bytes]:
    """Expressions for all encodings of one length from `low` to `high`, by their order as bytes."""
    if len(low) == 1 or low[0] == high[0]:
        head = re.escape(low[:1]) if low[0] == high[0] else _bytes(low[0], high[0])
        tails = list(_sequences(low[1:], high[1:])) if len(low) > 1 else [b""]
        yield head + (tails[0] if len(tails) == 1 else b"(?:" + b"|".join(tails) + b")")
        return
    rest = len(low) - 1
    first, last = low[0], high[0]
    if low[1:] != b"\x80" * rest:
        yield from _sequences(low, low[:1] + b"\xbf" * rest)
        first += 1
    if high[1:] != b"\xbf" * rest:
        yield from _sequences(high[:1] + b"\x80" * rest, high)
        last -= 1
    if first <= last:
        yield _bytes(first, last) + rb"[\x80-\xbf]" * rest


def _bytes(first: int, last: int) -> bytes:
    return rb"[\x%02x-\x%02x]" % (first, last)
