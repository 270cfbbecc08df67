"""`hostward check`: real checks, run now."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from agent.checks.command import parse_performance, split_output
from agent.cli.main import main
from tests.agent.checks.servers import serve

Run = Callable[..., tuple[int, str, str]]


@pytest.fixture
def check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Run:
    """Run the command with a configuration; gives exit code, output and errors."""

    def run(configuration: str, *words: str) -> tuple[int, str, str]:
        file = tmp_path / "agent.toml"
        file.write_text(configuration)
        code = main(["check", "--config", str(file), *words])
        output, errors = capsys.readouterr()
        return code, output, errors

    return run


def plugins(folder: Path, **scripts: str) -> str:
    """A configuration with nothing but these scripts as checks."""
    text = "[agent]\ndefault_checks = false\n"
    for name, script in scripts.items():
        path = folder / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)
        text += f'[checks.{name}]\ntype = "command"\ncommand = ["{path}"]\ntimeout = "1s"\n'
    return text


def as_json(output: str) -> dict[str, Any]:
    """The checks by name."""
    return {one["name"]: one for one in json.loads(output)["checks"]}


@pytest.mark.parametrize(
    ("codes", "expected"),
    [((0, 0), 0), ((0, 1), 1), ((1, 3), 3), ((3, 2), 2), ((1, 2), 2), ((0, 3), 3)],
)
def test_the_exit_code_is_that_of_the_worst(
    check: Run, tmp_path: Path, codes: tuple[int, int], expected: int
) -> None:
    """Critical, then unknown, then warning, then ok."""
    configuration = plugins(tmp_path, a=f"exit {codes[0]}", b=f"exit {codes[1]}")
    code, output, _ = check(configuration)
    assert code == expected
    lines = [line.split()[:2] for line in output.splitlines()]
    states = ["ok", "warning", "critical", "unknown"]
    assert lines == [["CHECK", "STATE"], ["a", states[codes[0]]], ["b", states[codes[1]]]]


def test_one_name_gives_a_plugin_s_line(check: Run, tmp_path: Path) -> None:
    """Which a monitoring system, and this agent's own command check, can read."""
    code, output, _ = check("[checks.disk.used]\nwarning = 0\ncritical = 100\n", "disk")
    assert output.count("\n") == 1
    assert output.startswith("disk WARNING - / ")
    assert code == 1
    text, data = split_output(output)
    assert "warning from 0 %" in text
    readings = {m.labels["label"].split()[0]: m.name for m in parse_performance(data)}
    assert readings["disk_used_percent"] == "plugin_percent"
    assert readings["disk_total_bytes"] == "plugin_bytes"
    assert "%;0;100 " in data


def test_a_message_with_a_bar_stays_a_message(check: Run, tmp_path: Path) -> None:
    """What follows a bar would be taken for performance data."""
    nothing = plugins(tmp_path) + '[checks.a]\ntype = "process"\npidfile = "/a|b"\n'
    (tmp_path / "x").mkdir()
    code, output, _ = check(nothing, "a")
    assert code == 2, output
    assert output.count("|") == 1
    code, output, _ = check(plugins(tmp_path) + '[checks.a]\ntype = "disk"\nmounts = ["/a|b"]\n', "a")
    assert (code, output) == (2, "a CRITICAL - /a/b is not mounted\n")


def test_bounds_of_what_must_not_be_too_little_are_written_as_plugins_do(check: Run, tmp_path: Path) -> None:
    """`2:` is bad below."""
    text = '[checks.none]\ntype = "process"\nname = "hostward-nobody"\ntoo_few = { warning = 2, critical = 0 }\n'
    code, output, _ = check(plugins(tmp_path) + text, "none")
    assert code == 2, output
    assert "'process_count'=0;2:;0:" in output


def test_json_has_readings(check: Run) -> None:
    """And the worst state of all."""
    code, output, _ = check("", "memory", "disk", "--json")
    assert code == ["ok", "warning", "critical", "unknown"].index(json.loads(output)["state"])
    found = as_json(output)
    assert list(found) == ["disk", "memory"]
    memory = {reading["name"]: reading for reading in found["memory"]["readings"]}
    assert 0 < memory["memory_used_percent"]["value"] < 100
    assert memory["memory_used_percent"]["unit"] == "percent"
    assert found["disk"]["readings"][0]["labels"]["mount"] == "/"


