"""Raw trees into structs: every mistake at once, each with its place, and what is filled in from defaults."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.options.decode import Choice, UnfitError, decode, nearest
from kit.options.tree import UnreadableError, parse
from kit.options.wrong import OptionError
from kit.units import Duration, Size
from tests.kit.options.shapes import Animal, Cat, Dog, Everything, Level, Target

KINDS = {"cat": Cat, "dog": Dog}


A_DURATION = 'a duration such as "500ms", "15s", "1h30m" or "7d" from 1s to 1m'


def choose(name: str, table: Mapping[str, Any]) -> Choice:
    """The animal of a table's type, or of its name."""
    kind = table.get("type", name)
    if kind not in ("cat", "dog"):
        raise UnfitError(f"no such animal{nearest(str(kind), list(KINDS))}", "type" if "type" in table else None)
    return Choice(KINDS[kind], Cat(lives=7) if name == "cat" else None)


def mistakes(text: str) -> list[str]:
    """What is wrong with `text`, a line each."""
    value, found = decode(Everything, parse("f", text), {Animal: choose})
    assert (value is None) == bool(found)
    return [str(mistake) for mistake in found]


def decoded(text: str) -> Everything:
    """The options that `text` gives."""
    value, found = decode(Everything, parse("f", text), {Animal: choose})
    assert found == []
    assert value is not None
    return value


def test_nothing_is_the_default() -> None:
    """No configuration at all gives every default."""
    assert decoded("") == Everything()


def test_every_type() -> None:
    """Each type of option is read from what TOML has for it."""
    assert decoded(
        """
        flag = true
        count = 3
        share = 0.5
        text = "é"
        mode = "slow"
        wait = "1m"
        room = "2GB"
        argv = ["ls", "-l"]
        either = ["a"]
        headers = { Accept = "x", "X-Y" = "z" }
        [maybe]
        critical = 9
        for = "90s"
        [[targets]]
        url = "one"
        [[targets]]
        url = "two"
        port = 80
        """
    ) == Everything(
        flag=True,
        count=3,
        share=0.5,
        text="é",
        mode="slow",
        wait=Duration(60),
        room=Size(2 * 10**9),
        argv=("ls", "-l"),
        either=("a",),
        headers={"Accept": "x", "X-Y": "z"},
        maybe=Level(critical=9, for_=Duration(90)),
        targets=(Target(url="one"), Target(url="two", port=80)),
    )


