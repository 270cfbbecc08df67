"""Patterns in log files or in the journal: how often they were found, and with which words."""

from __future__ import annotations

import os
import re
import time
from collections.abc import Callable, Iterable
from typing import Annotated, Literal

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from agent.checks.patterns import check_pattern
from agent.logs import journal
from agent.logs.follow import Follower, Loss
from agent.logs.match import Matcher
from agent.logs.place import Places
from agent.logs.tally import Tally, added, count, most_frequent, moved
from kit.units import Duration, Size, format_duration, format_size
from wire.limits import LABEL, MAX_LABEL_NAME, MAX_LABELS

OTHERS = "other"
"""The value of the labels of all matches beyond the most frequent ones."""
MAX_SERIES = 900
READING_SHARE = 0.5
"""Of the time that a run has, until when new lines are read; they are looked at within `MATCHING_SHARE`."""
MATCHING_SHARE = 0.75
LINE_SHARE = 0.1
"""Of that time, what one line may take."""

Absolute = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A/(?!.*\*\*).+\Z", extra={"words": "an absolute path, in which * and ? do not go beyond a /"}
    ),
]
Text = Annotated[str, msgspec.Meta(min_length=1)]


class Pattern(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What to look for in each line."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="What it is called in readings and messages.",
            pattern=r"\A[A-Za-z0-9][A-Za-z0-9_.-]*\Z",
            max_length=64,
            examples=["failed-login"],
            extra={"words": "a name of letters, digits, _, . and -"},
        ),
    ]
    match: Annotated[
        str,
        msgspec.Meta(
            description="A regular expression that must be found in the line. Its named groups become labels.",
            min_length=1,
            examples=["Failed password for .* from (?P<address>[0-9a-f.:]+)"],
        ),
    ]
    count: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the number of matches in the window.", examples=[{"warning": 10}]),
    ] = Threshold()
    rate: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the matches a second, over the window.", examples=[{"warning": 0.1}]),
    ] = Threshold()
    each: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the number of matches in the window with the same words in the named groups.",
            examples=[{"warning": 20}],
        ),
    ] = Threshold()
    top: Annotated[
        int,
        msgspec.Meta(
            description="How many different words of the named groups are told apart: the most frequent in the "
            "window. All others together are `other`.",
            ge=1,
            le=100,
            examples=[20],
        ),
    ] = 10

    def __post_init__(self) -> None:
        check_pattern("match", self.match)
        for group in self.groups:
            if not LABEL.fullmatch(group) or len(group) > MAX_LABEL_NAME or group in ("pattern", "value"):
                raise ValueError(f"match has a group that cannot be a label: {group}")
        if len(self.groups) >= MAX_LABELS:
            raise ValueError(f"match has more than {MAX_LABELS - 1} named groups")
        if self.each != Threshold() and not self.groups:
            raise ValueError("each needs a named group in match, such as (?P<address>[0-9.]+)")

    @property
    def groups(self) -> tuple[str, ...]:
        """The named groups, in their order."""
        return tuple(re.compile(self.match).groupindex)


