"""A rule for logs: a table of the array `[[logs]]`, which says what `hostward logs` rotates, when, and what it keeps.

Loading it loads nothing of rotation itself: the daemon, too, reads the configuration.
"""

from __future__ import annotations

import re
import signal
from typing import Annotated, Literal

import msgspec

from agent.config.name import Name
from agent.timetable import KINDS, Schedule
from kit.options.wrong import OptionError
from kit.units import Duration, Size
from kit.zones import zone_of

DAY = 86400
CLASSES = {"application": 30, "error": 30, "performance": 90, "audit": 2557}
"""Days for which old logs of a class are kept: 7 years are 2,557 days where two of them are leap years."""
AUDIT = "audit"
DATED = "-%Y%m%d-%H%M%S"
"""How old logs are called that are named by date: two of one log are never of the same second."""

_SPECIFIERS = re.compile(r"%(.?)")
_SET = re.compile(r"\[!?+\]?+[^\]]*+\]")
"""Of a pattern, `[…]`. Another `[` would mean itself, and who writes one meant more."""

Text = Annotated[str, msgspec.Meta(min_length=1)]
_Command = Annotated[tuple[Text, ...], msgspec.Meta(extra={"words": "an array of text, the program first"})]
_Path = Annotated[
    str,
    msgspec.Meta(pattern=r"\A/[^\0\n]*[^\0\n/]\Z", max_length=4096, extra={"words": "a full path, beginning with /"}),
]
_Account = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[^\s:\0]+\Z", max_length=255, extra={"words": "a name or number"}),
]
_Unit = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A[A-Za-z0-9:_.\\@][A-Za-z0-9:_.\\@-]*\.[a-z]+\Z",
        max_length=255,
        extra={"words": 'the name of a unit such as "nginx.service"'},
    ),
]

_Count = Annotated[int, msgspec.Meta(ge=0, le=100_000)]
_Mode = Annotated[str, msgspec.Meta(pattern=r"\A0?[0-7]{3}\Z", extra={"words": 'an octal mode such as "0640"'})]
_Folder = Annotated[str, msgspec.Meta(pattern=r"\A[^\0\n]+\Z", max_length=4096, extra={"words": "a path"})]
_UserAndGroup = Annotated[
    str,
    msgspec.Meta(pattern=r"\A[^\s:\0]+:[^\s:\0]+\Z", extra={"words": 'a user and a group such as "postgres:adm"'}),
]


