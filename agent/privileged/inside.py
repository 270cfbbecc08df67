"""What runs inside of the sandbox, as the user that the table `privileged` names: the job or the check itself.

Root's half hands the work over on standard input, so that neither arguments nor environment, which others can see,
hold any of it; the reply goes to standard output. `python -I -m agent.privileged.inside` is started by systemd-run.
"""

from __future__ import annotations

import os
import selectors
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from types import FrameType

import msgspec

from agent.checks.contract import Context
from agent.checks.launch import launch
from agent.checks.runner import Failure, Outcome, Plan, collect_inline, decode_call, encode_outcome
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.privileged.protocol import Reply, decode_before, encode_reply
from kit.units import format_duration


class Work(msgspec.Struct, frozen=True, kw_only=True):
    """What root's half asks for. Only root can have written it, but for `before`."""

    command: tuple[str, ...] = ()
    """A job's program."""
    environment: dict[str, str] = {}
    timeout: float = 0.0
    """Seconds, of a job."""
    call: bytes = b""
    """A check, by agent.checks.runner.encode_call."""
    before: bytes = b""
    """As the daemon sent it (agent.privileged.protocol.Before)."""


class _TimeIsUp(BaseException):
    """Not an Exception: no check may take it for a failure of what it measures."""


def run(work: Work) -> Reply:
    """Do the work, within its time."""
    return _check(work) if work.call else _job(work)


def _job(work: Work) -> Reply:
    ends: list[Ended] = []
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        limits = Limits(time=work.timeout)
        jobs.start_command("job", work.command, limits=limits, environment=work.environment, on_end=ends.append)
        while not ends:
            jobs.wait(None)
    return _reply(ends[0])


def _reply(ended: Ended) -> Reply:
    assert ended.outcome != "lost"  # that is how calls can end, and this was a program
    return Reply(
        outcome=ended.outcome,
        exit_code=ended.exit_code,
        output=ended.output,
        error=ended.error,
        truncated=ended.truncated,
        cpu=ended.cpu,
        peak_memory=ended.peak_memory,
        message=ended.message,
    )


def _check(work: Work) -> Reply:
    plan, context = decode_call(work.call, waited=False)  # the daemon grants time for the start beside the limit
    before = decode_before(work.before)
    context = replace(context, previous=before.previous, elapsed=before.elapsed)
    outcome = _program(plan, context) if plan.way == "command" else _python(plan, context)
    usage = os.times()
    cpu = usage.user + usage.system + usage.children_user + usage.children_system
    return Reply(outcome="done", output=encode_outcome(outcome), cpu=cpu)


def _program(plan: Plan, context: Context) -> Outcome:
    outcomes: list[Outcome] = []
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        launch(jobs, "check", plan, context, lambda outcome, _duration: outcomes.append(outcome))
        while not outcomes:
            jobs.wait(None)
    return outcomes[0]


def _python(plan: Plan, context: Context) -> Outcome:
    """Here and now: this process is the child that can be killed."""
    limit = plan.options.timeout
    try:
        with _limited(limit):
            return collect_inline(plan, context)
    except _TimeIsUp:
        return Failure(f"stopped at its time limit of {format_duration(limit)}")


@contextmanager
def _limited(seconds: float) -> Iterator[None]:
    def stop(_number: int, _frame: FrameType | None) -> None:
        raise _TimeIsUp

    signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)


def _ignore(_number: int, _frame: FrameType | None) -> None:
    """systemd signals all of the cgroup: the program ends, and that is told. Unlike SIG_IGN this is not inherited."""


def main() -> None:
    """Read the work, do it, write the reply."""
    signal.signal(signal.SIGTERM, _ignore)
    work = msgspec.msgpack.decode(sys.stdin.buffer.read(), type=Work)
    reply = encode_reply(run(work))
    with suppress(BrokenPipeError):  # Root's half has gone: nobody wants to know.
        sys.stdout.buffer.write(reply)
        sys.stdout.buffer.flush()


if __name__ == "__main__":
    main()
