"""The program that says whether what came back is what it should be."""

from __future__ import annotations

import selectors
from pathlib import Path

from agent.config.drills import Assertion
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from kit.terminal import bounded

FOLDER = "HOSTWARD_DRILL_FOLDER"
"""The variable by which it is told where everything lies."""
_GRACE = 2.0
_SHOWN = 200


def ask_program(assertion: Assertion, folder: Path) -> str:
    """What is wrong with what came back into `folder`; empty where nothing is. For the main thread."""
    ends: list[Ended] = []
    limits = Limits(time=float(assertion.timeout))
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        jobs.start_command(
            "assertion", assertion.command, limits=limits, environment={FOLDER: str(folder)}, on_end=ends.append
        )
        try:
            while not ends:
                jobs.wait(None)
        finally:
            jobs.stop(_GRACE)
    return judge_program(ends[0], assertion.expect)


def judge_program(ended: Ended, expect: str | None) -> str:
    """What is wrong with how a program ended and with what it printed; empty where it is as expected (pure)."""
    if ended.outcome != "done":
        return f"the program failed: {ended.message}"
    said = bounded(ended.output.decode("utf-8", "replace").partition("\n")[0].strip(), _SHOWN)
    return "" if expect is None or said == expect else f'the program printed "{said}"; expected "{expect}"'
