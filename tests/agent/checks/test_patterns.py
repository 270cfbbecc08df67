"""Names and patterns as options."""

from __future__ import annotations

from agent.checks.patterns import is_chosen, named


def test_a_name_is_chosen_even_when_a_pattern_leaves_it_out() -> None:
    """What is written in full is meant."""
    assert is_chosen("lo", ("lo", "eth*"), ("lo",))
    assert is_chosen("eth0", ("eth*",), ("lo",))
    assert not is_chosen("eth0", ("eth*",), ("eth0",))
    assert not is_chosen("wg0", ("eth*",), ())


def test_what_holds_no_wildcard_is_a_name() -> None:
    """Such a thing must be there."""
    assert named(["eth0", "eth*", "sd?", "sd[ab]", "/"]) == {"eth0", "/"}
