"""Single settings of the agent in a drop-in."""

from __future__ import annotations

import tomllib
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.rules.agent_files import HEADER, document, drop_in
from deploys.rules.agent_settings import changed, parsed

NAMES = st.text(max_size=8).filter(lambda name: "\r" not in name)
VALUES = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.text(max_size=8), st.lists(st.text(max_size=3))
)
TABLES: st.SearchStrategy[dict[str, Any]] = st.recursive(
    st.dictionaries(NAMES, VALUES, max_size=3),
    lambda inner: st.dictionaries(NAMES, st.one_of(VALUES, inner), max_size=3),
    max_leaves=8,
)


@pytest.mark.parametrize(
    ("setting", "tables"),
    [
        ("checks.cpu.every=30s", {"checks": {"cpu": {"every": "30s"}}}),
        ("agent.history = 7", {"agent": {"history": 7}}),
        ("agent.defaults=false", {"agent": {"defaults": False}}),
        ('checks."a.b".paths=["/x", "/y"]', {"checks": {"a.b": {"paths": ["/x", "/y"]}}}),
        ("jobs.tell.command=a = b", {"jobs": {"tell": {"command": "a = b"}}}),
    ],
)
def test_a_setting_is_a_value_of_toml_or_else_text(setting: str, tables: dict[str, Any]) -> None:
    """As people write it on a command line."""
    assert parsed(setting) == tables


@pytest.mark.parametrize("setting", ["checks.cpu.every", "=30s", "checks.cpu.every=", "checks..every=1", "a b=1"])
def test_what_is_no_setting_is_told_in_a_sentence(setting: str) -> None:
    """With what was expected."""
    with pytest.raises(ValueError, match="; expected "):
        parsed(setting)


def test_settings_are_merged_and_taken_away_again() -> None:
    """What is left empty goes too, and so does the drop-in."""
    first = changed("", [parsed("checks.cpu.every=30s"), parsed("agent.history=7")], [])
    assert first is not None
    second = changed(first, [parsed("checks.cpu.every=1m")], ["agent.history", "checks.disk.every"])
    assert second == HEADER + '\n[checks.cpu]\nevery = "1m"\n'
    assert changed(second, [], ["checks.cpu.every"]) is None
    with pytest.raises(ValueError, match="what is there is no TOML"):
        changed("[", [], [])


@settings(max_examples=50)
@given(TABLES)
def test_a_document_says_what_its_tables_say(tables: dict[str, Any]) -> None:
    """Whatever their keys and values are."""
    assert tomllib.loads(document(tables)) == tables


def test_credentials_are_handed_over_by_a_drop_in() -> None:
    """In one order."""
    assert drop_in({"pg": 1, "db": 2}) == (
        "[Service]\nLoadCredential=db:/etc/hostward/credentials/db\nLoadCredential=pg:/etc/hostward/credentials/pg\n"
    )
