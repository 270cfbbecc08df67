"""Starts a run of a check, in the way that its kind wants, and hands over what came of it."""

from __future__ import annotations

import time
from collections.abc import Callable

from agent.checks.contract import Context, Finished, Sample
from agent.checks.runner import (
    Failure,
    Outcome,
    Plan,
    collect_inline,
    command_for,
    decode_outcome,
    encode_call,
    parse_command,
)
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.privileged.protocol import SOCKET, Before, ProtocolError, encode_request

STUCK = "an earlier run hangs and cannot be killed"

Conclude = Callable[[Outcome, float], None]
"""Takes what a run found out, and the seconds that it took."""


def launch(jobs: Jobs, name: str, plan: Plan, context: Context, conclude: Conclude) -> None:
    """Run the check once; a child of it is called `name`.

    `conclude` is called once: before this returns for what runs inline or could not be started, else from within
    `jobs.wait`.
    """
    if plan.options.privileged is not None:
        _launch_privileged(jobs, name, plan, context, conclude)
        return
    if plan.way == "inline":
        began = time.monotonic()
        outcome = collect_inline(plan, context)
        conclude(outcome, time.monotonic() - began)
        return

    def ended(end: Ended) -> None:
        conclude(outcome_of(plan, context, end), end.finished - end.started)

    limits = Limits(time=float(plan.options.timeout))
    if plan.way == "job":
        argument = encode_call(plan, context)
        started = jobs.start_call(name, "agent.checks.runner:collect_call", argument, limits=limits, on_end=ended)
    else:
        command = command_for(plan, context)
        if isinstance(command, Failure):
            conclude(command, 0.0)
            return
        started = jobs.start_command(name, command.argv, limits=limits, environment=command.environment, on_end=ended)
    if not started:
        conclude(Failure(STUCK), 0.0)


def _launch_privileged(jobs: Jobs, name: str, plan: Plan, context: Context, conclude: Conclude) -> None:
    """Have root's half run it, by what root's configuration says of this name."""

    def ended(end: Ended) -> None:
        outcome = decode_outcome(end.output) if end.outcome == "done" else Failure(end.message)
        if isinstance(outcome, Sample):
            try:
                encode_request("check", plan.name, Before(outcome.memory))
            except ProtocolError as error:  # no next run could be given it
                outcome = Failure(str(error))
        conclude(outcome, end.finished - end.started)

    try:
        request = encode_request("check", plan.name, Before(context.previous, context.elapsed))
    except ProtocolError as error:
        conclude(Failure(str(error)), 0.0)
        return
    place, limits = context.system.path(*SOCKET), Limits(time=float(plan.options.timeout))
    if not jobs.start_remote(name, place, request, limits=limits, on_end=ended):
        conclude(Failure(STUCK), 0.0)


def outcome_of(plan: Plan, context: Context, ended: Ended) -> Outcome:
    """What a run in a child found out."""
    if plan.way == "job":
        return decode_outcome(ended.output) if ended.outcome == "done" else Failure(ended.message)
    if ended.exit_code is None:
        return Failure(ended.message)
    output, error = (text.decode("utf-8", "replace") for text in (ended.output, ended.error))
    return parse_command(plan, context, Finished(ended.exit_code, output, error, ended.truncated))
