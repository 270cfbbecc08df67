"""Plans: whatever the rule and the folder, what is rotated is kept, and only what is over its number goes."""

from __future__ import annotations

import os

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.rotate import moment
from agent.logs.rotate.facts import Facts
from agent.logs.rotate.listing import Listing
from agent.logs.rotate.plan import Plan, Planner
from agent.logs.rotate.rule import Ownership, Rule
from agent.logs.rotate.steps import (
    Compress,
    Copy,
    Create,
    Discard,
    Fail,
    Missing,
    Move,
    Remove,
    Shift,
    Step,
    Truncate,
)

NOW = moment.on(2026, 3, 1, 0, 5)
OLD = ["a.log.1", "a.log.2", "a.log.3", "a.log.5", "a.log.1.gz", "a.log.2.gz", "a.log-20260201", "a.log-20260228.gz"]


def planned(rule: Rule, names: list[str], *, pretend: bool = False) -> tuple[Plan, Listing]:
    """A plan for /logs/a.log, and the folder as the plan leaves it."""

    def look(name: str) -> os.stat_result:
        raise FileNotFoundError(name)

    inodes = {name: number for number, name in enumerate(names, 100)}
    listing = Listing(dict(inodes), look)
    facts = Facts(size=5, modified=10**18, device=1, inode=1, mode=0o100640, uid=0, gid=0)
    planner = Planner(rule, "/logs/a.log", facts, listing, NOW, NOW, may_compress=lambda *_: True, pretend=pretend)
    return planner.whole(), listing


def done(steps: list[Step], files: dict[str, str], extension: str) -> None:
    """What steps come to, in a folder in memory: names to contents."""
    for step in steps:
        match step:
            case Move() | Shift():
                if step.old in files:
                    files[step.new] = files.pop(step.old)
            case Copy():
                files[step.target] = files[step.source]
            case Truncate():
                files[step.path] = ""
            case Create():
                files.setdefault(step.path, "")
            case Compress():
                if step.path in files:
                    files[step.path + extension] = files.pop(step.path)
            case Remove() | Discard():
                files.pop(step.path, None)


@st.composite
def rules(draw: st.DrawFn) -> Rule:
    rule = Rule()
    rule.rotate = draw(st.sampled_from([-1, 1, 2, 3]))
    rule.start = draw(st.sampled_from([0, 1, 3]))
    rule.dateext = draw(st.booleans())
    rule.compress = draw(st.booleans())
    rule.delaycompress = draw(st.booleans())
    rule.codec = draw(st.sampled_from(["", "gzip"]))
    setattr(rule, draw(st.sampled_from(["missingok", "copy", "copytruncate", "renamecopy"])), True)
    rule.create = draw(st.sampled_from([None, Ownership()]))
    return rule


@settings(max_examples=150, deadline=None)
@given(rules(), st.lists(st.sampled_from(OLD), unique=True))
def test_what_is_rotated_is_kept(rule: Rule, names: list[str]) -> None:
    """The log's content has one old name afterwards, and as many old ones are there as the rule keeps at most."""
    made, listing = planned(rule, sorted(names))
    files = {f"/logs/{name}": name for name in names} | {"/logs/a.log": "now"}
    steps = [*made.before, *made.rotate, *made.after]
    done(steps, files, rule.compressext)
    if any(isinstance(step, Fail) for step in steps):
        assert files["/logs/a.log"] == "now"
        return
    kept = [path for path, content in files.items() if content == "now" and path != "/logs/a.log"]
    assert len(kept) == 1, (kept, [step.plain() for step in steps])
    assert kept[0] in {made.final, made.final + rule.compressext}
    # The folder is as it was foreseen.
    assert {f"/logs/{name}" for name in listing.names()} - {"/logs/a.log"} == set(files) - {"/logs/a.log"}


@settings(max_examples=40, deadline=None)
@given(rules(), st.lists(st.sampled_from(OLD), unique=True))
def test_pretending_changes_nothing(rule: Rule, names: list[str]) -> None:
    """The folder stays as it is, so that the next log's plan is told from what is there."""
    _, listing = planned(rule, sorted(names), pretend=True)
    assert listing.names() == sorted(names)


def test_what_waits_for_a_follower_is_not_overwritten() -> None:
    """An old one that may not be compressed yet goes on to the next number as it is."""
    rule = Rule()
    rule.rotate, rule.compress = 3, True

    def look(name: str) -> os.stat_result:
        raise FileNotFoundError(name)

    listing = Listing({"a.log.1": 7}, look)
    facts = Facts(size=5, modified=0, device=1, inode=1, mode=0o100640, uid=0, gid=0)
    planner = Planner(rule, "/logs/a.log", facts, listing, NOW, NOW, may_compress=lambda *_: False, pretend=False)
    made = planner.whole()
    files = {"/logs/a.log.1": "waits", "/logs/a.log": "now"}
    done([*made.before, *made.rotate], files, ".gz")
    assert files == {"/logs/a.log.2": "waits", "/logs/a.log.1": "now"}


def test_words_about_a_million_numbers_take_no_memory() -> None:
    """They are made as they are said."""
    rule = Rule()
    rule.rotate = 100_000
    made, _ = planned(rule, ["a.log.3"])
    assert len(made.before) < 10
    missing = [step for step in made.before if isinstance(step, Missing)]
    assert [(step.first, step.last) for step in missing] == [(100_000, 4), (2, 1)]
    assert list(missing[1].words(pretend=False))[:2] == [
        "renaming /logs/a.log.2 to /logs/a.log.3 (rotatecount 100000, logstart 1, i 2), ",
        "old log /logs/a.log.2 does not exist",
    ]
    assert len(list(missing[1].words(pretend=True))) == 2
