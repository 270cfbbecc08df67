"""What a check is: options in, a sample out. The runner times it, catches it, judges it and records it.

A check reads, then derives; deriving is a pure function of what was read, tested with text. It never judges its
readings against thresholds itself: it names a `Rule` for each, and `thresholds.py` judges. What no number can
say (a read-only mount, a failed unit) it returns as a `Finding`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Any, ClassVar, Generic, Literal, TypeVar

import msgspec

from agent.paths import System
from agent.privileged.options import Privileged
from kit.errors import HostwardError
from kit.units import Duration
from wire.report import State

M = TypeVar("M", bound=msgspec.Struct)

Worse = Literal["above", "below"]
"""Which way is bad: "above" for used space, "below" for days left."""


class Bounds(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """From which value on a reading is bad, and for how long it must be before that counts."""

    warning: Annotated[
        float | Literal["off"],
        msgspec.Meta(description='From this value on the check is in warning; "off" for never.', examples=[80]),
    ] = "off"
    critical: Annotated[
        float | Literal["off"],
        msgspec.Meta(description='From this value on the check is critical; "off" for never.', examples=[95]),
    ] = "off"
    for_: Annotated[
        Duration,
        msgspec.Meta(description="How long the value must stay there before it counts.", examples=["5m"]),
    ] = msgspec.field(default=Duration(0), name="for")
    hysteresis: Annotated[
        float,
        msgspec.Meta(
            description="How far the value must come back past the threshold before the state clears.",
            ge=0,
            examples=[2],
        ),
    ] = 0.0

    def __post_init__(self) -> None:
        self.check_order(self.warning, self.critical)

    @property
    def worse(self) -> Worse:
        """Which way is bad."""
        return "above"

    def check_order(self, warning: float | str, critical: float | str) -> None:
        """Raises ValueError where critical would come before warning."""
        if isinstance(warning, str) or isinstance(critical, str):
            return
        if warning > critical if self.worse == "above" else warning < critical:
            than = "at most" if self.worse == "above" else "at least"
            raise ValueError(f"warning must be {than} critical: {warning:g} and {critical:g} are not")


class Override(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Another threshold for the readings whose labels match."""

    labels: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Which readings: each label named here must match its pattern (* and ? as in file names).",
            examples=[{"mount": "/var/*"}],
        ),
    ]
    warning: Annotated[
        float | Literal["off"] | None,
        msgspec.Meta(description="Instead of the threshold's own.", examples=[90]),
    ] = None
    critical: Annotated[
        float | Literal["off"] | None,
        msgspec.Meta(description="Instead of the threshold's own.", examples=[98]),
    ] = None
    for_: Annotated[
        Duration | None,
        msgspec.Meta(description="Instead of the threshold's own.", examples=["10m"]),
    ] = msgspec.field(default=None, name="for")
    hysteresis: Annotated[
        Annotated[float, msgspec.Meta(ge=0)] | None,
        msgspec.Meta(description="Instead of the threshold's own.", examples=[5]),
    ] = None


class Threshold(Bounds, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds, with exceptions for readings that several things share: one mount, one interface."""

    overrides: Annotated[
        tuple[Override, ...],
        msgspec.Meta(
            description="Other values for some of the readings; the first that matches holds.",
            examples=[[{"labels": {"mount": "/backup"}, "warning": 95, "critical": 99}]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        self.check_order(self.warning, self.critical)
        for override in self.overrides:
            self.check_order(
                self.warning if override.warning is None else override.warning,
                self.critical if override.critical is None else override.critical,
            )


class Floor(Threshold, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A threshold for what must not become too little: from its values on downwards."""

    @property
    def worse(self) -> Worse:
        return "below"


Every = Annotated[
    Duration, msgspec.Meta(description="How often it runs.", examples=["1m"], extra={"minimum": Duration(1)})
]


class CheckOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What every check can be told; a check's own options extend this."""

    type: Annotated[
        str,
        msgspec.Meta(
            description="The kind of check; the table's own name where that is one.",
            examples=["http", "disk"],
        ),
    ] = ""
    enabled: Annotated[bool, msgspec.Meta(description="false turns it off.", examples=[False])] = True
    every: Every = Duration(15)
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long one run may take before it is stopped and the check is unknown.",
            examples=["5s"],
            extra={"minimum": Duration(0.1)},
        ),
    ] = Duration(10)
    privileged: Annotated[
        Privileged | None,
        msgspec.Meta(
            description="Run by root's half of the agent, with the rights that this table names instead of those of "
            "the agent's user. It counts only in root's own /etc/hostward.",
            examples=[{"capabilities": ["CAP_DAC_READ_SEARCH"]}],
        ),
    ] = None

    @property
    def patience(self) -> float:
        """Seconds that a job waits for an answer: a little less than `timeout`, so that it can say what it was."""
        return max(self.timeout - 1, self.timeout / 2)


