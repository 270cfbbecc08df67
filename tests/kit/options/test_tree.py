"""TOML files as raw trees: what cannot be read, and how several become one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.options.tree import MAX_SIZE, Mistake, Place, Tree, UnreadableError, dotted, listing, merge, parse, read


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a = 1\nb = yes\n", 'f:2: not valid TOML: this is no value; text stands in quotes, as in name = "value"'),
        ("[t]\nx 1", "f:2: not valid TOML: expected key = value"),
        ("a = 1\na = 2", "f:2: not valid TOML: a key is given twice, or as a value and as a table"),
        ("[t]\n[t]", "f:2: not valid TOML: the table [t] is given twice"),
        ('[t."a b"]\n[t."a b"]', 'f:2: not valid TOML: the table [t."a b"] is given twice'),
        ("daily = 02:00", "f:1: not valid TOML: one key = value to a line; text stands in quotes"),
        (
            '\na = "C:\\data"',
            "f:2: not valid TOML: a backslash in double quotes is written \\\\, or use 'single quotes'",
        ),
        ('a = 1\nb = """\nnever\nends', "f:2: not valid TOML: a text without its closing quote"),
        ("a = [\n1,\n2\nb = 3", "f:4: not valid TOML: an array without a comma or its closing ]"),
        ("a = [\n1,\n", 'f:1: not valid TOML: this is no value; text stands in quotes, as in name = "value"'),
        ("a = { x = 1,\n y = 2 }", "f:1: not valid TOML: invalid initial character for a key part"),
        ("= 1", "f:1: not valid TOML: expected a key, a [table] or a comment"),
        ("a = " + "9" * 5000, "f:1: not valid TOML: "),
        ("a = " + "[" * 5000, "f:1: not valid TOML: nested more than 64 levels deep"),
        ("\x00", "f:1: not valid TOML: expected a key, a [table] or a comment"),
    ],
)
def test_broken_syntax(text: str, said: str) -> None:
    """A file that is no TOML gives one line: where, and what was expected."""
    with pytest.raises(UnreadableError) as refused:
        parse("f", text)
    assert str(refused.value).startswith(said)
    assert "\n" not in str(refused.value)


@given(st.text() | st.text(alphabet="ab=[]{}\"'.,\n#\\1"))
def test_any_text(text: str) -> None:
    """Any text is parsed or refused with one line."""
    try:
        tree = parse("f", text)
    except UnreadableError as error:
        assert str(error).startswith("f:")
        assert len(str(error).splitlines()) == 1
    else:
        assert all(tree.places[(key,)].line >= 1 for key in tree.values)


