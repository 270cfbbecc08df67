"""The journal of rotation: what was written is read, and what cannot be trusted is refused."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.rotate.journal import Journal, JournalError, read
from agent.logs.rotate.plan import Plan
from agent.logs.rotate.rule import Rule, Script
from agent.logs.rotate.steps import Compress, Create, Move, Say


def example() -> tuple[Rule, Plan]:
    rule = Rule()
    rule.su, rule.postrotate = (1, 2), Script("\ntrue\n")
    plan = Plan("/logs/\udcff.log")
    plan.final = "/logs/\udcff.log.1"
    plan.rotate = [Say("renaming"), Move(plan.log, plan.final, 7), Create(plan.log, 0o640, 0, 4, "")]
    plan.after = [Compress(plan.final, 7, 5)]
    return rule, plan


def test_what_was_begun_is_read_again(tmp_path: Path) -> None:
    """All that was begun and not ended comes back, without the words, and what was ended by its name only."""
    rule, plan = example()
    journal = Journal(str(tmp_path / "status.journal"))
    journal.open()
    journal.section(rule, "/logs/*.log", 1000)
    journal.begin([plan])
    journal.end()
    journal.begin([plan])
    journal.made(plan.final + ".gz", [9])
    journal.did("postrotate")
    journal.close()
    (begun,) = Journal(str(tmp_path / "status.journal")).unfinished()
    assert (begun.pattern, begun.at, begun.ended, begun.scripts) == ("/logs/*.log", 1000, [plan.log], {"postrotate"})
    assert begun.made == {plan.final + ".gz": [9]}
    assert begun.rule.su == (1, 2)
    assert begun.rule.postrotate is not None and begun.rule.postrotate.text == "\ntrue\n"
    (again,) = begun.plans
    assert [step.plain() for step in again.rotate] == [step.plain() for step in plan.rotate[1:]]
    assert [step.plain() for step in again.after] == [step.plain() for step in plan.after]


def test_only_what_is_left_stays(tmp_path: Path) -> None:
    """When the state file is written the journal goes, but for what the next run has to try again."""
    rule, plan = example()
    path = tmp_path / "status.journal"
    journal = Journal(str(path))
    journal.open()
    journal.settle()
    assert not path.exists()
    journal.open()
    journal.leave(rule, "/logs/*.log", 1000, plan, {"x": [1]})
    journal.settle()
    (begun,) = Journal(str(path)).unfinished()
    assert begun.left is not None and begun.left.log == plan.log and begun.made == {"x": [1]}


def test_a_line_that_is_not_whole_is_nothing(tmp_path: Path) -> None:
    """A kill in the middle of a write leaves what was there before, and the next write begins a line."""
    rule, plan = example()
    path = tmp_path / "status.journal"
    journal = Journal(str(path))
    journal.open()
    journal.section(rule, "p", 1)
    journal.begin([plan])
    whole = path.read_bytes()
    journal.close()
    path.write_bytes(whole + b'["made","/lo')
    again = Journal(str(path))
    (begun,) = again.unfinished()
    assert begun.plans and not begun.made
    again.end()
    assert path.read_bytes() == whole + b'["end"]\n'


@pytest.mark.parametrize("how", ["writable", "link", "busy"])
def test_a_journal_that_others_could_have_written_is_refused(tmp_path: Path, how: str) -> None:
    """Its scripts are run as root: so it is no link, nobody else's to write to, and no other run's."""
    path = tmp_path / "status.journal"
    other = Journal(str(path))
    other.open()
    if how == "writable":
        path.chmod(0o666)
        other.close()
    elif how == "link":
        other.close()
        path.rename(tmp_path / "elsewhere")
        path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(JournalError):
        Journal(str(path)).unfinished()
    other.close()


JSON = st.recursive(
    st.none() | st.integers() | st.text(max_size=5) | st.sampled_from(["made", "end", "Move", "section", "logs"]),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.sampled_from(["section", "at", "logs"]), inner),
    max_leaves=8,
)


@settings(max_examples=80, deadline=None)
@given(st.lists(JSON, max_size=4), st.binary(max_size=20))
def test_a_damaged_journal_is_told(
    tmp_path_factory: pytest.TempPathFactory, entries: list[object], rest: bytes
) -> None:
    """Whatever is in it, reading it ends in what it holds or in the one error."""
    data = b"".join(json.dumps(entry).encode() + b"\n" for entry in entries) + rest
    path = tmp_path_factory.mktemp("journal") / "status.journal"
    path.write_bytes(data)
    journal = Journal(str(path))
    try:
        journal.unfinished()
    except JournalError as error:
        assert str(path) in str(error)
    journal.close()


def test_nothing_is_begun_in_an_empty_journal() -> None:
    """It was made and nothing changed."""
    assert read(b"") == []