def test_what_is_counted_is_sampled_twice(check: Run) -> None:
    """So that there are rates, and no check is left measuring."""
    _, output, _ = check("", "cpu", "network", "--json")
    found = as_json(output)
    assert "cpu_used_percent" in {reading["name"] for reading in found["cpu"]["readings"]}
    assert "measuring" not in output


def test_checks_that_misbehave_have_their_one_clear_line(check: Run, tmp_path: Path) -> None:
    """Hanging, deaf to signals, printing megabytes, missing, not executable, crashed: each says what is wrong."""
    configuration = plugins(
        tmp_path,
        fine="echo all is well",
        hangs="sleep 60",
        deaf="trap '' TERM; while :; do sleep 0.1; done",
        chatty="echo first line; head -c 5000000 /dev/zero | tr '\\0' x; exit 1",
        odd="echo hello; exit 77",
        crashed="kill -SEGV $$",
        gone="",
        plain="",
    )
    (tmp_path / "gone").unlink()
    (tmp_path / "plain").chmod(0o644)
    code, output, errors = check(configuration, "--json")
    assert code == 3
    assert errors == ""
    found = {name: (one["state"], one["message"]) for name, one in as_json(output).items()}
    for name in ("gone", "plain"):
        state, message = found.pop(name)
        assert state == "unknown"
        assert message.startswith(f"{tmp_path}/{name} ")
    assert found == {
        "fine": ("ok", "all is well"),
        "hangs": ("unknown", "stopped at its time limit of 1s"),
        "deaf": ("unknown", "stopped at its time limit of 1s"),
        "chatty": ("warning", "first line"),
        "odd": ("unknown", "exit code 77, which no plugin has: hello"),
        "crashed": ("unknown", "ended by SIGSEGV"),
    }


def test_jobs_run_in_children(check: Run, tmp_path: Path) -> None:
    """A page that answers, one that does not within the limit, and a port."""
    with serve() as server:
        text = f"""
        [checks.page]
        type = "http"
        url = "{server.url}/health"
        values = [{{ name = "depth", pointer = "/queue/depth", warning = 5 }}]
        [checks.silent]
        type = "http"
        url = "{server.url}/silence"
        timeout = "6s"
        [checks.port]
        type = "tcp"
        host = "127.0.0.1"
        port = {server.port}
        """
        code, output, _ = check(plugins(tmp_path) + text, "--json")
    found = as_json(output)
    assert code == 2, output
    assert (found["page"]["state"], found["page"]["message"]) == ("warning", "depth 7, warning from 5")
    assert re.fullmatch(rf"127\.0\.0\.1:{server.port}: no answer within [0-9]+m?s", found["silent"]["message"])
    assert found["port"]["state"] == "ok"


@pytest.mark.parametrize(
    ("configuration", "words", "message"),
    [
        ("", ["dsk"], 'there is no check called "dsk" on this host; did you mean "disk"?'),
        ("[checks.disk]\nenabled = false\n", ["disk"], 'there is no check called "disk" on this host'),
        ("[checks.disk]\nevry = 1\n", [], "agent.toml:2"),
        ("[checks\n", [], "agent.toml:1"),
        ("[agent]\ndefault_checks = false\n", [], "no checks are configured"),
    ],
)
def test_what_cannot_be_checked_is_unknown(check: Run, configuration: str, words: list[str], message: str) -> None:
    """Exit code 3, as plugins have it, and not 2, which would be critical."""
    code, output, errors = check(configuration, *words)
    assert (code, output) == (3, "")
    assert message in errors
    assert "Traceback" not in errors


def test_a_configuration_that_is_named_must_be_there(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    """Else a mistyped name would check the defaults."""
    assert main(["check", "--config", str(tmp_path / "none.toml")]) == 3
    assert "none.toml" in capsys.readouterr().err


def test_requests_is_loaded_by_the_child_that_needs_it_only(repository: Path) -> None:
    """Not by the command, whatever is configured."""
    program = (
        "import sys; from agent.cli.main import main; main(['check', 'memory', 'disk']);"
        "print(sorted({'requests', 'urllib3', 'cryptography'} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=True, timeout=60
    )
    assert done.stdout.splitlines()[-1] == "[]"
