"""From options to verdicts: plans the checks, runs their code, catches what it raises, and judges what it found.

`judge` is pure. A check's code is run by launch.py, in its `way`: inline checks by `collect_inline`, jobs by
`encode_call` and `collect_call` in a child of their own, commands by `command_for` and `parse_command`.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import msgspec

from agent import clock
from agent.checks.contract import (
    Check,
    CheckOptions,
    Command,
    CommandCheck,
    Context,
    Finding,
    Finished,
    Measurement,
    Rule,
    Sample,
)
from agent.checks.registry import CHECKS, load
from agent.checks.thresholds import Tracks, evaluate, forget_pending, resolve, say, worst
from agent.paths import System
from kit.errors import ConfigurationError, HostwardError
from kit.terminal import bounded
from kit.units import Duration, FromText
from wire.limits import LABEL, MAX_LABEL_NAME, MAX_LABELS, MAX_MESSAGE, MAX_NAME, MAX_UNIT, MAX_VALUE, MEASUREMENT
from wire.report import SEVERITY, CheckState, Event, Reading, State

MAX_READINGS = 1000
"""Of one run. A check that finds more than this was pointed at the wrong thing."""

MISSED_RUNS = 3
"""After so many intervals without a sample, nobody can say that a value stayed where it was."""


@dataclass(frozen=True, slots=True)
class Plan:
    """A check as it shall run on this host."""

    name: str
    kind: str
    check: Check[Any]
    options: CheckOptions

    @property
    def way(self) -> Literal["inline", "job", "command"]:
        """How it runs: in the loop, as Python in a child, or as a program."""
        return "command" if isinstance(self.check, CommandCheck) else self.check.runs


@dataclass(frozen=True, slots=True)
class Failure:
    """A run that found nothing out. `reason` is shown as the message of the `unknown` state."""

    reason: str


Outcome = Sample | Failure


class Memory(msgspec.Struct, frozen=True, kw_only=True):
    """What is remembered of a check between two runs."""

    kind: str
    state: State
    since: float
    """Seconds since the epoch."""
    ticks: float | None = None
    """When the last sample was taken, by CLOCK_BOOTTIME; None when there is none since the boot."""
    previous: Any = None
    """What that sample gave the next one."""
    tracks: dict[str, Tracks] = {}
    """Per rule and reading; readings on the good side of their thresholds are left out."""

    @property
    def is_measured(self) -> bool:
        """Whether there is a sample that a next one gives rates with."""
        return self.ticks is not None and self.previous is not None

    def after_boot(self, *, lasting: bool) -> Memory:
        """Counters start again with the machine, and so do the ticks."""
        tracks = {key: forget_pending(tracks) for key, tracks in self.tracks.items()}
        previous = self.previous if lasting else None
        return msgspec.structs.replace(self, ticks=None, previous=previous, tracks=tracks)


@dataclass(frozen=True, slots=True)
class Judged:
    """What came of a run."""

    state: CheckState
    readings: list[Reading]
    memory: Memory
    event: Event | None
    """`check.changed`, where the state is another than before."""


def plan(checks: Mapping[str, CheckOptions]) -> list[Plan]:
    """The checks to run, in the order of their names. Raises ConfigurationError for a kind that there is not."""
    plans = []
    for name, options in sorted(checks.items()):
        kind = options.type or name
        if kind not in CHECKS:
            raise ConfigurationError(f'checks.{name}: there is no kind of check called "{kind}"')
        plans.append(Plan(name, kind, load(kind)(options), options))
    return plans


def make_context(plan: Plan, memory: Memory | None, *, system: System, now: float, ticks: float) -> Context:
    """What this run may look at. `judge` wants the same `ticks`, so that rates come out right."""
    if memory is None or memory.kind != plan.kind:
        return Context(system=system, now=now)
    if memory.ticks is None or ticks <= memory.ticks:
        return Context(system=system, now=now, previous=memory.previous if plan.check.lasting else None)
    return Context(system=system, now=now, previous=memory.previous, elapsed=ticks - memory.ticks)


def collect_inline(plan: Plan, context: Context) -> Outcome:
    """Run the check's code here and now. Whatever it raises becomes a Failure."""
    try:
        sample: object = plan.check.collect(context)
    except Exception as error:  # the one place that catches for all checks
        return Failure(reason(error))
    if not isinstance(sample, Sample):
        return Failure(f"the check gave {type(sample).__name__} instead of a sample")
    return sample


