"""The lines of keys, held against what tomllib finds in the same text."""

from __future__ import annotations

import itertools
import tomllib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from kit.options.positions import MAX_DEPTH, KeyPath, TooDeepError, positions

NASTY = '''\
# a comment with = and [brackets] and "quotes
bare = 1
"quoted key" = "a # b"
'lit.eral' = 'C:\\'
dotted . "with space" . x = 1979-05-27 07:32:00Z  # a date with a space
multi = """
[not.a.table]
key = "no key" \\
"" two quotes""""
literal = \'\'\'
it's = 'none'\'\'\'\'
array = [ # comment ]
  1, [2, 3],
  { a = "}", b.c = [ "]", ] },
]
empty = {}
[table]
under = -inf
[table.sub."a.b"]
x = 0xf
[[list]]
[[list]]
  name = "second"
  [list.inner]
  y = true
  [[list.deep]]
  z = 07:32:00
  [[list.deep]]
[late]
[table.other]
'''


def paths(value: Any, path: KeyPath = ()) -> Iterator[KeyPath]:
    """Every key path of what tomllib gives."""
    inside = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in inside:
        yield (*path, key)
        yield from paths(item, (*path, key))


def leaves(value: Any, path: KeyPath = ()) -> Iterator[tuple[KeyPath, Any]]:
    """Every key path that holds neither a table nor an array, with its value."""
    for found in paths(value):
        inside = value
        for part in found:
            inside = inside[part]
        if not isinstance(inside, dict | list):
            yield found, inside


KEYS = ["a", "b", "c", "1", '"a b"', "'x.y'", '"\\u00e9\\""', '""', "true"]


@st.composite
def documents(draw: st.DrawFn) -> str:
    """Valid documents in which every scalar holds a number of its own, so that its line can be searched for."""
    number = itertools.count(100_001)
    key = st.sampled_from(KEYS)
    dotted = st.lists(key, min_size=1, max_size=3).map(draw(st.sampled_from([".", " . "])).join)
    scalar = st.sampled_from(["{}", "-{}", "{}.5", '"{}"', "'{} # [x]'", '"""{}\n x = 1\n"" """', "'''{}\n[z]\n''''"])

    def value(depth: int) -> str:
        shape = draw(st.sampled_from(["scalar", "scalar", "array", "table"] if depth else ["scalar"]))
        if shape == "scalar":
            return draw(scalar).format(next(number))
        items = [value(depth - 1) for _ in range(draw(st.integers(0, 3)))]
        if shape == "array":
            glue = draw(st.sampled_from([", ", ",\n  ", ", # ], x = 1\n\n "]))
            end = draw(st.sampled_from(["", ",", "\n", ", # end\n"])) if items else ""
            return f"[{glue.join(items)}{end}]"
        return "{ " + ", ".join(f"{draw(key)} = {item}" for item in items) + " }"

    text = ""
    for _ in range(draw(st.integers(0, 12))):
        form = draw(
            st.sampled_from(["{0} = {1}", "{0} = {1}", "  {0}={1} # c", "[{0}]", "[ {0} ] # c", "[[{0}]]", "\n# {0}"])
        )
        statement = form.format(draw(dotted), value(2)) + "\n"
        try:
            tomllib.loads(text + statement)
        except tomllib.TOMLDecodeError:
            continue
        text += statement
    return text.replace("\n", "\r\n") if draw(st.booleans()) else text


def test_nasty_document() -> None:
    """Every construct of the grammar at once: the same keys as tomllib's, and their lines."""
    found = positions(NASTY)
    assert found.lost is None
    assert set(found.lines) == set(paths(tomllib.loads(NASTY)))
    lines = {
        path: found.lines[path] for path in found.lines if path[-1] in ("x", "z", "name", "literal", "sub", "late")
    }
    assert lines == {
        ("dotted", "with space", "x"): 5,
        ("literal",): 10,
        ("table", "sub"): 19,
        ("table", "sub", "a.b", "x"): 20,
        ("list", 1, "name"): 23,
        ("list", 1, "deep", 0, "z"): 27,
        ("late",): 29,
    }


def test_a_table_is_where_its_header_is() -> None:
    """A header that comes after its sub-table's counts, and an array element is its own line."""
    assert positions("[a.b]\n[a]\nc = [\n 1,\n 2]").lines == {
        ("a",): 2,
        ("a", "b"): 1,
        ("a", "c"): 3,
        ("a", "c", 0): 4,
        ("a", "c", 1): 5,
    }


@given(documents())
def test_same_keys_as_tomllib(text: str) -> None:
    """In a valid document the scanner finds each key that tomllib finds, and no other."""
    found = positions(text)
    assert found.lost is None
    assert set(found.lines) == set(paths(tomllib.loads(text)))


@given(documents())
def test_lines_are_where_the_values_stand(text: str) -> None:
    """The line of a scalar is the one that its own number is written on."""
    lines = text.split("\n")
    found = positions(text).lines
    for path, value in leaves(tomllib.loads(text)):
        number = str(value).lstrip("-")[:6]
        assert number in lines[found[path] - 1]


@given(st.text(alphabet=st.sampled_from("ab1.=[]{},\"'\\#\n\r\t \u00e9-:T"), max_size=40))
def test_text_that_looks_like_toml(text: str) -> None:
    """Scraps of TOML: no error, and tomllib's keys wherever tomllib takes the text."""
    found = positions(text)
    try:
        values = tomllib.loads(text)
    except tomllib.TOMLDecodeError:
        return
    assert found.lost is None
    assert set(found.lines) == set(paths(values))


@given(st.text())
def test_any_text(text: str) -> None:
    """Any text at all is scanned without an error; only a valid one never loses the scanner."""
    found = positions(text)
    assume(found.lost is not None)
    with pytest.raises(ValueError):
        tomllib.loads(text)


def test_says_where_it_is_lost() -> None:
    """The statement that never ends is named by the line it begins at."""
    assert positions('a = 1\nb = """\nnever\n\nends\n').lost == 2


@pytest.mark.parametrize("text", ["a = " + "[" * 100_000, ".".join("a" * 100_000) + " = 1", "[" + "a." * 500 + "a]"])
def test_depth_is_bounded(text: str) -> None:
    """What is nested deeper than anybody writes is refused before it costs memory or recursion."""
    with pytest.raises(TooDeepError, match=str(MAX_DEPTH)):
        positions(text)
