"""The text format: what is written reads back as it was, by two parsers that are not ours."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st
from prometheus_client.parser import text_string_to_metric_families

from agent.checks.exposition import parse_exposition
from agent.metrics.family import Family, Sample
from agent.metrics.text import encode, number

TEXTS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\r"), max_size=20)
LABELS = st.dictionaries(st.sampled_from(["a", "A_1", "_b", "le", "x9"]), TEXTS, max_size=4)
VALUES = st.one_of(st.floats(), st.integers(-(2**70), 2**70))


def same(one: float, other: float) -> bool:
    """Also for what is no number."""
    return float(one) == float(other) or (math.isnan(one) and math.isnan(other))


@given(TEXTS, LABELS, VALUES)
def test_every_value_label_and_help_reads_back(about: str, labels: dict[str, str], value: float) -> None:
    """Whatever is in them: quotes, backslashes, ends of lines, infinities."""
    text = encode([Family("a_metric", about, "gauge", [Sample(labels, value)])]).decode()
    (family,) = text_string_to_metric_families(text)
    (sample,) = family.samples
    assert (family.name, family.type, dict(sample.labels)) == ("a_metric", "gauge", labels)
    assert same(value, sample.value)
    (mine,) = parse_exposition(text)
    assert (mine.samples[0].labels, mine.type) == (labels, "gauge")
    assert same(value, mine.samples[0].value)


@given(TEXTS)
def test_help_reads_back(about: str) -> None:
    """With its backslashes and ends of lines, but for blanks around it."""
    (family,) = parse_exposition(encode([Family("a", about, "counter", [Sample({}, 1)])]).decode())
    assert family.help.strip(" \t") == about.strip(" \t")


@given(st.floats(allow_nan=False))
def test_a_number_is_the_same_double(value: float) -> None:
    """To the last bit."""
    assert float(number(value)) == value


def test_a_name_that_is_no_text_harms_nobody() -> None:
    """A file's name may be any bytes."""
    assert b'{file="?"} 1' in encode([Family("a", "", "gauge", [Sample({"file": "\udcff"}, 1)])])


def test_a_family_without_series_is_left_out() -> None:
    """Its help alone says nothing."""
    assert encode([Family("a", "b", "gauge")]) == b""