def test_types_of_our_own_are_made() -> None:
    """A duration from a file is a Duration, so that it prints as one."""
    assert type(decoded('wait = "1m"').wait) is Duration


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("flag = 1", "f:1: flag: expected true or false, found the number 1"),
        ("count = true", "f:1: count: expected a whole number of at least 0, found the truth value true"),
        ("count = 1.5", "f:1: count: expected a whole number of at least 0, found the number 1.5"),
        ("count = -1", "f:1: count: expected a whole number of at least 0, found the number -1"),
        ("share = true", "f:1: share: expected a number above 0 below 1, found the truth value true"),
        ("share = nan", "f:1: share: expected a number above 0 below 1, found the number nan"),
        ("share = 1", "f:1: share: expected a number above 0 below 1, found the number 1"),
        ("text = 5", "f:1: text: expected text with at most 5 characters, found the number 5"),
        ('text = "longer"', 'f:1: text: expected text with at most 5 characters, found the text "longer"'),
        ('code = "A"', 'f:1: code: expected text that matches ^[a-z]+$, found the text "A"'),
        ('mode = "fats"', 'f:1: mode: expected "fast" or "slow", found the text "fats"'),
        ("wait = 15", f"f:1: wait: expected {A_DURATION}, found the number 15"),
        ('wait = "0s"', f'f:1: wait: expected {A_DURATION}, found the text "0s"'),
        ("wait = 00:00:15", f"f:1: wait: expected {A_DURATION}, found the time of day 00:00:15 without quotes"),
        ('room = "big"', 'f:1: room: expected a size such as "512KiB", "10MiB" or "2GB", found the text "big"'),
        ("level = 5", "f:1: level: expected a table, found the number 5"),
        ("level = []", "f:1: level: expected a table, found an array"),
        ('level.warning = "on"', 'f:1: level.warning: expected a number or "off", found the text "on"'),
        ("level.warning = inf", 'f:1: level.warning: expected a number or "off", found the number inf'),
        ('argv = "ls"', 'f:1: argv: expected an array of text that is not empty, found the text "ls"'),
        ("argv = []", "f:1: argv: expected an array of text that is not empty, found none"),
        ('argv = [\n"ls",\n5]', "f:3: argv[1]: expected text, found the number 5"),
        ("either = 5", "f:1: either: expected text or an array of text, found the number 5"),
        ("targets = {}", "f:1: targets: expected an array of tables, found a table"),
        ("targets = [{}]", 'f:1: targets[0]: needs the key "url", text that is not empty'),
        ('[[targets]]\nurl = ""', 'f:2: targets[0].url: expected text that is not empty, found the text ""'),
        (
            "[[targets]]\nport = 0",
            "f:2: targets[0].port: expected a whole number from 1 to 65535, found the number 0",
        ),
        ("headers = { A = 1 }", "f:1: headers.A: expected text, found the number 1"),
        ("[level]\nwarnin = 5", 'f:2: level.warnin: there is no such key here; did you mean "warning"?'),
        ("[level]\nfor_ = 5", 'f:2: level.for_: there is no such key here; did you mean "for"?'),
        ("[level]\nxyz = 5", "f:2: level.xyz: there is no such key here; there are warning, critical, for"),
        ("[level]\nwarning = 90", "f:1: level: warning must not be above critical"),
        ("[animals.Cat]", 'f:1: animals.Cat: expected text that matches ^[a-z]+$, found the text "Cat"'),
    ],
)
def test_one_mistake(text: str, said: str) -> None:
    """One mistake is one line: where, which key, what was expected, what was found."""
    assert said in mistakes(text)


def test_all_mistakes_at_once() -> None:
    """A file with many mistakes names them all."""
    text = 'flag = 1\ncout = 2\n[level]\nwarning = "x"\nwaring = 5\n[[targets]]\nport = "x"\n'
    assert sorted(mistakes(text)) == [
        "f:1: flag: expected true or false, found the number 1",
        'f:2: cout: there is no such key here; did you mean "count"?',
        'f:4: level.warning: expected a number or "off", found the text "x"',
        'f:5: level.waring: there is no such key here; did you mean "warning"?',
        'f:6: targets[0]: needs the key "url", text that is not empty',
        'f:7: targets[0].port: expected a whole number from 1 to 65535, found the text "x"',
    ]


def test_whole_numbers_are_numbers() -> None:
    """`80` is taken where `80.0` is meant, and is a float then."""
    warning = decoded("level.warning = 80").level.warning
    assert warning == 80
    assert type(warning) is float


def test_a_table_fills_in_from_the_default() -> None:
    """What a table leaves out comes from the option's own default, not from the type's."""
    assert decoded("level = { warning = 60 }").level == Level(warning=60, critical=85, for_=Duration(60))
    assert decoded("[level]").level == Level(warning=70, critical=85, for_=Duration(60))
    assert decoded("maybe = { warning = 60 }").maybe == Level(warning=60)


def test_what_is_filled_in_is_judged_too() -> None:
    """A value that contradicts one from the default is a mistake of the table."""
    assert mistakes("level = { critical = 50 }") == ["f:1: level: warning must not be above critical"]


def test_secrets_are_never_said() -> None:
    """A wrong secret, also one inside a table that is secret as a whole, is told by its type alone."""
    text = 'password = "hunter2"\n[tokens]\na = "sesame"\nb = 2.5\nc = 2020-01-01\n'
    said = mistakes(text)
    assert said == [
        "f:1: password: expected text with at least 8 characters, found a text (a secret, not shown)",
        "f:3: tokens.a: expected a whole number, found a text (a secret, not shown)",
        "f:4: tokens.b: expected a whole number, found a number (a secret, not shown)",
        "f:5: tokens.c: expected a whole number, found a date (a secret, not shown)",
    ]


