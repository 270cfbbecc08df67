"""What is done to a log, in pieces that a journal can hold: each says what it is about, and none does anything.

A path is as messages show it. `inode` is that of the file meant, on the device of its folder: where the path has
another one by now, the step was done already, or is about something that is gone. 0: not known beforehand.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    Plain = str | int | bool


class Step:
    """One of those below."""

    __slots__: tuple[str, ...] = ()
    fields: tuple[str, ...] = ()
    """Its values, in the order in which it is made of them."""

    def plain(self) -> list[Plain]:
        """What a journal keeps of it."""
        return [type(self).__name__, *[getattr(self, field) for field in self.fields]]


class Say(Step):
    """Words for whoever wants to see everything."""

    __slots__ = fields = ("text", "pretended", "well", "failed", "missing")

    def __init__(
        self, text: str, pretended: bool = True, well: bool = True, failed: bool = False, missing: str = ""
    ) -> None:
        self.text = text
        self.pretended = pretended
        """Whether it is also said where nothing is done."""
        self.well = well
        self.failed = failed
        """Whether it is said where all steps before went well, and where one failed."""
        self.missing = missing
        """A path: it is not said where that is there. Empty for none."""


class Fail(Step):
    """An error that was seen beforehand: the log is left."""

    __slots__ = fields = ("text", "there")

    def __init__(self, text: str, there: str = "") -> None:
        self.text = text
        self.there = there
        """A path: it is only said where that is there. Empty for none."""


class Warn(Step):
    """What went wrong and hinders nothing."""

    __slots__ = fields = ("text",)

    def __init__(self, text: str) -> None:
        self.text = text


class Look(Step):
    """The log has to be there still."""

    __slots__ = fields = ("path",)

    def __init__(self, path: str) -> None:
        self.path = path


class Open(Step):
    """It must be possible to read the log, of which no copy is made."""

    __slots__ = fields = ("path", "inode")

    def __init__(self, path: str, inode: int) -> None:
        self.path = path
        self.inode = inode


class Shift(Step):
    """Rename an older one; what has the new name goes."""

    __slots__ = fields = ("old", "new", "inode")

    def __init__(self, old: str, new: str, inode: int) -> None:
        self.old = old
        self.new = new
        self.inode = inode


class Missing(Step):
    """Of the numbers from `first` down to `last` there are no older ones: words alone, of which there may be as many
    as a rule keeps. `head` and `tail` are what a path has around its number; `aged`: `maxage` looks for them."""

    __slots__ = fields = ("head", "tail", "first", "last", "kept", "start", "aged")

    def __init__(self, head: str, tail: str, first: int, last: int, kept: int, start: int, aged: bool) -> None:
        self.head = head
        self.tail = tail
        self.first = first
        self.last = last
        self.kept = kept
        self.start = start
        self.aged = aged

    def words(self, *, pretend: bool) -> Iterator[str]:
        """What is said of them."""
        for number in range(self.first, self.last - 1, -1):
            old, new = (f"{self.head}{each}{self.tail}" for each in (number, number + 1))
            if not self.aged:
                yield shifting(old, new, self.kept, self.start, number)
            if self.aged or not pretend:
                yield f"old log {old} does not exist"


def shifting(old: str, new: str, kept: int, start: int, number: int) -> str:
    """What is said when an older one is renamed, as logrotate has it, with the blank at its end."""
    return f"renaming {old} to {new} (rotatecount {kept}, logstart {start}, i {number}), "


class Move(Shift):
    """Rename the log itself."""

    __slots__ = ()


class Copy(Step):
    """Copy a log to a new file that has its mode, owners and access list. `writing`: one must be able to write to it,
    too, since it goes then."""

    __slots__ = fields = ("source", "target", "inode", "writing")

    def __init__(self, source: str, target: str, inode: int, writing: bool = False) -> None:
        self.source = source
        self.target = target
        self.inode = inode
        self.writing = writing


class Truncate(Step):
    """Empty a log that was copied to `copy`; it may be longer by now. `copy` is empty where none was made."""

    __slots__ = fields = ("path", "copy", "inode")

    def __init__(self, path: str, copy: str, inode: int) -> None:
        self.path = path
        self.copy = copy
        self.inode = inode


class Create(Step):
    """A new, empty log. `like` is the file whose permissions it gets, if that is there; empty for `mode`."""

    __slots__ = fields = ("path", "mode", "uid", "gid", "like")

    def __init__(self, path: str, mode: int, uid: int, gid: int, like: str) -> None:
        self.path = path
        self.mode = mode
        self.uid = uid
        self.gid = gid
        self.like = like


class Compress(Step):
    """Put a compressed file in the place of one that is not. `modified` is the time that it gets, in nanoseconds;
    0: that of the other."""

    __slots__ = fields = ("path", "inode", "modified")

    def __init__(self, path: str, inode: int, modified: int = 0) -> None:
        self.path = path
        self.inode = inode
        self.modified = modified


class Mail(Step):
    """Send a file, unpacked."""

    __slots__ = fields = ("path", "subject", "packed")

    def __init__(self, path: str, subject: str, packed: bool) -> None:
        self.path = path
        self.subject = subject
        self.packed = packed


class Remove(Step):
    """Remove an older one, after the script and by the means that the rule has for it."""

    __slots__ = fields = ("path", "inode")

    def __init__(self, path: str, inode: int) -> None:
        self.path = path
        self.inode = inode


class Discard(Remove):
    """Remove what was renamed out of the way and copied."""

    __slots__ = ()


_KINDS = {
    kind.__name__: kind
    for kind in (
        Say,
        Fail,
        Warn,
        Look,
        Open,
        Shift,
        Missing,
        Move,
        Copy,
        Truncate,
        Create,
        Compress,
        Mail,
        Remove,
        Discard,
    )
}


def step_of(plain: Sequence[Plain]) -> Step:
    """What `plain` gave. Raises ValueError where it is none."""
    kind = _KINDS.get(str(plain[0]))
    if kind is None or len(plain) != len(kind.fields) + 1:
        raise ValueError(f"{plain} is no step")
    return kind(*plain[1:])  # type: ignore[arg-type]
