"""`hostward jobs`, with and without an agent that runs."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from agent.daemon import running
from agent.daemon.lock import Lock
from agent.daemon.running import Running
from agent.state import State
from tests.agent.daemon.daemons import hostward
from wire.report import JobResult

CONFIG = """
[jobs.dump]
command = ["true"]
daily = "02:00"
timezone = "UTC"
description = "nightly dump"
[jobs.sync]
command = ["true"]
every = "15m"
enabled = false
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """Two jobs, one of them turned off."""
    path = tmp_path / "agent.toml"
    path.write_text(CONFIG)
    return path


@pytest.fixture
def state(tmp_path: Path) -> State:
    """Two runs of one job: the second failed."""
    state = State.open(tmp_path / "state")
    with state.transaction():
        for started, outcome, code in ((1_800_000_000.0, "done", 0), (1_800_086_400.0, "failed", 3)):
            state.add_run(
                JobResult(
                    name="dump",
                    started=started,
                    finished=started + 90,
                    outcome=outcome,  # type: ignore[arg-type]  # one of the literals
                    exit_code=code,
                    message="" if code == 0 else "exit code 3: no space",
                ),
                keep=10,
            )
    return state


def jobs(state: State, config: Path, *words: str) -> str:
    done = hostward("jobs", *words, "--state-dir", str(state.folder), "--config", str(config))
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_each_job_is_a_line(state: State, config: Path) -> None:
    """With its schedule, its last run and how that went."""
    lines = jobs(state, config).splitlines()
    assert lines[0].split() == ["JOB", "SCHEDULE", "LAST", "RUN", "TOOK", "NEXT", "RUN", "OUTCOME"]
    assert "daily 02:00 UTC" in lines[1]
    assert "1m30s" in lines[1]
    assert lines[1].endswith("failed: exit code 3: no space")
    assert "turned off" in lines[2]
    assert lines[2].endswith("never ran")


def test_the_next_run_is_told_while_an_agent_runs(state: State, config: Path) -> None:
    """Nobody would run it otherwise."""
    assert json.loads(jobs(state, config, "--json"))["jobs"][0]["next_run"] is None
    with Lock.take(state.folder):
        found = json.loads(jobs(state, config, "--json"))["jobs"]
    due = datetime.fromtimestamp(found[0]["next_run"], UTC)
    assert (due.hour, due.minute) == (2, 0)
    assert timedelta(0) < due - datetime.now(UTC) <= timedelta(days=1)
    assert found[1]["next_run"] is None


def test_the_running_agent_knows_its_configuration(state: State, config: Path, tmp_path: Path) -> None:
    """Without --config it is the running agent's jobs that are shown."""
    with state.transaction():
        state.put(running.KEY, running.encode(Running(pid=1, started=1, version="0", configuration=str(config))))
    with Lock.take(state.folder):
        done = hostward("jobs", "--state-dir", str(state.folder))
    assert "dump" in done.stdout


def test_one_job_shows_its_runs(state: State, config: Path) -> None:
    """The newest first."""
    lines = jobs(state, config, "dump").splitlines()
    assert [line.split()[5] for line in lines[1:]] == ["failed:", "done"]
    assert jobs(state, config, "sync") == "it never ran\n"
    assert [run["outcome"] for run in json.loads(jobs(state, config, "dump", "--json"))["runs"]] == ["failed", "done"]


def test_a_job_that_there_is_not(state: State, config: Path) -> None:
    """The sentence names those that there are."""
    done = hostward("jobs", "dmp", "--state-dir", str(state.folder), "--config", str(config))
    assert done.returncode == 2
    assert done.stderr == f'hostward: there is no job "dmp" in {config}; there are dump, sync\n'


def test_jobs_without_an_agent_or_a_state(config: Path, tmp_path: Path) -> None:
    """A configuration can be looked at before the first start."""
    done = hostward("jobs", "--state-dir", str(tmp_path / "none"), "--config", str(config))
    assert done.returncode == 0
    assert done.stdout.count("never ran") == 2


def test_no_jobs_is_a_sentence(state: State, tmp_path: Path) -> None:
    """And an empty list in JSON."""
    empty = tmp_path / "empty.toml"
    empty.touch()
    assert jobs(state, empty) == "no jobs are configured\n"
    assert json.loads(jobs(state, empty, "--json")) == {"jobs": []}


def test_json_has_the_documented_shape(state: State, config: Path, repository: Path) -> None:
    """Every key is in docs/agent.md."""
    page = (repository / "docs" / "agent.md").read_text()
    (job, _) = json.loads(jobs(state, config, "--json"))["jobs"]
    for key in [*job, *job["last_run"]]:
        assert f"`{key}`" in page, key


def test_what_a_run_used_is_shown_where_it_is_known(state: State, config: Path) -> None:
    """A peak of 0 bytes is one that nobody knows."""
    used = JobResult(
        name="dump",
        started=1_800_172_800.0,
        finished=1_800_172_890.0,
        outcome="done",
        cpu=61.0,
        peak_memory=3 * 2**20,
    )
    with state.transaction():
        state.add_run(used, keep=10)
    _, newest, before, *_ = jobs(state, config, "dump").splitlines()
    assert newest.split()[2:] == ["1m30s", "1m1s", "3MiB", "done"]
    assert before.split()[2:5] == ["1m30s", "0s", "-"]