class Then(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is done once after logs of a rule were rotated, so that whoever writes them opens the new ones."""

    reload: Annotated[
        _Unit | None,
        msgspec.Meta(
            description="Reload this unit, as `systemctl reload` does, where it is active.",
            examples=["nginx.service"],
        ),
    ] = None
    signal: Annotated[
        str | None,
        msgspec.Meta(
            description="Send this signal to the main process of `unit`, or to the process in `pid_file`. Where "
            "there is none nothing is sent.",
            examples=["USR1"],
        ),
    ] = None
    unit: Annotated[_Unit | None, msgspec.Meta(description="Who gets `signal`.", examples=["rsyslog.service"])] = None
    pid_file: Annotated[
        _Path | None,
        msgspec.Meta(
            description="A file with the number of the process that gets `signal`. Where the file is not root's, the "
            "process has to be of the file's owner.",
            examples=["/run/nginx.pid"],
        ),
    ] = None
    command: Annotated[
        _Command,
        msgspec.Meta(
            description="A program and its arguments, without a shell. It is run after the others.",
            examples=[["/usr/bin/chronyc", "cyclelogs"]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        if self.signal is not None:
            if f"SIG{self.signal}" not in signal.Signals.__members__:
                raise OptionError("signal", f'expected a name such as "HUP" or "USR1", found "{self.signal}"')
            if (self.unit is None) == (self.pid_file is None):
                raise ValueError("signal: expected either unit or pid_file beside it")
        elif self.unit is not None or self.pid_file is not None:
            raise ValueError("unit and pid_file say who gets a signal: expected signal beside them")
        elif self.reload is None and not self.command:
            raise ValueError("expected what is to be done: reload, signal or command")


class LogOptions(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Logs that are rotated alike. A log is due when one of `size`, `age`, the timetable (`every` to `yearly`) and
    `low_disk` says so; without any of the first three, each day at midnight. An old one is kept until one of `count`,
    `max_age`, `total_size` and `keep_free` says that it goes; without any of them as long as `class` says.
    """

    name: Annotated[Name, msgspec.Meta(description="What the rule is called.", examples=["nginx"])]
    paths: Annotated[
        tuple[_Path, ...],
        msgspec.Meta(
            description="The logs: full paths, in which `*`, `?` and `[…]` mean what they mean to a shell. "
            "A path without them need not exist.",
            min_length=1,
            examples=[["/var/log/nginx/*.log"]],
            extra={"words": "an array of full paths"},
        ),
    ]
    exclude: Annotated[
        tuple[Text, ...],
        msgspec.Meta(
            description="Which of them are left out: patterns of full paths, or of names where they hold no `/`.",
            examples=[["debug.log", "/var/log/nginx/old-*"]],
        ),
    ] = ()

    # When
    size: Annotated[
        Size | None,
        msgspec.Meta(
            description="Rotate a log that has reached this size.",
            examples=["100MiB"],
            extra={"minimum": Size(1)},
        ),
    ] = None
    age: Annotated[
        Duration | None,
        msgspec.Meta(
            description="Rotate a log that was last rotated, or first seen, so long ago.",
            examples=["12h"],
            extra={"minimum": Duration(60)},
        ),
    ] = None
    low_disk: Annotated[
        Size | None,
        msgspec.Meta(
            description="Rotate a log of 1 MiB or more, and compress it at once, while its file system has less "
            "than this free; at most once an hour.",
            examples=["2GiB"],
            extra={"minimum": Size(1)},
        ),
    ] = None
    min_size: Annotated[
        Size,
        msgspec.Meta(
            description='A smaller log is left alone, even when its time has come: "0B" rotates empty ones too.',
            examples=["1MiB"],
        ),
    ] = Size(1)
    catch_up: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a rotation that was due while the host was off is made up for, once.",
            examples=[False],
        ),
    ] = True

    # What is kept
    retention: Annotated[
        Literal["application", "error", "performance", "audit"] | None,
        msgspec.Meta(
            description="The class of the logs, which says how long old ones are kept: application and error "
            "30 days, performance 90 days, audit 7 years. `max_age` outweighs it. What would remove logs of the "
            "class audit earlier needs `archive`.",
            examples=["audit"],
        ),
    ] = msgspec.field(default=None, name="class")
    count: Annotated[
        _Count | None, msgspec.Meta(description="How many old ones of each log are kept.", examples=[14])
    ] = None
    max_age: Annotated[
        Duration | None,
        msgspec.Meta(
            description="How old they may become.",
            examples=["30d"],
            extra={"minimum": Duration(60)},
        ),
    ] = None
    total_size: Annotated[
        Size | None,
        msgspec.Meta(description="How much the old ones of each log may take together.", examples=["2GiB"]),
    ] = None
    keep_free: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much of their file system is to stay free: while it is less, the oldest go.",
            examples=["5GiB"],
        ),
    ] = None
    archive: Annotated[
        Name | None,
        msgspec.Meta(
            description="A backup job, whose repository takes each old one before it is removed. It is removed when "
            "it was read back from there and is the same.",
            examples=["archive"],
        ),
    ] = None
    budget: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much all files of the rule, and the journal of its `units`, may take together. The "
            "oldest old logs go, whichever log they are of; what the journal takes counts, but cannot be removed "
            "for one unit alone.",
            examples=["2GiB"],
        ),
    ] = None
    units: Annotated[
        tuple[_Unit, ...],
        msgspec.Meta(
            description="The units whose journal counts into `budget`.",
            examples=[["nginx.service"]],
            extra={"words": "an array of names of units"},
        ),
    ] = ()

    # How
    compression: Annotated[
        Literal["zstd", "gzip", "xz", "none"],
        msgspec.Meta(description="How old ones are compressed.", examples=["xz"]),
    ] = "zstd"
    level: Annotated[
        int | None,
        msgspec.Meta(
            description="How hard: 1 to 19 for zstd (3), 1 to 9 for gzip (6), 0 to 9 for xz (4).", examples=[9]
        ),
    ] = None
    threads: Annotated[
        int,
        msgspec.Meta(
            description="How many threads compress one log; 0 for as many as there are processors. gzip has one.",
            ge=0,
            le=64,
            examples=[1],
        ),
    ] = 0
    delay: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the newest old one is compressed at the next rotation only, for who writes on into "
            "it.",
            examples=[True],
        ),
    ] = False
    names: Annotated[
        Literal["date", "number"],
        msgspec.Meta(
            description="How old ones are called: after the moment of rotation, or .1, .2 and so on from the newest "
            "on.",
            examples=["number"],
        ),
    ] = "date"
    date_format: Annotated[
        str,
        msgspec.Meta(
            description="The moment in names: what strftime makes of %Y, %m, %d, %H, %M, %S, %V and %s, the larger "
            "first. A log that would get the name of another stays until the next moment.",
            max_length=64,
            examples=["-%Y%m%d"],
        ),
    ] = DATED
    folder: Annotated[
        _Folder | None,
        msgspec.Meta(
            description="Where old ones are put: a full path, or one below the log's folder. It is made where it is "
            "missing; it must be in the log's file system, but for `copytruncate`.",
            examples=["old"],
        ),
    ] = None
    create: Annotated[
        bool,
        msgspec.Meta(
            description="Whether a new, empty log is made at once; otherwise whoever writes makes it.",
            examples=[False],
        ),
    ] = True
    owner: Annotated[
        _Account | None,
        msgspec.Meta(description="To whom the new log belongs; as the old one by default.", examples=["www-data"]),
    ] = None
    group: Annotated[
        _Account | None,
        msgspec.Meta(description="The group of the new log; as the old one's by default.", examples=["adm"]),
    ] = None
    mode: Annotated[
        _Mode | None,
        msgspec.Meta(
            description="The mode of the new log, octal; as the old one's by default.",
            examples=["0640"],
        ),
    ] = None
    su: Annotated[
        _UserAndGroup | None,
        msgspec.Meta(
            description="Who rotates, as `USER:GROUP`, for logs in folders that others than root may write to.",
            examples=["postgres:postgres"],
        ),
    ] = None
    copytruncate: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the log is copied and then emptied in place, for who cannot open a new one. What is "
            "written between the two is lost where the file system cannot cut out what was copied: ext4 and XFS can "
            "(fallocate's FALLOC_FL_COLLAPSE_RANGE).",
            examples=[True],
        ),
    ] = False
    before: Annotated[
        _Command,
        msgspec.Meta(
            description="A program and its arguments, without a shell, run once before logs are rotated. Where it "
            "fails none is.",
            examples=[["/usr/local/bin/ready-to-rotate"]],
        ),
    ] = ()
    then: Annotated[
        Then | None,
        msgspec.Meta(
            description="What is done once after logs were rotated, before they are compressed.",
            examples=[{"reload": "nginx.service"}],
        ),
    ] = None
    enabled: Annotated[bool, msgspec.Meta(description="false turns it off.", examples=[False])] = True
    description: Annotated[
        str, msgspec.Meta(description="What it is for, in a few words.", examples=["web server of the shop"])
    ] = ""

    def __post_init__(self) -> None:
        if any(getattr(self, kind) is not None for kind in KINDS):
            super().__post_init__()
        else:
            zone_of(self.timezone)
        self._check_names()
        self._check_ways()
        self._check_retention()

    def _check_names(self) -> None:
        if not all(found in "YmdHMSVs" for found in _SPECIFIERS.findall(self.date_format)) or "/" in self.date_format:
            text = f'expected text with %Y, %m, %d, %H, %M, %S, %V or %s, found "{self.date_format}"'
            raise OptionError("date_format", text)
        if self.names == "date" and "%" not in self.date_format:
            text = "expected one of %Y, %m, %d, %H, %M, %S, %V and %s in it"
            raise OptionError("date_format", text, beside=("names",))
        if self.folder is not None and ".." in self.folder.split("/"):
            raise OptionError("folder", "expected a path without ..")
        for option in ("paths", "exclude"):
            for pattern in getattr(self, option):
                if "[" in _SET.sub("", pattern):
                    text = (
                        f'expected a pattern, in which a [ has its ] ("[[]" means the sign itself), found "{pattern}"'
                    )
                    raise OptionError(option, text)

    def _check_ways(self) -> None:
        low, high = {"zstd": (1, 19), "gzip": (1, 9), "xz": (0, 9), "none": (0, 0)}[self.compression]
        if self.level is not None and (self.compression == "none" or not low <= self.level <= high):
            expected = (
                "no level for no compression" if self.compression == "none" else f"a level from {low} to {high}"
            )
            raise OptionError("level", f"expected {expected}, found {self.level}", beside=("compression",))
        if self.copytruncate and (self.owner or self.group or self.mode):
            raise ValueError("copytruncate keeps the log as it is: expected no owner, group and mode")
        if not self.create and (self.owner or self.group or self.mode):
            raise ValueError("owner, group and mode are those of a new log: expected create = true beside them")

    def _check_retention(self) -> None:
        if self.units and self.budget is None:
            raise ValueError("units count into a budget: expected budget beside them")
        if self.retention != AUDIT or self.archive is not None:
            return
        for name in ("count", "total_size", "keep_free", "budget", "max_age"):
            given = getattr(self, name)
            if given is not None and not (name == "max_age" and given >= CLASSES[AUDIT] * DAY):
                raise ValueError(
                    f"{name} would remove logs of the class audit before their 7 years are over: expected archive "
                    "beside it, which saves them first"
                )

    @property
    def timetable(self) -> Schedule | None:
        """When it is due by the clock; None for never."""
        given = {kind: getattr(self, kind) for kind in KINDS if getattr(self, kind) is not None}
        if not given:
            if self.size is not None or self.age is not None:
                return None
            given = {"daily": "00:00"}
        return Schedule(**given, timezone=self.timezone, jitter=self.jitter, catch_up=self.catch_up)

    @property
    def kept_days(self) -> float | None:
        """Days for which old ones are kept; None for no bound."""
        if self.max_age is not None:
            return self.max_age / DAY
        if self.retention is None and (self.count is not None or self.total_size is not None):
            return None
        return float(CLASSES[self.retention or "application"])
