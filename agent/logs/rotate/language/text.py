"""The text of a configuration file and how far it is read; the words that a line is made of (pure)."""

from __future__ import annotations

import os

BLANK = " \t"
SPACE = " \t\n\v\f\r"
"""What C's isspace() takes for space."""
_END = "endscript"
LETTERS = frozenset("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")


class MistakeError(Exception):
    """What makes a section unusable, or a file where it is in none. The reader says where."""


class FileMistakeError(MistakeError):
    """What makes the whole rest of a file unusable. Its text is the whole message, which may be told already."""

    is_told = False


class MissingValueError(Exception):
    """A directive has no value. `text` is what is said of it."""


class Source:
    """`at` is where reading goes on, `line` the line that messages name."""

    __slots__ = ("at", "has_criterion", "line", "name", "text")

    def __init__(self, name: str, text: str) -> None:
        self.name = name
        self.text = text
        self.at = 0
        self.line = 1
        self.has_criterion = False
        """Whether a criterion was set since the last end of a section."""

    @property
    def place(self) -> str:
        """For messages: `FILE:LINE`."""
        return f"{self.name}:{self.line}"

    def line_end(self, start: int) -> int:
        """Where the line with this position ends: at its newline, or with the text."""
        end = self.text.find("\n", start)
        return end if end >= 0 else len(self.text)

    def word_end(self, start: int) -> int:
        """Where the letters end that begin here."""
        text, end = self.text, start
        while end < len(text) and text[end] in LETTERS:
            end += 1
        return end

    def blank_end(self, start: int) -> int:
        """Where the blanks end that begin here."""
        line = self.text[start : self.line_end(start)]
        return start + len(line) - len(line.lstrip(BLANK))

    def value(self, expected_after: str) -> str:
        """The rest of the line, without what separates it from its directive and the space at its end.

        Reading goes on with the end of the line. Raises MissingValueError; then it goes on after one character, and a
        newline that was it is not counted, as logrotate has it.
        """
        end = self.line_end(self.at)
        value = self.text[self.at : end].lstrip(BLANK)
        if value.startswith("="):
            value = value[1:].lstrip(BLANK)
        if not value and end < len(self.text):
            self.at += 1
            raise MissingValueError(f"argument expected after {expected_after}")
        self.at = end
        return until_nul(self._trimmed(value))

    def rest(self) -> str:
        """The rest of the line with what separates it from its directive; reading goes on with the line's end."""
        start, self.at = self.at, self.line_end(self.at)
        return self._trimmed(self.text[start : self.at])

    def _trimmed(self, text: str) -> str:
        """What was read up to here, without the space before a newline."""
        return text.rstrip(SPACE) if self.at < len(self.text) else text

    def names(self) -> tuple[str, str]:
        """The text up to a brace, which is read, too, and the brace; that is empty where the file ends or has a NUL.

        Comments take up lines of their own and are left out. Lines are not counted, as logrotate has it.
        """
        text, start = self.text, self.at
        names: list[str] = []
        while start < len(text):
            end = self.line_end(start)
            line = text[start:end]
            comment = line.find("#") if names else -1
            if comment >= 0 and not line[:comment].strip(BLANK):
                line = line[:comment]
            brace = min(filter(None, (line.find("{") + 1, line.find("}") + 1)), default=0)
            if "\0" in text[start : start + brace if brace else end]:
                break
            if brace:
                self.at = start + brace
                return "".join([*names, line[: brace - 1]]), line[brace - 1]
            names.append(f"{line}\n")
            start = end + 1
        return "", ""

    def script(self) -> str | None:
        """The text up to the line of `endscript`, which is read with one character more; None where there is none."""
        text, start = self.text, self.at
        word = text.find(_END, start)
        while word >= 0:
            line = max(text.rfind("\n", start, word) + 1, start)
            end = word + len(_END)
            if not text[line:word].strip(BLANK) and not (end < len(text) and text[end] in LETTERS):
                # A newline is left to whoever counts lines.
                self.at = end if text.startswith("\n", end) else end + 1
                self.line += text.count("\n", start, word)
                return until_nul(text[start:line])
            # None that comes later in this line is the first word of it.
            after = text.find("\n", word)
            word = text.find(_END, after) if after >= 0 else -1
        return None


def last_byte(text: str) -> str:
    """What C takes for the last character."""
    return os.fsdecode(os.fsencode(text[-1:])[-1:])


def until_nul(text: str) -> str:
    """As much as C would see of it."""
    return text.partition("\0")[0] if "\0" in text else text


def _has_quotes(text: str) -> bool:
    return '"' in text or "'" in text or "\\" in text


def split_space(text: str) -> list[str]:
    """The words between what C takes for space; str.split() knows more of it."""
    return [os.fsdecode(word) for word in os.fsencode(text).split()]


def split_names(text: str) -> list[str]:
    """The names that are written before a `{`, as popt splits them: quotes may stand inside of a name.

    A backslash keeps the character after it, in quotes only a quote such as theirs. Raises ValueError where the text
    ends with one.
    """
    if not _has_quotes(text):
        return split_space(text)
    names: list[str] = []
    name, quote = "", ""
    characters = iter(text)
    for char in characters:
        if char == "\\":
            char = next(characters, "")
            if not char:
                raise ValueError("a name ends with a backslash")
            name += char if quote in ("", char) else "\\" + char
        elif quote:
            if char == quote:
                quote = ""
            else:
                name += char
        elif char in "\"'":
            quote = char
        elif char in SPACE:
            if name:
                names.append(name)
            name = ""
        else:
            name += char
    return [*names, name] if name else names


def split_quoted(text: str, at_most: int) -> tuple[list[str], bool]:
    """The first words of `create`, `createolddir` and `su`, and whether there is more. A word may be quoted.

    Space at the end, which only a file without a newline at its end has, is followed by an empty one. Raises
    ValueError for a quote that is not closed.
    """
    if text[-1:] not in SPACE and not _has_quotes(text):
        words = split_space(text)
        return words[:at_most], len(words) > at_most
    words = []
    at = 0
    while at < len(text) and len(words) < at_most:
        while at < len(text) and text[at] in SPACE:
            at += 1
        if at == len(text) and not words:
            break
        if text.startswith(("'", '"'), at):
            end = text.find(text[at], at + 1)
            if end < 0:
                raise ValueError("a quote is not closed")
            words.append(text[at + 1 : end])
            at = end + 1
            continue
        end = at
        while end < len(text) and text[end] not in SPACE:
            end += 1
        words.append(text[at:end])
        at = end
    return words, at < len(text)
