"""How logs are rotated: what logrotate's language and the tables `[[logs]]` both come to.

Plain classes, since `hostward logrotate` must be done with a thousand logs in the time in which `dataclasses` or
`typing` would be imported.
"""

from __future__ import annotations

HOURLY, DAILY, WEEKLY, MONTHLY, YEARLY, SIZE = "hourly", "daily", "weekly", "monthly", "yearly", "size"
"""What decides that a log is due (`Rule.criterion`)."""
EVERY_7_DAYS = 7
"""`Rule.weekday`: no day of the week, but seven days after the last time."""

NO_PATH = "(null)"
"""What a path of a command, or an extension, is after a mistake in it, as messages show it."""


class Ownership:
    """A file's mode and owners. None: as the log had it."""

    __slots__ = ("gid", "mode", "uid")

    def __init__(self, mode: int | None = None, uid: int | None = None, gid: int | None = None) -> None:
        self.mode = mode
        self.uid = uid
        self.gid = gid


class Rule:
    """What is in force for a log. The names are those of logrotate(8), which explains each.

    A value that nobody set is the class's, so a section begins with what is in force around it, `copied`.
    """

    # When
    criterion: str = SIZE
    size: int = 2**20
    """Bytes, above which a log is due where `criterion` is SIZE."""
    weekday: int = 0
    """0 is Sunday; EVERY_7_DAYS."""
    minsize: int = 0
    maxsize: int = 0
    """Bytes; 0 for none."""
    minage: int = 0
    maxage: int = 0
    """Days; 0 for none."""
    ifempty: bool = True
    missingok: bool = False
    allowhardlink: bool = False
    ignoreduplicates: bool = False

    # How
    copy: bool = False
    copytruncate: bool = False
    renamecopy: bool = False
    keep_tail: bool = False
    """With `copytruncate`: take only what was copied out of the log, where the file system can, so that nothing that
    is written meanwhile is lost. logrotate cannot."""
    create: Ownership | None = None
    """A new log, as it shall be; None for none."""
    create_last: Ownership = Ownership()
    """What `create` said last, also before a `nocreate`; where another says less, this holds."""
    su: tuple[int, int] | None = None
    """User and group id that rotate."""

    # To which names
    rotate: int = 0
    """Old ones that are kept; -1 for all."""
    start: int = 1
    dateext: bool = False
    dateformat: str | None = None
    dateyesterday: bool = False
    datehourago: bool = False
    extension: str | None = None
    addextension: str | None = None
    olddir: str | None = None
    createolddir: Ownership | None = None
    createolddir_last: Ownership = Ownership()
    """As `create_last`."""

    # Compression
    compress: bool = False
    delaycompress: bool = False
    compresscmd: str = "/bin/gzip"
    uncompresscmd: str = "/bin/gunzip"
    compressext: str = ".gz"
    compressoptions: tuple[str, ...] | None = None
    """None: what fits `compresscmd`."""
    codec: str = ""
    """`zstd`, `gzip` or `xz` by our own hands; empty for `compresscmd`."""
    level: int | None = None
    """Of the codec; None for its default."""
    threads: int = 0
    """Of the codec; 0 for as many as there are processors."""

    # What else is removed
    shred: bool = False
    shredcycles: int = 0
    mail: str | None = None
    mailfirst: bool = False

    # Scripts
    sharedscripts: bool = False
    firstaction: Script | None = None
    prerotate: Script | None = None
    postrotate: Script | None = None
    lastaction: Script | None = None
    preremove: Script | None = None

    def copied(self) -> Rule:
        """Another that has the same in force."""
        other = Rule()
        other.__dict__.update(self.__dict__)
        return other


class Script:
    """What runs around a rotation: text for /bin/sh, or programs without a shell, which get no arguments besides."""

    __slots__ = ("commands", "text")

    def __init__(self, text: str = "", commands: tuple[tuple[str, ...], ...] = ()) -> None:
        self.text = text
        self.commands = commands


class Section:
    """Logs with the rule that is theirs."""

    __slots__ = ("logs", "pattern", "place", "rule")

    def __init__(self, rule: Rule, *, pattern: str, logs: list[str], place: str) -> None:
        self.rule = rule
        self.pattern = pattern
        """As it was written: what shared scripts get, and messages show."""
        self.logs = logs
        """The paths that the pattern means, in their order; one that does not exist stands for itself."""
        self.place = place
        """Where it is written, `FILE:LINE`, or the name of a native rule."""