class Journal(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which entries of the journal to look at; those for which all that is given holds."""

    units: Annotated[
        tuple[Text, ...],
        msgspec.Meta(description="Of these units (* and ? as in file names).", examples=[["ssh.service"]]),
    ] = ()
    identifiers: Annotated[
        tuple[Text, ...], msgspec.Meta(description="Of these syslog identifiers.", examples=[["sudo"]])
    ] = ()
    priority: Annotated[
        Literal["emerg", "alert", "crit", "err", "warning", "notice", "info", "debug"],
        msgspec.Meta(description="Of this priority, or of a more important one.", examples=["err"]),
    ] = "debug"
    fields: Annotated[
        tuple[
            Annotated[
                str,
                msgspec.Meta(pattern=r"\A[A-Z_][A-Z0-9_]*=", extra={"words": "a field and its value: FIELD=VALUE"}),
            ],
            ...,
        ],
        msgspec.Meta(
            description="Whose fields have these values (systemd.journal-fields(7)); of values for one field any.",
            examples=[["_TRANSPORT=kernel"]],
        ),
    ] = ()
    directory: Annotated[
        str,
        msgspec.Meta(
            description="Where the journal is; empty for the host's own.", examples=["/var/log/journal/remote"]
        ),
    ] = ""

    @property
    def source(self) -> list[str]:
        """journalctl's options for where the journal is."""
        return [f"--directory={self.directory}"] if self.directory else []

    @property
    def filters(self) -> list[str]:
        """journalctl's options for which entries."""
        units = [f"--unit={unit}" for unit in self.units]
        identifiers = [f"--identifier={identifier}" for identifier in self.identifiers]
        return [*units, *identifiers, f"--priority={self.priority}", "--", *self.fields]


class LogOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Patterns in log files or in the journal. Exactly one of `files` and `journal` says where."""

    every: Every = Duration(60)
    files: Annotated[
        tuple[Absolute, ...],
        msgspec.Meta(
            description="Log files (* and ? as in file names). Their rotated pieces beside them are found by "
            "themselves.",
            examples=[["/var/log/auth.log", "/srv/*/log/*.log"]],
        ),
    ] = ()
    journal: Annotated[
        Journal | None, msgspec.Meta(description="The journal.", examples=[{"units": ["ssh.service"]}])
    ] = None
    patterns: Annotated[
        tuple[Pattern, ...],
        msgspec.Meta(
            description="What to look for.",
            min_length=1,
            examples=[[{"name": "failed", "match": "Failed password", "count": {"warning": 20}}]],
            extra={"words": "an array of patterns"},
        ),
    ]
    ignore: Annotated[
        tuple[Text, ...],
        msgspec.Meta(
            description="Regular expressions: lines in which one of them is found are passed over.",
            examples=[["health-check"]],
        ),
    ] = ()
    window: Annotated[
        Duration,
        msgspec.Meta(
            description="How far back matches count for the bounds, from when they were read.",
            examples=["10m"],
            extra={"minimum": Duration(1)},
        ),
    ] = Duration(300)
    begin: Annotated[
        Literal["end", "beginning"],
        msgspec.Meta(
            description="Where a log is begun that is there at the check's first run. Those that come later are read "
            "from the beginning.",
            examples=["beginning"],
        ),
    ] = "end"
    longest: Annotated[
        Size,
        msgspec.Meta(
            description="How much of a line is looked at.",
            examples=["64KiB"],
            extra={"minimum": Size(80), "maximum": Size(2**18)},
        ),
    ] = Size(2**14)
    encoding: Annotated[
        str,
        msgspec.Meta(
            description="How text is written in the files. What does not fit it is replaced by U+FFFD.",
            examples=["latin-1"],
        ),
    ] = "utf-8"
    at_once: Annotated[
        Size,
        msgspec.Meta(
            description="How much is read by one run; the next one goes on from there.",
            examples=["64MiB"],
            extra={"minimum": Size(2**16)},
        ),
    ] = Size(2**24)

    def __post_init__(self) -> None:
        if bool(self.files) == (self.journal is not None):
            raise ValueError("needs exactly one of files and journal")
        for expression in self.ignore:
            check_pattern("ignore", expression)
        names = [pattern.name for pattern in self.patterns]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"patterns has two of the name {twice}")
        if sum(3 + (pattern.top + 1) * bool(pattern.groups) for pattern in self.patterns) > MAX_SERIES:
            raise ValueError(f"patterns would make more than {MAX_SERIES} readings: fewer patterns, or smaller tops")
        try:
            newline = "\n".encode(self.encoding)
        except LookupError:
            raise ValueError(f"encoding: there is none called {self.encoding}") from None
        if newline != b"\n":
            raise ValueError(f"encoding: {self.encoding} does not write the end of a line as one byte")


class LogMemory(msgspec.Struct):
    """What lasts."""

    time: float
    """Seconds since the epoch."""
    tallies: dict[str, Tally] = {}
    lines: int = 0
    lost_bytes: int = 0
    losses: int = 0
    places: Places | None = None
    cursor: str | None = None


class Log(Check[LogOptions]):
    """Lines of logs."""

    Options = LogOptions
    runs = "job"
    lasting = True

    def rules(self) -> list[Rule]:
        """Each pattern by its own bounds."""
        window = format_duration(self.options.window)
        rules = []
        for pattern in self.options.patterns:
            only = {"pattern": pattern.name}
            words = " ".join(f"{{{group}}}" for group in pattern.groups)
            rules += [
                Rule("log_matches", pattern.count, f"{{pattern}}: {{value}} in {window}", only),
                Rule("log_matches_per_second", pattern.rate, "{pattern}: {value}", only),
                Rule("log_group_matches", pattern.each, f"{{pattern}}: {{value}} in {window} with {words}", only),
            ]
        return rules

    def collect(self, context: Context) -> Sample:
        """Read what is new, and count."""
        options = self.options
        began, patience = time.monotonic(), options.patience
        memory = _remembered(context)
        passed = context.now - memory.time if context.elapsed is None else context.elapsed
        matcher = Matcher(
            {pattern.name: pattern.match for pattern in options.patterns},
            options.ignore,
            deadline=began + MATCHING_SHARE * patience,
            share=LINE_SHARE * patience,
            longest=options.longest,
        )

        def is_over() -> bool:
            return time.monotonic() > began + READING_SHARE * patience

        look = self._look_at_files if options.journal is None else self._look_at_journal
        measurements, findings, told = look(context, memory, matcher, is_over)
        if matcher.passed_over:
            text = f"{matcher.passed_over} lines were not looked at: the patterns take too long on them"
            findings.append(Finding("unknown", text))
        found: list[str] = []
        tallies = {}
        for pattern in options.patterns:
            tally = moved(memory.tallies.get(pattern.name, Tally()), passed, options.window)
            tally = added(tally, matcher.found[pattern.name], options.window, pattern.top)
            tallies[pattern.name] = tally
            measurements += self._measure(pattern, tally)
            if in_window := count(tally):
                found.append(f"{pattern.name} {in_window}")
        memory.lines += matcher.lines
        measurements.append(Measurement("log_lines_total", memory.lines))
        memory.time, memory.tallies = context.now, tallies
        within = f"in {format_duration(options.window)}"
        summary = f"{', '.join(found)} {within}" if found else f"no match {within}"
        return Sample(measurements, findings, f"{summary}; {told}" if told else summary, memory)

    def _measure(self, pattern: Pattern, tally: Tally) -> Iterable[Measurement]:
        labels = {"pattern": pattern.name}
        in_window = count(tally)
        yield Measurement("log_matches", in_window, labels=labels)
        yield Measurement("log_matches_per_second", in_window / self.options.window, "1/s", labels)
        yield Measurement("log_matches_total", tally.total, labels=labels)
        if not pattern.groups:
            return
        named, rest = most_frequent(tally, pattern.top)
        by_values = dict(named)
        if rest:
            others = (OTHERS,) * len(pattern.groups)
            by_values[others] = by_values.get(others, 0) + rest
        for values, number in by_values.items():
            if len(values) == len(pattern.groups):  # else they were captured by an expression that was another then
                captured = dict(zip(pattern.groups, values, strict=True))
                yield Measurement("log_group_matches", number, labels=labels | captured)

    def _look_at_files(
        self, context: Context, memory: LogMemory, matcher: Matcher, is_over: Callable[[], bool]
    ) -> tuple[list[Measurement], list[Finding], str]:
        options = self.options
        is_first = memory.places is None
        follower = Follower(
            memory.places or Places(),
            [os.fspath(context.system.path(file.lstrip("/"))) for file in options.files],
            now=context.now,
            longest=options.longest,
            from_beginning=options.begin == "beginning",
        )
        for _, lines in follower.read(options.at_once, is_over):
            matcher.feed(line.decode(options.encoding, "replace") for line in lines)
        memory.places = follower.places
        memory.lost_bytes += sum(loss.bytes for loss in follower.losses)
        memory.losses += len(follower.losses)
        findings = [_said(loss) for loss in follower.losses]
        findings += [Finding("unknown", f"{one.path} cannot be read: {one.reason}") for one in follower.troubles]
        findings += [Finding("unknown", f"there is no file {path}") for path in follower.missing]
        if follower.left_out:
            findings.append(Finding("unknown", f"files beyond those that can be followed: {follower.left_out}"))
        told = f"{follower.count} file{'s' * (follower.count != 1)}" if is_first else ""
        if follower.behind:
            told = f"{format_size(follower.behind)} still to be read"
        measurements = [
            Measurement("log_files", follower.count),
            Measurement("log_behind_bytes", follower.behind, "bytes"),
            Measurement("log_lost_bytes_total", memory.lost_bytes, "bytes"),
            Measurement("log_losses_total", memory.losses),
        ]
        return measurements, findings, told

    def _look_at_journal(
        self, context: Context, memory: LogMemory, matcher: Matcher, is_over: Callable[[], bool]
    ) -> tuple[list[Measurement], list[Finding], str]:
        asked = self.options.journal
        assert asked is not None
        try:
            if memory.cursor is None:
                at_end = self.options.begin == "end"
                memory.cursor = journal.newest(asked.source, is_over) if at_end else ""
            found = journal.read(asked.source, asked.filters, memory.cursor, self.options.at_once, is_over)
        except journal.JournalError as error:
            raise CheckError(str(error)) from error
        memory.cursor = found.cursor
        matcher.feed(found.messages)
        behind = max(0.0, context.now - found.latest) if found.is_behind and found.latest is not None else 0.0
        findings = []
        if found.too_long:
            text = f"{found.too_long} entries of 4 KiB or more were not looked at: journalctl does not print them"
            findings.append(Finding("ok", text))
        told = f"{format_duration(behind)} still to be read" if found.is_behind else ""
        return [Measurement("log_behind_seconds", behind, "seconds")], findings, told


def _remembered(context: Context) -> LogMemory:
    try:
        return LogMemory(context.now) if context.previous is None else msgspec.convert(context.previous, LogMemory)
    except msgspec.ValidationError:
        return LogMemory(context.now)


def _said(loss: Loss) -> Finding:
    if loss.bytes:
        return Finding("warning", f"{loss.path} {loss.how}: {format_size(loss.bytes)} of it were never read")
    return Finding("ok", f"{loss.path} {loss.how}: whether lines came after the last look, nobody can tell")
