"""Makes a case small that shows a difference."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import TypeVar

import msgspec

from tests.agent.logs.rotate.differential.case import Case, Entry, Run

T = TypeVar("T", bound=msgspec.Struct)
FEW = 400
"""Attempts after which what is reached is small enough."""


def signature(difference: str) -> str:
    """What two differences share that have one cause, most likely: all but names and numbers."""
    where, _, lines = difference.partition("\n")
    what = where.split(": ")[1]
    kind = what if what.startswith("<") else "a file"
    changed = [line for line in lines.split("\n") if line[:1] in "+-" and line[:3] not in ("---", "+++")]
    text = re.sub(r"/FOLDER[^ ':\"]*", "PATH", f"{kind} {' | '.join(changed[:2])}")
    return re.sub(r"\d+", "N", text)[:200]


def reduced(case: Case, shows: Callable[[Case], bool]) -> Case:
    """A case with as little as possible in it that still shows it."""
    left = FEW
    progress = True
    while progress:
        progress = False
        for smaller in reductions(case):
            left -= 1
            if left < 0:
                return case
            if shows(smaller):
                case, progress = smaller, True
                break
    return case


def reductions(case: Case) -> Iterator[Case]:
    """Cases with one thing less each, the larger things first."""
    runs = case.runs
    for number in reversed(range(len(runs))):
        if len(runs) > 1:
            entries = runs[0].entries if number == 0 else []
            kept = [*runs[:number], *runs[number + 1 :]]
            kept[0] = with_(kept[0], entries=entries + kept[0].entries) if number == 0 else kept[0]
            yield with_(case, runs=kept)
    for number, run in enumerate(runs):
        for smaller in reductions_of_run(run):
            yield with_(case, runs=[*runs[:number], smaller, *runs[number + 1 :]])
    if case.timezone != "UTC":
        yield with_(case, timezone="UTC")


def reductions_of_run(run: Run) -> Iterator[Run]:
    """With an entry, a line of a text, an option less."""
    for number, entry in enumerate(run.entries):
        if not entry.path.startswith("bin/"):
            yield with_(run, entries=[*run.entries[:number], *run.entries[number + 1 :]])
    for number, entry in enumerate(run.entries):
        for smaller in reductions_of_entry(entry):
            yield with_(run, entries=[*run.entries[:number], smaller, *run.entries[number + 1 :]])
    for number, word in enumerate(run.options):
        if word in ("-f", "-d"):
            yield with_(run, options=[*run.options[:number], *run.options[number + 1 :]])
    if run.umask != "022":
        yield with_(run, umask="022")
    if run.user:
        yield with_(run, user="")


def reductions_of_entry(entry: Entry) -> Iterator[Entry]:
    """With a line less, or something as it usually is."""
    lines = entry.text.splitlines(keepends=True)
    for number in range(len(lines) if len(lines) > 1 else 0):
        yield with_(entry, text="".join([*lines[:number], *lines[number + 1 :]]))
    for name in ("mode", "owner", "size", "age"):
        default: object = "" if name in ("mode", "owner") else 0
        if getattr(entry, name) != default and not entry.path.startswith("bin/"):
            yield with_(entry, **{name: default})


def with_(struct: T, **values: object) -> T:
    """A struct with some fields changed."""
    return msgspec.structs.replace(struct, **values)
