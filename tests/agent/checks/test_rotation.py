"""The rotation of logs, as its watcher tells of it."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Sample
from agent.checks.rotation import PLACE, Rotation, RotationOptions, derive
from agent.checks.runner import Plan, judge
from agent.logs.watch import status
from agent.logs.watch.status import Danger, RuleStatus, Status, StatusError
from agent.paths import System
from tests.agent.checks.tree import NOW, collect, values
from tests.require import require_root

MiB = 2**20


def told(**fields: Any) -> Status:
    """One rule that is well, but for what is given."""
    well = {"logs": 2, "size": 3 * MiB, "kept": 4, "kept_size": 5 * MiB, "growth": 1e6, "success": NOW - 30}
    return Status(written=NOW - 20, rules={"web": RuleStatus(**(well | fields))})


def whole() -> Sample:
    """All that can be measured."""
    return derive(told(budget=100 * MiB), NOW)


def host(root: Path, content: Status) -> System:
    folder = (root / PLACE).parent
    folder.mkdir(parents=True)
    status.write(folder, content)
    return System(root)


def state(content: Status) -> tuple[str, str]:
    """How the check stands by its own bounds, and what it says."""
    options = RotationOptions()
    plan = Plan("rotation", "rotation", Rotation(options), options)
    judged = judge(plan, derive(content, NOW), None, now=NOW, ticks=100.0, duration=0.0)
    return judged.state.state, judged.state.message


def test_what_is_told_is_measured(tmp_path: Path) -> None:
    """And all is well."""
    sample = collect(Rotation(RotationOptions()), host(tmp_path, told()))
    assert values(sample)["rotation_kept_bytes web"] == 5 * MiB
    assert values(sample)["rotation_success_age_seconds web"] == 30
    assert values(sample)["rotation_silence_seconds"] == 20
    assert sample.summary == "1 rule, 2 logs, 8MiB with old ones"
    assert state(told()) == ("ok", "1 rule, 2 logs, 8MiB with old ones")


def test_it_belongs_where_a_watcher_told_something(tmp_path: Path) -> None:
    """And nowhere else by itself; asked for where there is none, it says what is missing."""
    assert Rotation.default(System(tmp_path)) is None
    with pytest.raises(CheckError, match=r"has hostward-logs\.service been started"):
        collect(Rotation(RotationOptions()), System(tmp_path))
    assert Rotation.default(host(tmp_path, told())) == RotationOptions()


def test_a_failure_is_a_warning_with_its_words_and_then_critical() -> None:
    """What stays so for six hours does not mend itself."""
    trouble = "/var/log/web.log: No space left on device"
    assert state(told(trouble=trouble, failing_since=NOW - 60)) == ("warning", f"web: {trouble}")
    late, message = state(told(trouble=trouble, failing_since=NOW - 7 * 3600))
    assert late == "critical"
    assert "web has failed for 7h" in message


def test_a_watcher_that_stopped_is_told() -> None:
    """A warning after minutes, critical after an hour."""
    content = told()
    content.written = NOW - 600
    assert state(content) == ("warning", "the watcher of logs was last heard of 10m ago, warning from 5m")
    content.written = NOW - 7200
    assert state(content)[0] == "critical"


def test_a_log_that_would_have_filled_its_disk_is_told_for_an_hour() -> None:
    """With how soon."""
    said_so = "web: /var/log/web.log would have filled its disk within 5m: it was rotated 2m ago"
    assert state(told(danger=Danger("/var/log/web.log", NOW - 120, 300.0))) == ("warning", said_so)
    assert state(told(danger=Danger("/var/log/web.log", NOW - 3601, 300.0)))[0] == "ok"
    assert "would have filled its disk at once" in state(told(danger=Danger("/x", NOW, 0.0)))[1]


def test_a_budget_that_is_exceeded_is_told_with_what_takes_how_much() -> None:
    """Files and journal together."""
    assert state(told(budget=10 * MiB, journal={"web.service": 2 * MiB}))[0] == "ok"
    assert state(told(budget=10 * MiB, journal={"web.service": 4 * MiB})) == (
        "warning",
        "web takes 12MiB of a budget of 10MiB: logs 3MiB, old ones 5MiB, the journal of web.service 4MiB; "
        "`hostward logs usage` says what helps",
    )


@pytest.mark.parametrize("mode", [0o664, 0o646])
def test_what_others_may_write_is_not_believed(tmp_path: Path, mode: int) -> None:
    """The check would show what anybody likes."""
    system = host(tmp_path, told())
    (tmp_path / PLACE).chmod(mode)
    with pytest.raises(StatusError, match="others than root may write it"):
        collect(Rotation(RotationOptions()), system)


def test_a_file_of_somebody_else_is_not_believed(tmp_path: Path) -> None:
    """Neither is a link, wherever it leads."""
    require_root()
    system = host(tmp_path, told())
    os.chown(tmp_path / PLACE, 65534, -1)
    with pytest.raises(StatusError, match="others than root may write it"):
        collect(Rotation(RotationOptions()), system)
    (tmp_path / PLACE).rename(tmp_path / "elsewhere")
    (tmp_path / PLACE).symlink_to(tmp_path / "elsewhere")
    with pytest.raises(StatusError, match="cannot be read"):
        collect(Rotation(RotationOptions()), system)


@settings(max_examples=25)
@given(data=st.binary(max_size=200) | st.just(b'{"version": 2}') | st.just(b'{"rules": {"a": 1}}'))
def test_nonsense_is_said_to_be_none(data: bytes, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Whatever is in the file, it is a status or a sentence."""
    path = tmp_path_factory.mktemp("status") / status.NAME
    path.write_bytes(data)
    path.chmod(0o644)
    with pytest.raises(StatusError, match="makes no sense"):
        status.read(path, owners=frozenset({os.geteuid()}))
