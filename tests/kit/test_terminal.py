"""What a person sees on a terminal."""

from __future__ import annotations

import io
import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from kit.jsontext import json_text
from kit.terminal import clean, paint, table


class Terminal(io.StringIO):
    """A stream that says it is one."""

    def isatty(self) -> bool:
        return True


def test_no_colours_in_a_pipe() -> None:
    """Piped output is plain text."""
    assert paint("ok", "ok", io.StringIO()) == "ok"


def test_colours_on_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """A terminal gets the colour of the state, unless it is dumb or the person wants none."""
    monkeypatch.setenv("TERM", "xterm")
    assert paint("bad", "critical", Terminal()) == "\x1b[31mbad\x1b[0m"
    assert paint("odd", "purple", Terminal()) == "odd"
    monkeypatch.setenv("NO_COLOR", "1")
    assert paint("bad", "critical", Terminal()) == "bad"
    monkeypatch.delenv("NO_COLOR")
    monkeypatch.setenv("TERM", "dumb")
    assert paint("bad", "critical", Terminal()) == "bad"


def test_columns_line_up(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each column is as wide as its widest cell, with colours as without, and the last one has no padding."""
    monkeypatch.setenv("TERM", "xterm")
    rows = [["cpu", "ok"], ["long-name", "critical"]]
    plain = table(["check", "state"], rows, stream=io.StringIO())
    assert plain.splitlines() == ["CHECK      STATE", "cpu        ok", "long-name  critical"]
    painted = table(["check", "state"], rows, colours=[["", "ok"], ["", "critical"]], stream=Terminal())
    assert painted.splitlines()[1:] == ["cpu        \x1b[32mok\x1b[0m", "long-name  \x1b[31mcritical\x1b[0m"]


def test_a_table_without_rows() -> None:
    """Headings alone are still a table."""
    assert table(["check", "state"], [], stream=io.StringIO()) == "CHECK  STATE"


@given(st.text())
def test_nothing_steers_the_terminal(text: str) -> None:
    """No control character of what came from outside gets through, and the length stays."""
    shown = clean(text)
    assert len(shown) == len(text)
    assert not any((ord(character) < 32 and character != "\t") or 127 <= ord(character) < 160 for character in shown)
    assert clean("a\x1b[31mb\u202e\n") == "a�[31mb��"


@given(st.text() | st.lists(st.text(alphabet="\x7f\x9b\u200e\u202e\ufeff\U000e0001a")))
def test_json_is_the_same_and_steers_nothing(value: object) -> None:
    """Programs read what was given; a terminal gets no control character."""
    for indent in (True, False):
        text = json_text({"a": value}, indent=indent)
        assert json.loads(text) == {"a": value}
        assert not any(127 <= ord(character) < 160 or character in "\u202e\u200e\ufeff" for character in text)