@given(st.binary(max_size=200))
def test_any_bytes(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Any file is parsed or refused with one line."""
    file = tmp_path_factory.mktemp("any") / "f.toml"
    file.write_bytes(data)
    try:
        read(file)
    except UnreadableError as error:
        assert len(str(error).splitlines()) == 1


def test_byte_order_mark_is_no_mistake(tmp_path: Path) -> None:
    """What some editors put first is not part of the text."""
    file = tmp_path / "f"
    file.write_bytes(b"\xef\xbb\xbfa = 1\r\n")
    assert read(file).values == {"a": 1}


def test_not_utf8(tmp_path: Path) -> None:
    """Another encoding is named by its line and byte."""
    file = tmp_path / "f"
    file.write_bytes("a = 1\nb = 'café'\n".encode("latin-1"))
    with pytest.raises(UnreadableError, match=r"f:2: is not UTF-8 text \(byte 0xe9\)$"):
        read(file)


def test_what_is_no_file(tmp_path: Path) -> None:
    """A folder, a pipe, a link to nowhere and a link to itself give one line, and never hang."""
    pipe, nowhere, loop = tmp_path / "pipe", tmp_path / "nowhere", tmp_path / "loop"
    os.mkfifo(pipe)
    nowhere.symlink_to("missing")
    loop.symlink_to("loop")
    for path, said in [
        (tmp_path, "cannot be read: it is a folder, and a file was expected"),
        (pipe, "cannot be read: it is not a regular file"),
        (nowhere, "is a symbolic link to a file that is not there"),
        (loop, "cannot be read: Too many levels of symbolic links"),
    ]:
        with pytest.raises(UnreadableError) as refused:
            read(path)
        assert str(refused.value) == f"{path}: {said}"
    with pytest.raises(FileNotFoundError):
        read(tmp_path / "missing")


def test_devices(tmp_path: Path) -> None:
    """/dev/null is an empty configuration; one without an end is refused before it fills the memory."""
    assert read(Path("/dev/null")).values == {}
    with pytest.raises(UnreadableError, match=r"/dev/zero: is larger than 1024 KiB"):
        read(Path("/dev/zero"))
    full = tmp_path / "full"
    full.write_bytes(b"#" * MAX_SIZE)
    assert read(full).values == {}


def test_without_the_right_to_read(tmp_path: Path) -> None:
    """Missing rights are said as the system says them."""
    file = tmp_path / "f"
    file.touch(mode=0)
    program = (
        "import os, sys; from pathlib import Path; from kit.options.tree import UnreadableError, read\n"
        "if os.geteuid() == 0: os.seteuid(65534)  # nobody: root may read everything\n"
        "try: read(Path(sys.argv[1]))\n"
        "except UnreadableError as error: print(error)"
    )
    ended = subprocess.run([sys.executable, "-c", program, str(file)], capture_output=True, text=True, check=True)
    assert ended.stdout == f"{file}: cannot be read: Permission denied\n"


def test_listing(tmp_path: Path) -> None:
    """Files ending in .toml in the order of their names, without those that editors hide; no folder is none."""
    for name in ("20-b.toml", "10-a.toml", ".#10-a.toml", "10-a.toml~", "readme"):
        (tmp_path / name).touch()
    assert [file.name for file in listing(tmp_path)] == ["10-a.toml", "20-b.toml"]
    assert listing(tmp_path / "missing") == []
    with pytest.raises(UnreadableError, match="readme: cannot be read: Not a directory"):
        listing(tmp_path / "readme")


def test_merge() -> None:
    """Tables merge key by key, arrays and scalars are replaced wholly, and each key knows its own file."""
    first = parse("a", "x = 1\n[t]\nkept = 1\nlist = [{ old = 1 }, 2]\n[t.deep]\none = 1\n")
    second = parse("b", '\nx = "two"\n[t]\nlist = [3]\n[t.deep]\ntwo = 2\n[new]\n')
    merged, mistakes = merge([first, second])
    assert mistakes == []
    assert merged.values == {"x": "two", "t": {"kept": 1, "list": [3], "deep": {"one": 1, "two": 2}}, "new": {}}
    assert {dotted(path): str(place) for path, place in merged.places.items()} == {
        "x": "b:2",
        "t": "b:3",
        "t.kept": "a:3",
        "t.list": "b:4",
        "t.list[0]": "b:4",
        "t.deep": "b:5",
        "t.deep.one": "a:6",
        "t.deep.two": "b:6",
        "new": "b:7",
    }


def test_joined_arrays() -> None:
    """Of an array that is joined each file has some tables, which know their own places; others are replaced."""
    first = parse("a", "[[t]]\nx = 1\n[[u]]\n")
    second = parse("b", "[[u]]\nx = 2\n\n[[t]]\nx = 2\n[[t]]\nlist = [3]\n")
    third = parse("c", "[[t]]\nx = 4\n")
    merged, mistakes = merge([first, second, third], joined=("t", "none"))
    assert mistakes == []
    assert merged.values == {"t": [{"x": 1}, {"x": 2}, {"list": [3]}, {"x": 4}], "u": [{"x": 2}]}
    assert {dotted(path): str(place) for path, place in merged.places.items()} == {
        "t": "a:1",
        "t[0]": "a:1",
        "t[0].x": "a:2",
        "t[1]": "b:4",
        "t[1].x": "b:5",
        "t[2]": "b:6",
        "t[2].list": "b:7",
        "t[2].list[0]": "b:7",
        "t[3]": "c:1",
        "t[3].x": "c:2",
        "u": "b:1",
        "u[0]": "b:1",
        "u[0].x": "b:2",
    }
    assert first.values == {"t": [{"x": 1}], "u": [{}]}
    fitting, mistakes = merge([parse("a", "t = 1"), parse("b", "[[t]]")], joined=("t",))
    assert (fitting.values, mistakes) == ({"t": [{}]}, [])


def test_merge_leaves_its_sources_alone() -> None:
    """Merging changes none of the trees that it is given."""
    trees = [parse("a", "[t]\nx = 1"), parse("b", "[t]\ny = 2")]
    merge(trees)
    assert [tree.values for tree in trees] == [{"t": {"x": 1}}, {"t": {"y": 2}}]


def test_merge_of_what_does_not_fit() -> None:
    """A table over something else, and something else over a table, name both places; the first stays."""
    merged, mistakes = merge([parse("a", "x = 1\n[t]"), parse("b", "t = 2\n[x]")])
    assert merged.values == {"x": 1, "t": {}}
    assert [str(mistake) for mistake in mistakes] == [
        "b:1: t: is not a table here, but is one at a:2",
        "b:2: x: is a table here, but not at a:1",
    ]


VALUES = st.recursive(
    st.integers(0, 3),
    lambda inner: st.dictionaries(st.sampled_from("abc"), inner, max_size=3) | st.lists(inner, max_size=2),
    max_leaves=8,
)


def overlay(old: object, new: object) -> object:
    """What merging two values means, in the plainest words, where tables meet only tables."""
    if isinstance(old, dict) and isinstance(new, dict):
        return {key: overlay(old.get(key), new.get(key)) for key in {**old, **new}}
    return old if new is None or (isinstance(new, dict) != isinstance(old, dict) and old is not None) else new


@given(st.lists(st.dictionaries(st.sampled_from("abc"), VALUES, max_size=3), max_size=3))
def test_merging_is_overlaying(tables: list[dict[str, object]]) -> None:
    """Any number of trees: each lies over those before it."""
    expected: object = {}
    for table in tables:
        expected = overlay(expected, table)
    merged, _ = merge(parse(str(i), as_toml(table)) for i, table in enumerate(tables))
    assert merged.values == expected


def as_toml(table: dict[str, object]) -> str:
    """The simplest writer: inline tables throughout."""

    def write(value: object) -> str:
        if isinstance(value, dict):
            return "{" + ", ".join(f"{key} = {write(item)}" for key, item in value.items()) + "}"
        if isinstance(value, list):
            return "[" + ", ".join(map(write, value)) + "]"
        return str(value)

    return "".join(f"{key} = {write(value)}\n" for key, value in table.items())


def test_a_mistake_is_one_harmless_line() -> None:
    """Keys from outside cannot break the line, nor steer the terminal."""
    mistake = Mistake(Place("f", 3), ("checks", "a\n\x1b[2J", 0), "what")
    assert str(mistake) == 'f:3: checks."a\\n\\u001b[2J"[0]: what'
    assert Tree().place(("a", "b")) is None
