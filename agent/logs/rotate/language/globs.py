"""The paths that a pattern means, as glob(3) has them with GLOB_NOCHECK and GLOB_TILDE; and fnmatch(3).

The standard library's modules `glob` and `fnmatch` load `re`, which takes longer than all the rest of reading.
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

_CLASSES = {
    "alnum": str.isalnum,
    "alpha": str.isalpha,
    "blank": lambda char: char in " \t",
    "cntrl": lambda char: char < " " or char == "\x7f",
    "digit": str.isdigit,
    "graph": lambda char: "!" <= char <= "~",
    "lower": str.islower,
    "print": str.isprintable,
    "punct": lambda char: "!" <= char <= "~" and not char.isalnum(),
    "space": lambda char: char in " \t\n\v\f\r",
    "upper": str.isupper,
    "xdigit": lambda char: char in "0123456789abcdefABCDEF",
}


def expand(pattern: str) -> list[str]:
    """The paths of a pattern in the order of their bytes; the pattern itself where there is none.

    Raises PermissionError for a folder that may not be read.
    """
    pattern_here = _home(pattern) if pattern.startswith("~") else pattern
    if not _has_magic(pattern_here):
        return [pattern_here if pattern_here == pattern or os.path.lexists(pattern_here) else pattern]
    parts = pattern_here.split("/")
    found = [""] if parts[0] else ["/"]
    for number, part in enumerate(parts):
        last = number == len(parts) - 1
        if number == 0 and not part:
            continue
        found = _next(found, part, last=last)
        if not found:
            return [pattern]
    return sorted(found, key=os.fsencode)


def _has_magic(pattern: str) -> bool:
    return "*" in pattern or "?" in pattern or "[" in pattern or "\\" in pattern


def _home(pattern: str) -> str:
    """The pattern with the home of the user, or of the one who is named, where there is such a one."""
    user, slash, rest = pattern[1:].partition("/")
    home = os.environ.get("HOME") if not user else None
    if not home:
        import pwd  # few patterns have a tilde

        try:
            home = (pwd.getpwnam(user) if user else pwd.getpwuid(os.getuid())).pw_dir
        except KeyError:
            return pattern
    return home + slash + rest


def _next(folders: list[str], part: str, *, last: bool) -> list[str]:
    """One part further: what is in those folders by this name or pattern."""
    end = "" if last else "/"
    if not _has_magic(part):
        # An empty part is a slash more, or the one at the end: what it follows is a folder.
        return [
            folder + part + end for folder in folders if _is_there(folder + part, folder_only=not last or not part)
        ]
    matches = matcher(part)
    found = []
    for folder in folders:
        try:
            names = os.listdir(folder or ".")
        except PermissionError:
            raise
        except OSError:
            continue
        if part.startswith("."):
            names = [".", "..", *names]
        for name in names:
            if matches(name) and (last or _is_there(folder + name, folder_only=True)):
                found.append(folder + name + end)
    return found


def _is_there(path: str, *, folder_only: bool) -> bool:
    try:
        return stat.S_ISDIR(os.stat(path).st_mode) if folder_only else bool(os.lstat(path))
    except (OSError, ValueError):
        return False


def matcher(pattern: str) -> Callable[[str], bool]:
    """Whether a name matches; a period at its beginning must be written (FNM_PERIOD)."""
    hidden = pattern.startswith((".", "\\."))
    before, star, after = pattern.partition("*")
    if star and not _has_magic(before + after):
        shortest = len(before) + len(after)

        def simple(name: str) -> bool:
            return (
                len(name) >= shortest
                and name.startswith(before)
                and name.endswith(after)
                and (hidden or not name.startswith("."))
            )

        return simple
    tokens = _tokens(pattern)

    def general(name: str) -> bool:
        return (hidden or not name.startswith(".")) and _matches(tokens, name)

    return general


def _tokens(pattern: str) -> list[Callable[[str], bool] | None]:
    """What each character must be; None for any number of any. Works on bytes, as C does without a locale."""
    text = os.fsencode(pattern).decode("latin-1")
    tokens: list[Callable[[str], bool] | None] = []
    at = 0
    while at < len(text):
        char = text[at]
        at += 1
        if char == "*":
            if not tokens or tokens[-1] is not None:
                tokens.append(None)
            continue
        if char == "?":
            tokens.append(lambda _char: True)
            continue
        if char == "[":
            test, end = _bracket(text, at)
            if test is not None:
                tokens.append(test)
                at = end
                continue
        elif char == "\\":
            tokens.append(text[at].__eq__ if at < len(text) else _nothing)
            at += 1
            continue
        tokens.append(char.__eq__)
    return tokens


def _bracket(text: str, at: int) -> tuple[Callable[[str], bool] | None, int]:
    """The test that `[…]` stands for, and where it ends; None where it is not closed, and a `[` is just that."""
    negated = text[at : at + 1] in ("!", "^")
    at += negated
    tests: list[Callable[[str], bool]] = []
    first = True
    while at < len(text):
        char = text[at]
        if char == "]" and not first:
            if negated:
                return lambda char: not any(test(char) for test in tests), at + 1
            return lambda char: any(test(char) for test in tests), at + 1
        first = False
        if char == "[" and text[at + 1 : at + 2] == ":":
            name, closed, _ = text[at + 2 :].partition(":]")
            if closed and name in _CLASSES:
                tests.append(_ascii(_CLASSES[name]))
                at += len(name) + 4
                continue
        if char == "\\" and at + 1 < len(text):
            at += 1
            char = text[at]
        if text[at + 1 : at + 2] == "-" and text[at + 2 : at + 3] not in ("", "]"):
            end = text[at + 2]
            at += 3
            if end == "\\" and at < len(text):
                end = text[at]
                at += 1
            tests.append(_between(char, end))
            continue
        tests.append(char.__eq__)
        at += 1
    return None, at


def _ascii(test: Callable[[str], bool]) -> Callable[[str], bool]:
    return lambda char: char.isascii() and test(char)


def _nothing(_char: str) -> bool:
    return False


def _between(first: str, last: str) -> Callable[[str], bool]:
    return lambda char: first <= char <= last


def _matches(tokens: list[Callable[[str], bool] | None], name: str) -> bool:
    """Returns to the last star only, so that no pattern takes longer than its length times the name's."""
    text = os.fsencode(name).decode("latin-1")
    token = at = 0
    star, mark = -1, 0
    while at < len(text):
        test = tokens[token] if token < len(tokens) else _nothing
        if test is None:
            star, mark = token, at
            token += 1
        elif test(text[at]):
            token += 1
            at += 1
        elif star >= 0:
            token = star + 1
            mark += 1
            at = mark
        else:
            return False
    return all(test is None for test in tokens[token:])