def test_chosen_structs() -> None:
    """A table is what its `type` says, else what its name says, with the base that the chooser gives."""
    animals = decoded(
        '[animals.cat]\nnaps.critical = 5\n[animals.tom]\ntype = "cat"\n[animals.dog]\nbarks = true'
    ).animals
    assert animals == {
        "cat": Cat(lives=7, naps=Level(warning=1, critical=5)),
        "tom": Cat(type="cat"),
        "dog": Dog(barks=True),
    }


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[animals.cta]", 'f:1: animals.cta: no such animal; did you mean "cat"?'),
        ('[animals.rex]\ntype = "dgo"', 'f:2: animals.rex.type: no such animal; did you mean "dog"?'),
        ("[animals.rex]\ntype = 5", "f:2: animals.rex.type: no such animal; there are cat, dog"),
        ("[animals.rex]\ntype = []", "f:2: animals.rex.type: no such animal; there are cat, dog"),
        ("[animals.dog]", 'f:1: animals.dog: needs the key "barks", true or false'),
        ("[animals.cat]\nlifes = 1", 'f:2: animals.cat.lifes: there is no such key here; did you mean "lives"?'),
        ("animals.cat = 5", "f:1: animals.cat: expected a table, found the number 5"),
    ],
)
def test_what_cannot_be_chosen(text: str, said: str) -> None:
    """A kind that there is not names the nearest, at the key that is to blame."""
    assert mistakes(text) == [said]


def test_a_long_value_is_cut_short() -> None:
    """A mistake stays one readable line whatever it found."""
    assert len(mistakes(f'mode = "{"x" * 500}"')[0]) < 120


SCALARS = st.one_of(
    st.booleans(), st.integers(), st.floats(), st.text(max_size=3), st.dates(), st.times(), st.datetimes(),
    st.sampled_from(["5m", "1MiB", "off", "fast", "cat", "dog"]),
)  # fmt: skip
TREES = st.recursive(
    SCALARS,
    lambda inner: (
        st.lists(inner, max_size=3)
        | st.dictionaries(st.sampled_from(["warning", "for", "url", "cat", "type", "lives", "x"]), inner, max_size=3)
    ),
    max_leaves=6,
)


@given(st.dictionaries(st.sampled_from([*msgspec.structs.asdict(Everything())]), TREES))
def test_any_tree(values: dict[str, Any]) -> None:
    """Whatever stands in the file is decoded or refused with mistakes, never with an error."""
    tree = parse("f", "")
    tree.values.update(values)
    value, found = decode(Everything, tree, {Animal: choose})
    assert (value is None) == bool(found)
    assert all(len(str(mistake).splitlines()) == 1 for mistake in found)


@given(st.text(alphabet="flagcount=[]{}\"'.,\n1 "))
def test_any_text(text: str) -> None:
    """From text to options, nothing but mistakes."""
    try:
        tree = parse("f", text)
    except UnreadableError:
        return
    decode(Everything, tree, {Animal: choose})


class Span(msgspec.Struct, frozen=True):
    """Two options, the second of which has to be the larger one."""

    low: int = 0
    high: int = 9
    name: str = ""

    def __post_init__(self) -> None:
        if self.high < self.low:
            raise OptionError("high", "expected no less than low", beside=("low",))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("low = 3\nhigh = 2", ["f:2: high: expected no less than low"]),
        ("low = 10", ["high: expected no less than low"]),
        (
            "name = 1\nhigh = -1",
            ["f:1: name: expected text, found the number 1", "f:2: high: expected no less than low"],
        ),
        ('low = "x"\nhigh = -1', ['f:1: low: expected a whole number, found the text "x"']),
    ],
)
def test_what_a_struct_says_of_an_option(text: str, said: list[str]) -> None:
    """It stands at that option, where there is one, and is told unless it follows from another mistake."""
    assert [str(mistake) for mistake in decode(Span, parse("f", text))[1]] == said
