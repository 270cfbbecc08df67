"""The reference from the structs."""

from __future__ import annotations

import msgspec
import pytest

from kit.options.reference import description, examples, rows, shared
from tests.kit.options.shapes import Animal, Cat, Dog, Everything, Level, Target


def test_a_row_for_each_option() -> None:
    """Key path, description, type in words, default and example of every option."""
    lines = rows(Level, "level.")
    assert lines[0] == "| Option | What it does | Type | Default | Example |"
    assert lines[2:] == [
        '| `level.warning` | What it is. | a number or "off" | `"off"` | `warning = 80` |',
        '| `level.critical` | What it is. | a number or "off" | `"off"` | `critical = 95` |',
        '| `level.for` | What it is. | a duration | `"0s"` | `for = "5m"` |',
    ]
    assert len(rows(Everything)) == 2 + len(msgspec.structs.fields(Everything))


def test_required_and_unset() -> None:
    """What must be given says so, and an empty default is no value to copy."""
    assert "| none: it must be given |" in rows(Target)[2]
    assert "| not set |" in next(row for row in rows(Everything) if "`maybe`" in row)


def test_options_of_the_base_are_left_out() -> None:
    """An option that stands in the table of the base is not repeated, one with another default is."""

    class Tabby(Animal, frozen=True, kw_only=True):
        type: Animal.__annotations__[type] = "tabby"  # type: ignore[name-defined]

    assert [row for row in rows(Cat, without=Animal) if "`type`" in row] == []
    assert rows(Animal, without=Animal) == []
    assert len(rows(Dog, without=Animal)) == 3


def test_shared_structs() -> None:
    """A struct that options are made of is named once, with all that use it."""
    assert shared([(Everything, ""), (Cat, "cat.")]) == {
        Level: ["level", "maybe", "cat.naps"],
        Target: ["targets[]"],
        Animal: ["animals.NAME"],
    }


def test_what_is_undocumented_fails() -> None:
    """An option without a description or an example cannot be printed."""

    class Bare(msgspec.Struct):
        option: int = 0

    (option,) = msgspec.structs.fields(Bare)
    with pytest.raises(LookupError, match="option has no description"):
        description(option)
    with pytest.raises(LookupError, match="option has no example"):
        examples(option)


def test_examples_of_tables() -> None:
    """A table without an example has one from its default, else from its own options: those it must have, or one."""

    class Tables(msgspec.Struct):
        level: Level = Level(warning=3, critical=5)
        plain: Level = Level()
        target: Target | None = None

    assert [examples(option) for option in msgspec.structs.fields(Tables)] == [
        [{"warning": 3}],
        [{"warning": 80}],
        [{"url": "https://example.com"}],
    ]


def test_bars_do_not_end_a_cell() -> None:
    """A bar in a text is escaped, also inside code."""

    class Piped(msgspec.Struct):
        option: msgspec.structs.fields(Target)[0].type = "a|b"  # type: ignore[valid-type]

    assert '`"a\\|b"`' in rows(Piped)[2]