def command_for(plan: Plan, context: Context) -> Command | Failure:
    """The program that this command check wants started."""
    assert isinstance(plan.check, CommandCheck)
    try:
        return plan.check.command(context)
    except Exception as error:
        return Failure(reason(error))


def parse_command(plan: Plan, context: Context, finished: Finished) -> Outcome:
    """What the program's output means."""
    assert isinstance(plan.check, CommandCheck)
    try:
        return plan.check.parse(context, finished)
    except Exception as error:
        return Failure(reason(error))


def encode_call(plan: Plan, context: Context) -> bytes:
    """The argument of `collect_call`."""
    call = {
        "name": plan.name,
        "kind": plan.kind,
        "options": msgspec.to_builtins(plan.options, enc_hook=_plain),
        "root": str(context.system.root),
        "now": context.now,
        "previous": context.previous,
        "elapsed": context.elapsed,
        "began": clock.ticks(),
    }
    return msgspec.msgpack.encode(call)


def collect_call(argument: bytes) -> bytes:
    """What a forked job runs: decode, collect, encode. The reply is for `decode_outcome`."""
    return encode_outcome(collect_inline(*decode_call(argument)))


def decode_call(argument: bytes, *, waited: bool = True) -> tuple[Plan, Context]:
    """What `encode_call` was given, in another process. It is no input from outside.

    `waited`: the limit of time holds from the call on, and on a busy host it takes a while until this is reached.
    """
    call = msgspec.msgpack.decode(argument)
    kind = load(call["kind"])
    options = msgspec.convert(call["options"], kind.Options, dec_hook=_rich)
    if waited:
        left = max(0.1, options.timeout - (clock.ticks() - call["began"]))
        options = msgspec.structs.replace(options, timeout=Duration(left))
    context = Context(
        system=System(Path(call["root"])), now=call["now"], previous=call["previous"], elapsed=call["elapsed"]
    )
    return Plan(call["name"], call["kind"], kind(options), options), context


def encode_outcome(outcome: Outcome) -> bytes:
    """For `decode_outcome`."""
    if isinstance(outcome, Failure):
        return msgspec.msgpack.encode({"failure": outcome.reason})
    return msgspec.msgpack.encode({"sample": outcome})


class _Reply(msgspec.Struct):
    sample: Sample | None = None
    failure: str | None = None


def decode_outcome(data: bytes) -> Outcome:
    """What `collect_call` replied; nonsense is a Failure too."""
    try:
        reply = msgspec.msgpack.decode(data, type=_Reply)
    except (msgspec.MsgspecError, UnicodeDecodeError, RecursionError):
        return Failure("the check's process gave an answer that cannot be read")
    if reply.sample is not None:
        return reply.sample
    return Failure(reply.failure or "the check's process gave no answer")


def reason(error: Exception) -> str:
    """An exception as one line for people: words that are meant for them, what the system said, or the type too."""
    if isinstance(error, HostwardError):
        return str(error)
    if isinstance(error, OSError) and error.strerror:
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror}"
    return f"the check failed: {type(error).__name__}: {error}"


def judge(
    plan: Plan, outcome: Outcome, memory: Memory | None, *, now: float, ticks: float, duration: float
) -> Judged:
    """How the check stands after a run that began at `ticks` and took `duration` seconds."""
    if memory is not None and memory.kind != plan.kind:
        memory = None
    try:
        return _judge(plan, outcome, memory, now=now, ticks=ticks, duration=duration)
    except Exception as error:  # a rule that cannot be applied to what was measured
        return _judge(plan, Failure(reason(error)), memory, now=now, ticks=ticks, duration=duration)


