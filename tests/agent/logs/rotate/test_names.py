"""Names of rotated logs: what is called so is found again, and nothing else."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.rotate import moment
from agent.logs.rotate.names import DateFormat, Names, matching
from agent.logs.rotate.rule import Rule

FORMATS = st.text(alphabet="%YmdHMSVsq-._ 5", max_size=12)
SECONDS = st.integers(min_value=1_000_000_000, max_value=2_000_000_000)


@settings(max_examples=60, deadline=None)
@given(FORMATS, SECONDS, st.sampled_from(["a.log", ".hidden", "with space", "ä"]))
def test_a_dated_name_is_found_by_its_pattern(form: str, seconds: int, base: str) -> None:
    """Whatever the format is, the pattern of a log's old ones means the one that is made of it."""
    date = DateFormat(form)
    names = Names(Rule(), f"/logs/{base}")
    made = names.dated(date.applied(moment.at(seconds)))
    others = sorted({made, base, made + "x", "x" + made, base + "-2026"})
    found = matching(others, names.dated(date.pattern))
    assert made in found
    assert all(len(name) == len(made) for name in found)


def test_only_digits_stand_for_digits() -> None:
    """A name with something else at the place of a digit is not an old one."""
    names = sorted(["a-20260301", "a-2026030x", "a-202603011", "b-20260301"])
    assert matching(names, "a-" + "[0-9]" * 8) == ["a-20260301"]


def test_a_log_with_a_star_means_others_too() -> None:
    """Names of logs are part of the pattern, as logrotate has it; hidden ones are meant by name only."""
    names = sorted(["a*-1", "ab-2", ".a-3"])
    assert matching(names, "a*-[0-9]") == ["a*-1", "ab-2"]


@given(
    st.integers(min_value=0, max_value=10**6), st.sampled_from([None, ".log", ".txt"]), st.sampled_from([None, ".x"])
)
@settings(max_examples=40, deadline=None)
def test_a_number_is_read_from_the_name_that_has_it(number: int, extension: str | None, added: str | None) -> None:
    """For every way to keep an extension."""
    rule = Rule()
    rule.extension, rule.addextension = extension, added
    names = Names(rule, "/logs/a.log")
    assert names.number_of(names.numbered(number) + ".gz", ".gz") == number
    assert names.number_of(names.numbered(number), ".gz") is None
    assert names.number_of("a.log", "") is None
