"""Every value as it stands, with the place it comes from."""

from __future__ import annotations

import json

from kit.options.decode import decode
from kit.options.show import HIDDEN, entries
from kit.options.tree import dotted, parse
from tests.kit.options.shapes import Animal, Everything, Level, Target
from tests.kit.options.test_decode import choose


def shown(text: str) -> dict[str, tuple[object, str]]:
    """Key path to value and place, of what `text` gives."""
    tree = parse("f", text)
    value, mistakes = decode(Everything, tree, {Animal: choose})
    assert value is not None, mistakes
    return {dotted(entry.path): (entry.value, str(entry.place or "")) for entry in entries(value, tree)}


def test_defaults_and_files() -> None:
    """A given value has its file and line, one that was filled in has none; what is not set is not there."""
    found = shown('count = 3\nlevel = { warning = 60 }\n[animals.cat]\nlives = 1\nnaps.for = "5m"')
    assert found["count"] == (3, "f:1")
    assert found["flag"] == (False, "")
    assert found["level.warning"] == (60, "f:2")
    assert found["level.critical"] == (85, "")
    assert found["level.for"] == ("1m", "")
    assert found["animals.cat.lives"] == (1, "f:4")
    assert found["animals.cat.naps.for"] == ("5m", "f:5")
    assert found["animals.cat.naps.warning"] == (1, "")
    assert found["headers"] == ({}, "")
    assert "maybe.warning" not in found
    assert "room" not in found


def test_secrets_are_hidden() -> None:
    """The value of a secret, its default too, shows nowhere: not in a table of secrets, not in an array of tables."""
    found = shown("[tokens]\na = 1234567\n")
    assert found["tokens.a"] == (HIDDEN, "f:2")
    assert found["password"] == (HIDDEN, "")
    assert "1234567" not in str(found)
    assert "changeme" not in str(found)


def test_arrays_of_tables_are_one_value() -> None:
    """An array of tables is shown whole, as plain data that JSON can carry."""
    found = shown('[[targets]]\nurl = "x"\n[[targets]]\nurl = "y"\nport = 1')
    assert found["targets"] == ([{"url": "x", "port": 443}, {"url": "y", "port": 1}], "f:1")
    assert json.dumps(found)
    assert Target(url="x") == Target(url="x", port=443)
    assert Level() == Level(for_=Level().for_)
