"""The agent's configuration: checks of their own kinds, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks import registry
from agent.checks.contract import Threshold
from agent.checks.cpu import CpuOptions
from agent.checks.disk import DiskOptions
from agent.config.load import load, read
from agent.config.schema import Config
from kit.errors import ConfigurationError
from kit.units import Duration
from wire.limits import MAX_CHECKS


def refused(tmp_path: Path, text: str) -> list[str]:
    """The lines that say what is wrong with `text`, without the name of the file."""
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigurationError) as error:
        load(file)
    return str(error.value).replace(f"{file}:", "").splitlines()


def test_no_configuration(tmp_path: Path) -> None:
    """No file is a good configuration; one that was named must exist."""
    assert load(tmp_path / "agent.toml") == Config()
    with pytest.raises(ConfigurationError, match="there is no such file"):
        load(tmp_path / "agent.toml", must_exist=True)


def test_folder_beside_the_file(tmp_path: Path) -> None:
    """agent.d is merged over agent.toml, and is enough by itself."""
    (tmp_path / "agent.d").mkdir()
    (tmp_path / "agent.d" / "50-name.toml").write_text('agent.name = "folder"')
    assert load(tmp_path / "agent.toml").agent.name == "folder"
    (tmp_path / "agent.toml").write_text('[agent]\nname = "file"\nhistory = 5')
    loaded = read(tmp_path / "agent.toml")
    assert (loaded.value.agent.name, loaded.value.agent.history) == ("folder", 5)
    assert str(loaded.tree.place(("agent", "name"))) == f"{tmp_path}/agent.d/50-name.toml:1"


def test_checks_have_the_options_of_their_kind(tmp_path: Path) -> None:
    """A table is of the kind that it is called, or of its `type`, and keeps what it does not mention."""
    (tmp_path / "agent.toml").write_text(
        """
        [checks.cpu]
        every = "1m"
        used = { warning = 50 }
        [checks.archive]
        type = "disk"
        """
    )
    checks = load(tmp_path / "agent.toml").checks
    default = CpuOptions()
    assert checks["cpu"] == CpuOptions(
        every=Duration(60),
        used=Threshold(
            warning=50,
            critical=default.used.critical,
            for_=default.used.for_,
            hysteresis=default.used.hysteresis,
            overrides=default.used.overrides,
        ),
    )
    assert checks["archive"] == DiskOptions(type="disk")


JOB = '[jobs.x]\ndaily = "02:00"\n'


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[chekcs]", '1: chekcs: there is no such key here; did you mean "checks"?'),
        ("[checks.cpuu]", '1: checks.cpuu: is not a kind of check, so it needs a type; did you mean "cpu"?'),
        (
            '[checks.x]\ntype = "dsk"',
            '2: checks.x.type: expected a kind of check, found the text "dsk"; did you mean "disk"?',
        ),
        (
            "[checks.cpu.used]\nwarnign = 1",
            '2: checks.cpu.used.warnign: there is no such key here; did you mean "warning"?',
        ),
        (
            '[checks.cpu]\nevery = "0s"',
            '2: checks.cpu.every: expected a duration such as "500ms", "15s", "1h30m" or "7d" of at least 1s, '
            'found the text "0s"',
        ),
        (
            '[checks."a b"]\ntype = "cpu"',
            '1: checks."a b": expected a name of up to 64 letters, digits, _ . @ and -, beginning with a letter or '
            'digit, found the text "a b"',
        ),
        (JOB, '1: jobs.x: needs the key "command", an array of text, the program first'),
        (JOB + "command = []", "3: jobs.x.command: expected an array of text, the program first, found none"),
        (JOB + 'command = [""]', '3: jobs.x.command[0]: expected text that is not empty, found the text ""'),
        (
            JOB + 'command = ["x"]\nenvironment.KEY = 4711',
            "4: jobs.x.environment.KEY: expected text, found a number (a secret, not shown)",
        ),
        (
            JOB + 'command = ["x"]\nnice = -5',
            "4: jobs.x.nice: expected a whole number from 0 to 19, found the number -5",
        ),
    ],
)
def test_what_is_refused(tmp_path: Path, text: str, said: str) -> None:
    """One mistake, one line."""
    assert refused(tmp_path, text) == [said]


@pytest.mark.parametrize(
    "times", ["", 'daily = "02:00"\nevery = "1h"', 'daily = "25:00"', 'weekly = "someday 02:00"']
)
def test_schedules_are_judged(tmp_path: Path, times: str) -> None:
    """A job has exactly one schedule, and a valid one: else the job's table is named, or the option in it."""
    (said,) = refused(tmp_path, f'[agent]\n[jobs.x]\ncommand = ["x"]\n{times}\n')
    assert said.startswith(("2: jobs.x: ", "4: jobs.x.daily: ", "4: jobs.x.weekly: "))


def test_only_the_configured_kinds_are_decoded() -> None:
    """Every kind in the registry has options that a table under `checks` can give."""
    for kind in registry.CHECKS:
        assert registry.load(kind).Options.__struct_config__.frozen


SNIPPETS = st.sampled_from(
    [
        "[checks.cpu]",
        "[jobs.x]",
        'type = "disk"',
        "used = ",
        "{ warning = 1 }",
        '"""',
        "'''",
        "[[",
        "]",
        "=",
        "every",
        ' = "5m"',
        "nan",
        "1",
        "é",
        "\\",
        "[agent]",
        'daily = "02:00"',
        'command = ["x"]',
        "#",
        "\n",
        "\r",
    ]
)


@given(st.lists(SNIPPETS).map("".join).map(str.encode) | st.binary(max_size=100))
def test_any_file(tmp_path_factory: pytest.TempPathFactory, data: bytes) -> None:
    """Whatever stands in the file is a configuration or a ConfigurationError, whose lines all name the file."""
    file = tmp_path_factory.mktemp("any") / "agent.toml"
    file.write_bytes(data)
    try:
        load(file)
    except ConfigurationError as error:
        assert all(line.startswith(f"{file}:") for line in str(error).splitlines())


def test_the_agents_own_check_is_not_for_others(tmp_path: Path) -> None:
    """A check called `config` would take turns with the one that tells how the configuration stands."""
    text = '[checks.config]\ntype = "http"\nurl = "https://localhost/"\n'
    assert refused(tmp_path, text) == [
        "1: checks.config: the agent has a check of this name, which watches the configuration: choose another"
    ]
    assert "config" not in registry.CHECKS


def test_no_more_checks_than_a_report_has_room_for(tmp_path: Path) -> None:
    """Jobs count, and so do the agent's own checks; what is turned off does not."""
    off = "[agent]\ndefault_checks = false\n"
    checks = "".join(f'[checks.c{n}]\ntype = "memory"\n' for n in range(MAX_CHECKS - 3))
    job = '[jobs.{}]\ncommand = ["true"]\ndaily = "02:00"\n'
    file = tmp_path / "agent.toml"
    file.write_text(off + checks + job.format("one") + job.format("off") + "enabled = false\n")
    assert len(load(file).checks) == MAX_CHECKS - 3
    (line,) = refused(tmp_path, off + checks + job.format("one") + job.format("two"))
    assert line.endswith(
        f"checks: expected at most {MAX_CHECKS} checks, with one for each job and two of the agent, "
        f"found {MAX_CHECKS + 1}"
    )