@dataclass(frozen=True, slots=True)
class Measurement:
    """One value. `name` ends in its unit, as OpenMetrics has it; `unit` is for people (see wire.report.Reading)."""

    name: str
    value: float
    unit: str = ""
    labels: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Finding:
    """Something wrong, or worth saying, that no threshold tells."""

    state: State
    message: str


@dataclass(frozen=True, slots=True)
class Sample:
    """What one run of a check found. `summary` is one short line for when all is well."""

    measurements: Sequence[Measurement] = ()
    findings: Sequence[Finding] = ()
    summary: str = ""
    memory: Any = None
    """What the next run gets as `context.previous`: anything msgspec can encode (lists, dicts, numbers, text)."""


@dataclass(frozen=True, slots=True)
class Context:
    """What a run of a check may look at, besides its options."""

    system: System
    """Where /proc, /sys, /etc and /run are: a fixture tree in tests."""
    now: float
    """Seconds since the epoch."""
    previous: Any = None
    """The `memory` of the sample before, None at the first run; after a boot and a run that failed too, unless the
    check is `lasting`."""
    elapsed: float | None = None
    """Seconds since the sample before, by a clock that nobody can set; None where none was taken since the boot or
    since a run that failed."""


@dataclass(frozen=True, slots=True)
class Rule:
    """Judge the measurements called `measurement` by `bounds`."""

    measurement: str
    bounds: Bounds
    phrase: str = ""
    """How people say it: `"{mount} {value} used"`, from the reading's labels and its value with the unit.
    Empty for the measurement's own name."""
    labels: Mapping[str, str] = field(default_factory=dict)
    """Only those that have these labels."""

    def holds_for(self, name: str, labels: Mapping[str, str]) -> bool:
        """Whether it is for the reading of this name and these labels."""
        return name == self.measurement and self.labels.items() <= labels.items()


def remembered(previous: Any, kind: type[M]) -> M:
    """`context.previous` as a struct; an empty one at the first run, and where another version left another."""
    try:
        return msgspec.convert(previous, kind) if previous is not None else kind()
    except msgspec.ValidationError:
        return kind()


class CheckError(HostwardError):
    """What a check raises when it cannot tell; the message is the whole reason that people see."""


@dataclass(frozen=True, slots=True)
class Command:
    """A program for the runner to start: `argv[0]` is looked up on PATH."""

    argv: Sequence[str]
    environment: dict[str, str] = field(default_factory=dict)
    """Added to a minimal environment (PATH, LANG=C.UTF-8)."""


@dataclass(frozen=True, slots=True)
class Finished:
    """What a program that ended by itself left: its exit code and the first 64 KiB of each output."""

    exit_code: int
    output: str
    error: str
    truncated: bool = False


O = TypeVar("O", bound=CheckOptions)  # noqa: E741 - the one letter reads as "options" beside Generic


class Check(ABC, Generic[O]):
    """A kind of check. An instance holds its options and nothing that changes."""

    Options: ClassVar[type[CheckOptions]]
    runs: Literal["inline", "job"] = "inline"
    """"inline": cheap, and cannot hang; runs in the daemon's loop. "job": runs in a child that can be killed."""
    rates: ClassVar[bool] = False
    """True where a first run says nothing, because what it reads are counters."""
    lasting: ClassVar[bool] = False
    """True where what a run leaves to the next holds over a boot and over a run that failed: a place in a file, a
    history. It is stored in one transaction with what the run found. Such a check takes what it cannot read, which an
    older version may have left, as nothing."""

    needs: ClassVar[str] = ""
    """A table of the configuration without which the check does not belong on the host by itself."""

    def __init__(self, options: O) -> None:
        self.options = options

    @classmethod
    def default(cls, system: System) -> CheckOptions | None:
        """The options with which this check belongs on the host by itself, or None."""
        return None

    def rules(self) -> Sequence[Rule]:
        """By which bounds the runner judges what this check measures."""
        return ()

    @abstractmethod
    def collect(self, context: Context) -> Sample:
        """One sample. Whatever this raises becomes `unknown` with the error's text."""


class CommandCheck(Check[O]):
    """A check that is the output of one program. It runs as a child of its own, never in the loop."""

    @abstractmethod
    def command(self, context: Context) -> Command:
        """The program to start."""

    @abstractmethod
    def parse(self, context: Context, finished: Finished) -> Sample:
        """A pure function of what the program printed."""

    def collect(self, context: Context) -> Sample:
        raise TypeError("a command check is run by starting its command")
