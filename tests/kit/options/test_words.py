"""Types and values in people's words."""

from __future__ import annotations

import datetime
import tomllib
from typing import Annotated, Any, Literal

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.options.words import expected, found, literal
from kit.units import Duration, Size
from tests.kit.options.shapes import Level, Target


@pytest.mark.parametrize(
    ("kind", "words"),
    [
        (bool, "true or false"),
        (int | None, "a whole number"),
        (Annotated[int, msgspec.Meta(ge=1, le=9)] | None, "a whole number from 1 to 9"),
        (Annotated[float | None, msgspec.Meta(le=9.5)], "a number of at most 9.5"),
        (float | Literal["off"], 'a number or "off"'),
        (Literal["a"], '"a"'),
        (Literal["a", "b", "c"], '"a", "b" or "c"'),
        (tuple[int, ...], "an array of items, each a whole number"),
        (tuple[Level, ...], "an array of tables"),
        (dict[str, Annotated[str, msgspec.Meta(min_length=1)]], "a table of text"),
        (dict[str, Duration], "a table of items, each a duration"),
        (Annotated[Size, msgspec.Meta(extra={"maximum": Size(2**20)})], "a size of at most 1MiB"),
        (Annotated[tuple[str, ...], msgspec.Meta(min_length=2)], "an array of text with at least 2 items"),
        (Annotated[str, msgspec.Meta(pattern="^x", extra={"words": "an x"})], "an x"),
    ],
)
def test_expected(kind: Any, words: str) -> None:
    """A type is named as a person would name it, with its bounds."""
    assert expected(kind, brief=True) == words


def test_examples_of_units() -> None:
    """Where nobody has explained a duration, its name comes with examples."""
    assert expected(Duration) == 'a duration such as "500ms", "15s", "1h30m" or "7d"'


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (True, "true"),
        (1.0, "1"),
        (0.1, "0.1"),
        (Duration(90), '"1m30s"'),
        (Size(2**20), '"1MiB"'),
        ('a "b"\\\n\x7f', '"a \\"b\\"\\\\\\n\\u007f"'),
        ((1, "x"), '[1, "x"]'),
        ({"a b": {}, "c": 1}, '{ "a b" = {}, c = 1 }'),
        (Level(warning=80, for_=Duration(60)), '{ warning = 80, for = "1m" }'),
        (Target(url="x"), '{ url = "x" }'),
        (datetime.time(2), "02:00:00"),
    ],
)
def test_literal(value: object, text: str) -> None:
    """A value is written as TOML has it, a struct as what differs from its defaults."""
    assert literal(value) == text


VALUES = st.recursive(
    st.booleans() | st.integers() | st.floats(allow_nan=False, width=32) | st.text() | st.dates() | st.times(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@given(VALUES)
def test_literals_are_toml(value: object) -> None:
    """What is written is read as the same value."""
    assert tomllib.loads(f"key = {literal(value)}")["key"] == value


def test_no_form() -> None:
    """A type that TOML has not is the programmer's mistake."""
    with pytest.raises(TypeError, match="TOML has no form for object"):
        literal(object())


@given(VALUES)
def test_a_secret_is_never_shown(value: object) -> None:
    """Whatever a secret is, only its type is told."""
    assert found(value, secret=True) in {
        "a table",
        "an array",
        *(f"a {name} (a secret, not shown)" for name in ("truth value", "number", "text", "date", "time of day")),
    }
