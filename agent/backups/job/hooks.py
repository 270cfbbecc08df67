"""Running the programs before and after a job."""

from __future__ import annotations

import selectors
from collections.abc import Mapping, Sequence

from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs


def run_hook(command: Sequence[str], *, timeout: float, environment: Mapping[str, str]) -> str:
    """Why it failed, in a sentence; empty where it did well. `environment` is added to a minimal one.

    What it prints is not kept but for the last line of its standard error, which is in the sentence.
    """
    ends: list[Ended] = []
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        jobs.start_command("hook", command, limits=Limits(time=timeout), environment=environment, on_end=ends.append)
        try:
            while not ends:
                jobs.wait(None)
        finally:
            jobs.stop(grace=1.0)
    (end,) = ends
    if end.outcome == "done":
        return ""
    return f"{command[0]} {end.outcome.replace('_', ' ')}: {end.message}"
