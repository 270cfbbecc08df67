"""How rotated logs are called, and which files are older ones of a log (pure)."""

from __future__ import annotations

from bisect import bisect_left

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule

LONGEST_PATTERN = 127
LONGEST_SUFFIX = 63
"""What logrotate takes of a date format: characters of its pattern, and of what it comes to."""
_DIGIT = "[0-9]"
_DIGITS = {"Y": 4, "m": 2, "d": 2, "H": 2, "M": 2, "S": 2, "V": 2, "s": 10}
"""The specifiers of a date format, and as how many digits each is looked for."""
_SPECIAL = frozenset("*?[\\")


class Names:
    """The names of one log's older ones: `STEM` + number or date + `extension`, and what compression puts behind."""

    __slots__ = ("extension", "folder", "stem")

    def __init__(self, rule: Rule, log: str) -> None:
        folder, _, base = log.rpartition("/")
        folder = folder.rstrip("/")
        for given in (rule.addextension, rule.extension):
            if given is not None and base.endswith(given):
                extension = given
                break
        else:
            extension = rule.addextension or ""
        base = base.removesuffix(extension)
        if rule.olddir is not None:
            folder = rule.olddir if rule.olddir.startswith("/") else f"{folder}/{rule.olddir}"
        self.folder = folder
        """As messages show it: not resolved."""
        self.stem = base
        self.extension = extension

    def numbered(self, number: int) -> str:
        """The name, in its folder, of a log that was rotated by number."""
        return f"{self.stem}.{number}{self.extension}"

    def dated(self, suffix: str) -> str:
        """The name, in its folder, of a log that was rotated by date."""
        return f"{self.stem}{suffix}{self.extension}"

    def number_of(self, name: str, behind: str) -> int | None:
        """The number in the name of an older one that has `behind` behind it; None where it is not one."""
        head, tail = f"{self.stem}.", f"{self.extension}{behind}"
        if len(name) <= len(head) + len(tail) or not name.startswith(head) or not name.endswith(tail):
            return None
        digits = name[len(head) : len(name) - len(tail)]
        return int(digits) if digits.isascii() and digits.isdigit() else None


class DateFormat:
    """A date format: what it comes to, and the pattern of all that it may come to."""

    __slots__ = ("converted", "given", "pattern")

    def __init__(self, given: str) -> None:
        self.given = given
        converted, pattern = [], []
        position = 0
        while position < len(given):
            character = given[position]
            following = given[position + 1 : position + 2]
            if character != "%":
                converted.append(character)
                pattern.append(character)
            elif following in _DIGITS:
                converted.append("%" + following)
                pattern.append(_DIGIT * _DIGITS[following])
                position += 1
            else:
                converted.append("%%")
                pattern.append("%")
            position += 1
        self.converted = "".join(converted)
        self.pattern = "".join(pattern)

    def applied(self, moment: Moment) -> str:
        """What it is at that moment."""
        values = {
            "Y": f"{moment.year:04}",
            "m": f"{moment.month:02}",
            "d": f"{moment.day:02}",
            "H": f"{moment.hour:02}",
            "M": f"{moment.minute:02}",
            "S": f"{moment.second:02}",
            "V": f"{moment.week():02}",
            "s": str(moment.seconds),
            "%": "%",
        }
        parts = self.converted.split("%")
        text = [parts[0]]
        position = 1
        while position < len(parts):
            if parts[position]:
                text.append(values[parts[position][0]] + parts[position][1:])
                position += 1
            else:  # "%%": the second sign stands before the next part
                text.append("%" + (parts[position + 1] if position + 1 < len(parts) else ""))
                position += 2
        return "".join(text)


def matching(names: list[str], pattern: str) -> list[str]:
    """Those of the sorted `names` that a pattern of the shell means, in the same order.

    Names of logs are part of the pattern, as logrotate has it: one with `*` in it may find more than its own.
    """
    shape = pattern.replace(_DIGIT, "\0")
    if not _SPECIAL.isdisjoint(shape):
        # Loading it takes as long as a rotation, and few logs have such names.
        import fnmatch

        hidden = pattern.startswith(".")
        return [name for name in fnmatch.filter(names, pattern) if hidden or not name.startswith(".")]
    head = shape.partition("\0")[0]
    found = []
    for index in range(bisect_left(names, head), len(names)):
        name = names[index]
        if not name.startswith(head):
            break
        if len(name) == len(shape) and all(
            have == wanted or (wanted == "\0" and have in "0123456789")
            for have, wanted in zip(name, shape, strict=True)
        ):
            found.append(name)
    return found
