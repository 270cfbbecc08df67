"""Monitoring plugins."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.command import CommandOptions, PluginCommand, parse_performance, split_output
from agent.checks.contract import CheckError, Context, Finished, Measurement, Sample
from agent.paths import System
from tests.agent.checks.tree import NOW, said, values

CONTEXT = Context(system=System(), now=NOW)


def plugin(code: int, output: str, error: str = "", *, truncated: bool = False) -> Sample:
    check = PluginCommand(CommandOptions(command=("check_it",)))
    return check.parse(CONTEXT, Finished(code, output, error, truncated))


@pytest.mark.parametrize(("code", "state"), [(1, "warning"), (2, "critical"), (3, "unknown")])
def test_the_exit_code_is_the_state(code: int, state: str) -> None:
    """And the first line the message."""
    sample = plugin(code, "DISK - free space: / 3326 MB | /=2643MB;5948;5958;0;5968\nlong text\n")
    assert said(sample) == [(state, "DISK - free space: / 3326 MB")]
    assert values(sample) == {"plugin_bytes /": 2643 * 2**20}


def test_all_well_is_a_summary() -> None:
    """Nothing is found to be wrong."""
    sample = plugin(0, "PING ok - rtt 0.80 ms|percent_packet_loss=0%, rta=0.80ms")
    assert said(sample) == []
    assert sample.summary == "PING ok - rtt 0.80 ms"


@pytest.mark.parametrize(
    ("code", "output", "error", "expected"),
    [
        (4, "odd", "", "exit code 4, which no plugin has: odd"),
        (127, "", "sh: nothing\n", "exit code 127, which no plugin has: sh: nothing"),
        (255, "", "", "exit code 255, which no plugin has: it printed nothing"),
    ],
)
def test_odd_ends_are_unknown(code: int, output: str, error: str, expected: str) -> None:
    """With what the program said, on standard error where there is nothing else."""
    with pytest.raises(CheckError) as caught:
        plugin(code, output, error)
    assert str(caught.value) == expected


def test_silence_is_said() -> None:
    """A plugin that prints nothing still has its exit code."""
    assert said(plugin(2, "")) == [("critical", "the plugin printed nothing")]
    assert plugin(0, "\n\n").summary == "the plugin printed nothing"


@pytest.mark.parametrize(
    ("data", "expected"),
    [
        ("load1=0.260;5.000;10.000;0;", [("plugin_value", "load1", 0.26, "")]),
        ("'a b'=5s;;;", [("plugin_seconds", "a b", 5, "seconds")]),
        ("'it''s'=1", [("plugin_value", "it's", 1, "")]),
        ("rta=0.80ms", [("plugin_seconds", "rta", 0.0008, "seconds")]),
        ("t=7us u=7ns", [("plugin_seconds", "t", 7e-6, "seconds"), ("plugin_seconds", "u", 7e-9, "seconds")]),
        ("used=12%;80;95;0;100", [("plugin_percent", "used", 12, "percent")]),
        ("hits=123c", [("plugin_total", "hits", 123, "")]),
        ("m=1KB n=2GiB", [("plugin_bytes", "m", 1024, "bytes"), ("plugin_bytes", "n", 2**31, "bytes")]),
        ("temp=-3.5C;@10:20;~:30", [("plugin_value", "temp", -3.5, "C")]),
        ("x=1,5", [("plugin_value", "x", 1.5, "")]),
        ("x=1e3 y=.5", [("plugin_value", "x", 1000, ""), ("plugin_value", "y", 0.5, "")]),
        ("x=U y=1", [("plugin_value", "y", 1, "")]),
        ("nonsense == 'open=3 ok=1", [("plugin_value", "ok", 1, "")]),
        ("", []),
    ],
)
def test_performance_data_as_the_guidelines_have_it(data: str, expected: list[tuple[str, str, float, str]]) -> None:
    """`'label'=value[UOM];[warn];[crit];[min];[max]`; ranges are passed over, and what is broken is too."""
    assert parse_performance(data) == [
        Measurement(name, pytest.approx(value), unit, {"label": label}) for name, label, value, unit in expected
    ]


def test_performance_data_may_go_on_after_the_long_text() -> None:
    """On the last line of text, and on lines of its own."""
    text, data = split_output("OK - fine | a=1\nlong text\nmore text | b=2\nc=3\n")
    assert text == "OK - fine"
    assert [m.labels["label"] for m in parse_performance(data)] == ["a", "b", "c"]


@given(st.text() | st.text(alphabet="|'= ;.,0123456789abU%\n-", max_size=300), st.integers(0, 255))
def test_any_output_gives_a_sample_or_a_reason(output: str, code: int) -> None:
    """Never another error; values are numbers, though some may be too large to keep."""
    try:
        sample = plugin(code, output)
    except CheckError:
        assert code > 3
    else:
        assert all(not math.isnan(m.value) for m in sample.measurements)


def test_the_command_is_started_as_configured() -> None:
    """Without a shell, with its environment."""
    options = CommandOptions(command=("check_it", "-w", "$HOME"), environment={"A": "b"})
    command = PluginCommand(options).command(CONTEXT)
    assert (command.argv, command.environment) == (("check_it", "-w", "$HOME"), {"A": "b"})


@pytest.mark.parametrize("piece", ["a", "'", "''' ", "x=1", "=", "1", "a="])
def test_megabytes_of_nonsense_are_read_at_once(piece: str) -> None:
    """The time grows with the length only: a quadratic search would take hours here."""
    parse_performance(piece * (4_000_000 // len(piece)))
