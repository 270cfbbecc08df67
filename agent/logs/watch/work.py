"""What children of the watcher do, and what they answer."""

from __future__ import annotations

import os
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import msgspec

from agent.config.logs import LogOptions
from agent.logs import journal_usage
from agent.logs.followers import Followers
from agent.logs.journal import JournalError
from agent.logs.journal_usage import Weights
from agent.logs.rotate.say import Voice
from agent.logs.rules import place
from agent.logs.rules.facts import booted, host
from agent.logs.rules.judge import next_turn
from agent.logs.rules.lasts import last_rotations
from agent.logs.rules.memory import Memory
from agent.logs.rules.sections import all_old, logs_of, rule_of
from agent.logs.rules.turn import turn
from agent.logs.watch.logs import expand, free_beside
from agent.logs.watch.packing import pack
from kit.errors import HostwardError
from kit.files import write_durably
from kit.terminal import bounded

JOURNAL = "journal.json"
"""In the state's folder: what was read of the journal so far."""
LONGEST = 500
"""Characters of a sentence about what went wrong."""


@dataclass(frozen=True)
class Places:
    """Where things are."""

    folder: Path
    """The state of rotations (agent.logs.rules.place)."""
    config: Path | None
    """The file with the backup jobs; None for the one by default."""
    agent: Path
    """The agent's own state, in which the places of its checks are."""


class Turned(msgspec.Struct):
    """What became of the logs of a rule. Paths are bytes, as the kernel has them."""

    rotated: list[bytes] = []
    errors: list[str] = []
    freed: int = 0
    growth: float | None = None
    """Bytes that all its logs grow by a day."""
    kept: int = 0
    kept_size: int = 0
    turns: dict[bytes, float | None] = {}
    """When the clock makes each log due, in seconds since the epoch."""


class Packed(msgspec.Struct):
    """What became of the old ones of a rule."""

    made: int = 0
    """Old ones that are compressed now and were not before."""
    freed: int = 0
    errors: list[str] = []
    waiting: int = 0
    """Old ones that a check has not read yet."""
    left: list[bytes] = []
    """Old ones that were written to just now."""


class PackedAll(msgspec.Struct):
    """By rule; and what is to be said besides."""

    rules: dict[str, Packed] = {}
    said: list[str] = []


class Probed(msgspec.Struct):
    """What is there."""

    logs: dict[bytes, tuple[str, int, int, int | None]] = {}
    """Path to rule, size, device, and the bytes that are free there."""


class Told(msgspec.Struct):
    """What the journal of units takes, in bytes; and why that is not known."""

    units: dict[str, int] = {}
    error: str = ""


class Answers(msgspec.Struct):
    """Of a turn."""

    rules: dict[str, Turned] = {}
    error: str = ""
    """Why nothing could be begun."""


def take_turn(
    rules: Sequence[LogOptions],
    places: Places,
    *,
    now: float,
    only: Collection[str] | None,
    force: Collection[str],
    journal: Mapping[str, int],
    owners: Mapping[str, str],
) -> Answers:
    """Judge and rotate logs, and remove what is not to be kept; compress nothing. `owners` has all logs that are
    known, each with the name of its rule."""
    try:
        outcomes = turn(
            rules,
            folder=places.folder,
            config=places.config,
            now=now,
            only=only,
            force=force,
            compress=False,
            journal=journal,
            owners=owners,
        )
        last = last_rotations(places.folder)
    except (HostwardError, OSError) as error:
        return Answers(error=bounded(str(error), LONGEST))
    memory = Memory(places.folder)
    answers = Answers()
    by_name = {rule.name: rule for rule in rules}
    for outcome in outcomes:
        rule = by_name[outcome.rule]
        answers.rules[outcome.rule] = turned = Turned(
            [os.fsencode(path) for path in outcome.rotated],
            [bounded(text, LONGEST) for text in outcome.errors],
            outcome.freed,
        )
        growth = [look.per_day for log in logs_of(rule) if (look := memory.look(log)) is not None]
        known = [per_day for per_day in growth if per_day is not None]
        turned.growth = sum(known) if known else None
        _measure(rule, turned, last, now)
    return answers


def _measure(rule: LogOptions, turned: Turned, last: Callable[[str], float | None], now: float) -> None:
    try:
        form = rule_of(rule)
        for log, found in all_old(rule, form, logs_of(rule)).items():
            turned.kept += len(found)
            turned.kept_size += sum(old.size for old in found)
            when = last(log)
            turned.turns[os.fsencode(log)] = (
                None if when is None else next_turn(rule, when, now, host=host(), booted=booted())
            )
    except (OSError, HostwardError):
        return  # the turn has said so


def take_pack(rules: Sequence[LogOptions], places: Places, *, at_once: Collection[str], now: float) -> PackedAll:
    """Compress what was rotated, as far as nobody has to read it any more."""
    voice = Voice()
    said: list[str] = []
    followers = Followers(str(places.agent), now=now, say=said.append)
    lock = partial(place.locked, places.folder)
    answers = PackedAll()
    for rule in rules:
        before = len(followers.waiting)
        found = pack(rule, at_once=rule.name in at_once, now=now, lock=lock, hooks=followers, voice=voice)
        errors = [bounded(text, LONGEST) for text in found.errors]
        waiting = len(followers.waiting) - before
        answers.rules[rule.name] = Packed(
            found.made, found.freed, errors, waiting, [os.fsencode(path) for path in found.left]
        )
    answers.said = [bounded(text, LONGEST) for text in said]
    return answers


def take_probe(rules: Sequence[LogOptions]) -> Probed:
    """Look where a look may hang."""
    found = Probed()
    for path, rule in expand(rules).items():
        try:
            status = os.lstat(path)
        except OSError:
            continue
        found.logs[os.fsencode(path)] = (rule.name, status.st_size, status.st_dev, free_beside(path))
    return found


def take_journal(places: Places) -> Told:
    """Read on in the journal, and reckon what each unit takes."""
    file = places.folder / JOURNAL
    weights = read_weights(places.folder)
    try:
        journal_usage.read_on(weights, [], lambda: False)
        write_durably(file, msgspec.json.encode(weights), mode=0o600)
    except (JournalError, OSError) as error:
        return Told(error=bounded(f"the journal: {error}", LONGEST))
    return Told(journal_usage.shares(weights.by_unit(), journal_usage.size_of()))


def read_weights(folder: Path) -> Weights:
    """What was read of the journal before; nothing where that is lost."""
    try:
        return msgspec.json.decode((folder / JOURNAL).read_bytes(), type=Weights)
    except (OSError, ValueError):
        return Weights()