def _judge(
    plan: Plan, outcome: Outcome, memory: Memory | None, *, now: float, ticks: float, duration: float
) -> Judged:
    if isinstance(outcome, Failure):
        # Without what the failed run was given, the next one starts afresh: a check cannot stay stuck on it.
        tracks = memory.tracks if memory else {}
        previous = memory.previous if memory and plan.check.lasting else None
        return _judged(plan, "unknown", outcome.reason, [], memory, None, tracks, previous, now, duration)
    readings, findings = _readings(plan.name, outcome.measurements, now)
    findings = [*outcome.findings, *findings]
    known = memory.tracks if memory else {}
    if not _watched(plan, memory, ticks):
        known = {key: forget_pending(tracks) for key, tracks in known.items()}
    tracks, verdicts, pending = _verdicts(plan.check.rules(), readings, known, ticks)
    found = [*findings, *verdicts]
    state = worst(*(finding.state for finding in found))
    bad = sorted((f for f in found if f.state != "ok"), key=lambda f: SEVERITY.index(f.state), reverse=True)
    said = [finding.message for finding in bad] + pending
    remarks = [finding.message for finding in findings if finding.state == "ok"]
    if plan.check.rates and (memory is None or not memory.is_measured):
        # A first sample has no rates: what was known of them holds until the second one.
        unseen = {key: track for key, track in known.items() if key not in tracks}
        tracks |= unseen
        state = worst(state, *(track.state for track in unseen.values()))
        said = said or ["measuring: rates need a second sample"]
    elif not said and not remarks and not readings and not outcome.summary:
        state, said = "unknown", ["no data: the check found nothing to measure"]
    tracks = {key: track for key, track in tracks.items() if track != Tracks()}
    message = _joined(said or remarks or [outcome.summary or "ok"])
    kept = [msgspec.structs.replace(reading, value=rounded(reading.value)) for reading in readings]
    return _judged(plan, state, message, kept, memory, ticks, tracks, outcome.memory, now, duration)


def _judged(
    plan: Plan,
    state: State,
    message: str,
    readings: list[Reading],
    memory: Memory | None,
    ticks: float | None,
    tracks: dict[str, Tracks],
    previous: Any,
    now: float,
    duration: float,
) -> Judged:
    before = memory.state if memory else "ok"
    since = memory.since if memory and memory.state == state else now
    message = bounded(message, MAX_MESSAGE) or "the check did not say why"
    event = None
    if state != before:
        text = bounded(f"{before} → {state}: {message}", MAX_MESSAGE)
        event = Event(time=now, kind="check.changed", message=text, state=state, check=plan.name)
    return Judged(
        CheckState(
            name=plan.name,
            kind=plan.kind,
            state=state,
            message=message,
            since=since,
            time=now,
            duration=duration,
            interval=float(plan.options.every),
        ),
        readings,
        Memory(kind=plan.kind, state=state, since=since, ticks=ticks, previous=previous, tracks=tracks),
        event,
    )


def _watched(plan: Plan, memory: Memory | None, ticks: float) -> bool:
    """Whether the sample before is recent enough to say that the value stayed."""
    if memory is None or memory.ticks is None:
        return False
    return 0 <= ticks - memory.ticks <= MISSED_RUNS * plan.options.every + plan.options.timeout


