"""The last run of every job that is configured."""

from __future__ import annotations

from contextlib import closing

from agent.metrics.family import Family, gauge
from agent.metrics.told import Told
from agent.state import State

OUTCOMES = ("done", "failed", "timed_out", "killed", "lost")
PREFIX = "job:"
"""Of the check that tells how a job stands (agent/daemon/timed.py)."""


def collect(told: Told) -> list[Family]:
    """From the state database; a job that has not run yet is not there. Raises StateError, sqlite3.Error."""
    configured = {name.removeprefix(PREFIX) for name in told.checks if name.startswith(PREFIX)}
    with closing(State.read(told.folder)) as state:
        state.connection.execute("BEGIN")
        last = {name: run for name, run in state.last_runs().items() if name in configured}
        succeeded = {
            name: run
            if run.outcome == "done"
            else next((each for each in state.runs(name) if each.outcome == "done"), None)
            for name, run in last.items()
        }
    outcome = gauge("hostward_job_last_outcome", "1 for how the job's last run ended, 0 for the other ways.")
    started = gauge("hostward_job_last_run_timestamp_seconds", "When the job's last run began.")
    duration = gauge("hostward_job_last_duration_seconds", "How long the job's last run took.")
    cpu = gauge("hostward_job_last_cpu_seconds", "CPU time that the job's last run took.")
    memory = gauge("hostward_job_last_peak_memory_bytes", "Most memory that the job's last run held; 0 if unknown.")
    success = gauge(
        "hostward_job_last_success_timestamp_seconds",
        "When the job's last successful run ended, of those that the agent remembers.",
    )
    for name, run in sorted(last.items()):
        for each in OUTCOMES:
            outcome.add(int(run.outcome == each), job=name, outcome=each)
        started.add(run.started, job=name)
        duration.add(max(0.0, run.finished - run.started), job=name)
        cpu.add(run.cpu, job=name)
        memory.add(run.peak_memory, job=name)
        if (done := succeeded[name]) is not None:
            success.add(done.finished, job=name)
    return [outcome, started, duration, cpu, memory, success]
