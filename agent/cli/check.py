"""`hostward check`: run checks now, beside the agent or without one."""

from __future__ import annotations

import argparse
import selectors
import time
from collections.abc import Iterable, Mapping, Sequence
from functools import partial

import msgspec

from agent.checks.contract import CheckOptions
from agent.checks.launch import launch
from agent.checks.runner import Judged, Memory, Outcome, Plan, judge, make_context, plan
from agent.checks.thresholds import resolve, worst
from agent.clock import ticks
from agent.config.defaults import effective_checks
from agent.config.load import load
from agent.jobs.supervisor import Jobs
from agent.paths import System, configuration_file, state_folder
from kit.commands import Command
from kit.errors import ConfigurationError, HostwardError
from kit.jsontext import json_text
from kit.options.decode import nearest
from kit.terminal import clean, table
from kit.units import format_duration
from wire.report import STATES, Reading, State

SAMPLING = 1.0
"""Seconds between the two samples of what is counted."""


class CannotCheckError(HostwardError):
    """Nothing could be checked: to a monitoring system that means unknown."""

    exit_code = STATES.index("unknown")


class CheckResult(msgspec.Struct, frozen=True, kw_only=True):
    """One check in the output of `--json`."""

    name: str
    kind: str
    state: State
    message: str
    time: float
    """Seconds since the epoch."""
    duration: float
    """Seconds."""
    readings: list[Measured]


class Measured(msgspec.Struct, frozen=True, kw_only=True):
    """One reading in the output of `--json`."""

    name: str
    value: float
    unit: str
    labels: dict[str, str]


class Results(msgspec.Struct, frozen=True, kw_only=True):
    """What `--json` prints. `state` is the worst."""

    state: State
    checks: list[CheckResult]


def configure(parser: argparse.ArgumentParser) -> None:
    """Names and the form of the output."""
    parser.add_argument("names", nargs="*", metavar="NAME", help="the checks to run; all of them when none is named")
    parser.add_argument("--json", action="store_true", help="print JSON, readings included")


def run(options: argparse.Namespace) -> int:
    """Run them, print what came of it, and return the worst state as a plugin's exit code."""
    system = System(state_folder=state_folder(options.state_dir).absolute())
    file, named = configuration_file(options.config)
    try:
        config = load(file, system=system, must_exist=named)
        plans = plan(chosen(effective_checks(config, system), options.names))
    except ConfigurationError as error:
        raise CannotCheckError(str(error)) from error
    if not plans:
        raise CannotCheckError("no checks are configured, and the default ones are turned off")
    judged = run_now(plans, system)
    state = worst(*(result.state.state for result in judged.values()))
    if options.json:
        results = Results(state=state, checks=[_result(one) for one in judged.values()])
        print(json_text(results))
    elif len(set(options.names)) == 1:
        print(plugin_line(plans[0], judged[plans[0].name]))
    else:
        _print_table(judged.values())
    return STATES.index(state)


def chosen(checks: Mapping[str, CheckOptions], names: Iterable[str]) -> dict[str, CheckOptions]:
    """The checks with these names, or all. Raises CannotCheckError for a name that there is not."""
    wanted = list(names)
    for name in wanted:
        if name not in checks:
            known = nearest(name, sorted(checks))
            raise CannotCheckError(f'there is no check called "{clean(name)}" on this host{known}')
    return {name: options for name, options in checks.items() if not wanted or name in wanted}


def run_now(plans: Sequence[Plan], system: System) -> dict[str, Judged]:
    """Run all at once, each within its limits; what is counted a second time a little later. By name, in order."""
    began = time.monotonic()
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        try:
            judged = _round(plans, system, jobs, {})
            counted = [planned for planned in plans if planned.check.rates]
            if counted:
                time.sleep(max(0.0, began + SAMPLING - time.monotonic()))
                judged |= _round(counted, system, jobs, {name: one.memory for name, one in judged.items()})
        finally:
            jobs.stop(grace=1.0)
    return judged


def _round(plans: Sequence[Plan], system: System, jobs: Jobs, memories: Mapping[str, Memory]) -> dict[str, Judged]:
    """Run each once. Children first, so that they work while the others are asked here."""
    judged: dict[str, Judged] = {}

    def conclude(plan: Plan, now: float, began: float, outcome: Outcome, duration: float) -> None:
        judged[plan.name] = judge(plan, outcome, memories.get(plan.name), now=now, ticks=began, duration=duration)

    for planned in sorted(plans, key=lambda one: one.way == "inline"):
        now, began = time.time(), ticks()
        context = make_context(planned, memories.get(planned.name), system=system, now=now, ticks=began)
        launch(jobs, planned.name, planned, context, partial(conclude, planned, now, began))
    while jobs.running:
        jobs.wait(None)
    return {planned.name: judged[planned.name] for planned in plans}


def plugin_line(plan: Plan, judged: Judged) -> str:
    """`disk CRITICAL - /var 96 % used | 'disk_used_percent /var'=96%;80;95`

    As https://www.monitoring-plugins.org/doc/guidelines.html has it. A reading's labels follow its name.
    """
    state = judged.state
    # The bar begins the performance data, so the message must not hold one.
    text = f"{state.name} {state.state.upper()} - {state.message.replace('|', '/')}"
    data = " ".join(_performance(plan, reading) for reading in judged.readings)
    return f"{text} | {data}" if data else text


def _performance(plan: Plan, reading: Reading) -> str:
    label = " ".join([reading.name, *reading.labels.values()]).replace("'", "").replace("=", "")
    unit = {"percent": "%", "bytes": "B", "seconds": "s"}.get(reading.unit, "")
    warning = critical = ""
    for rule in plan.check.rules():
        if rule.holds_for(reading.name, reading.labels):
            bounds = resolve(rule.bounds, reading.labels)
            colon = ":" if bounds.worse == "below" else ""
            warning = warning or ("" if isinstance(bounds.warning, str) else f"{bounds.warning:g}{colon}")
            critical = critical or ("" if isinstance(bounds.critical, str) else f"{bounds.critical:g}{colon}")
    value = f"{reading.value:.15g}"
    return f"'{label}'={value}{unit};{warning};{critical}".rstrip(";")


def _result(judged: Judged) -> CheckResult:
    state = judged.state
    return CheckResult(
        name=state.name,
        kind=state.kind,
        state=state.state,
        message=state.message,
        time=state.time,
        duration=state.duration,
        readings=[
            Measured(name=reading.name, value=reading.value, unit=reading.unit, labels=reading.labels)
            for reading in judged.readings
        ],
    )


def _print_table(judged: Iterable[Judged]) -> None:
    states = [one.state for one in judged]
    rows = [[state.name, state.state, format_duration(state.duration), state.message] for state in states]
    colours = [["bold", state.state, "dim", ""] for state in states]
    print(table(["check", "state", "took", "message"], rows, colours=colours))


CHECK = Command(
    run=run,
    configure=configure,
    bad_usage=STATES.index("unknown"),
    examples="""\
  hostward check                 every check of this host, as a table
  hostward check disk memory     these two
  hostward check disk            one line with performance data, as a monitoring plugin prints it
  hostward check --json | jq '.checks[].readings'""",
    notes="""\
The checks are those of the configuration; nothing is stored or reported. What a check counts over time (CPU, network)
is sampled twice, a second apart. A threshold with `for` cannot have lasted that long: the message tells, the state
stays ok.
exit codes: 0 ok, 1 warning, 2 critical, 3 unknown, the worst of all checks (critical, then unknown, then warning);
3 also for mistakes in the configuration and for a check that there is not.""",
)