def _verdicts(
    rules: Sequence[Rule], readings: Sequence[Reading], known: Mapping[str, Tracks], ticks: float
) -> tuple[dict[str, Tracks], list[Finding], list[str]]:
    """What to remember of each reading that was judged, what is bad, and what is about to become bad."""
    tracks: dict[str, Tracks] = {}
    found: list[Finding] = []
    pending: list[str] = []
    for number, rule in enumerate(rules):
        for reading in readings:
            if not rule.holds_for(reading.name, reading.labels):
                continue
            key = f"{number} {_series(reading.name, reading.labels)}"
            bounds = resolve(rule.bounds, reading.labels)
            verdict = evaluate(reading.value, bounds, known.get(key, Tracks()), ticks=ticks, unit=reading.unit)
            tracks[key] = verdict.tracks
            if verdict.text:
                text = f"{_phrase(rule, reading)}, {verdict.text}"
                if verdict.state == "ok":
                    pending.append(text)
                else:
                    found.append(Finding(verdict.state, text))
    return tracks, found, pending


def _phrase(rule: Rule, reading: Reading) -> str:
    value = say(reading.value, reading.unit)
    if not rule.phrase:
        return f"{_series(reading.name, reading.labels)} {value}"
    return rule.phrase.format_map({**reading.labels, "value": value})


def _series(name: str, labels: Mapping[str, str]) -> str:
    inside = ",".join(f'{label}="{labels[label]}"' for label in sorted(labels))
    return f"{name}{{{inside}}}" if inside else name


def _readings(check: str, measurements: Iterable[Measurement], now: float) -> tuple[list[Reading], list[Finding]]:
    """The readings that may be stored, and what is to be said of those that may not."""
    readings: list[Reading] = []
    findings: list[Finding] = []
    seen: set[str] = set()
    left_out = 0
    for measurement in measurements:
        name = measurement.name
        if not MEASUREMENT.fullmatch(name) or len(name) > MAX_NAME:
            findings.append(Finding("unknown", f"{bounded(name, 80)!r} is no name for a reading"))
            continue
        labels = {label: bounded(str(value), MAX_VALUE) for label, value in measurement.labels.items()}
        series = _series(name, labels)
        if len(labels) > MAX_LABELS or any(not LABEL.fullmatch(n) or len(n) > MAX_LABEL_NAME for n in labels):
            findings.append(Finding("unknown", f"{bounded(series, 120)} has labels that cannot be kept"))
            continue
        try:
            value = float(measurement.value)
        except (OverflowError, TypeError, ValueError):
            value = math.nan
        if not math.isfinite(value):
            findings.append(Finding("unknown", f"{series} is not a finite number"))
        elif series not in seen:
            if len(readings) == MAX_READINGS:
                left_out += 1
                continue
            seen.add(series)
            readings.append(Reading(check, name, value, bounded(measurement.unit, MAX_UNIT), labels, now))
    if left_out:
        findings.append(
            Finding("unknown", f"{left_out} readings more than the {MAX_READINGS} that one check may have")
        )
    return readings, findings


def rounded(value: float) -> float:
    """A measured value as it is kept: six digits, and never fewer than those before the point; whole numbers as they
    are. The digits behind are noise of the clocks, and would double the room that a history takes."""
    if value.is_integer():
        return value
    return round(value, max(0, 5 - math.floor(math.log10(abs(value)))))


def _joined(parts: Sequence[str]) -> str:
    """The parts in one line, as many as fit, and how many do not."""
    text = parts[0]
    for number, part in enumerate(parts[1:], start=1):
        rest = f"; and {len(parts) - number} more"
        if len(text) + len(part) + 2 > MAX_MESSAGE - len(rest):
            return bounded(text, MAX_MESSAGE - len(rest)) + rest
        text = f"{text}; {part}"
    return text


def _plain(value: object) -> object:
    """What msgspec does not know of itself, as what it does."""
    if isinstance(value, FromText):
        return str(value)
    raise NotImplementedError(f"an option of type {type(value).__name__} cannot be sent to a job")


def _rich(kind: type, value: Any) -> object:
    """The reverse of `_plain`."""
    if issubclass(kind, FromText) and isinstance(value, str):
        return kind.parse(value)
    raise NotImplementedError(f"an option of type {kind.__name__} cannot be sent to a job")
