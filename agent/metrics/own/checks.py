"""How every check stands."""

from __future__ import annotations

from agent.config.schema import CONFIG_CHECK
from agent.metrics.family import Family, gauge
from agent.metrics.told import Told
from wire.report import STATES


def collect(told: Told) -> list[Family]:
    """From what the daemon told; a check that has not run yet is not there."""
    state = gauge("hostward_check_state", "1 for the state that the check is in, 0 for the others.")
    since = gauge("hostward_check_state_since_timestamp_seconds", "When the check entered its state.")
    ran = gauge("hostward_check_last_run_timestamp_seconds", "When the check was last run.")
    duration = gauge("hostward_check_duration_seconds", "How long the check's last run took.")
    interval = gauge(
        "hostward_check_interval_seconds", "How often the check runs; 0 where a timetable or an event says when."
    )
    adopted = gauge("hostward_config_last_reload_successful", "Whether the configuration in the files is in force.")
    for name, check in sorted(told.checks.items()):
        for each in STATES:
            state.add(int(check.state == each), check=name, kind=check.kind, state=each)
        since.add(check.since, check=name)
        ran.add(check.time, check=name)
        duration.add(check.duration, check=name)
        interval.add(check.interval, check=name)
        if name == CONFIG_CHECK:
            adopted.add(int(check.state == "ok"))
    return [state, since, ran, duration, interval, adopted]
