"""When the logs of rules were last rotated: their state, in logrotate's format 2."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from agent.logs.rotate.state import State
from agent.logs.rules import place
from agent.logs.rules.ear import Ear
from kit.errors import HostwardError


def read_state(folder: Path, ear: Ear) -> State:
    """The state in `folder`; nothing is known where there is none. `ear` hears what is said of it.

    Raises HostwardError: whoever took a damaged one for an empty one would leave logs that are due.
    """
    state = State(str(folder / place.STATE), ear)
    if not state.read() or ear.errors:
        raise HostwardError(f"{'; '.join(ear.errors)}; without this file every log begins its period anew")
    return state


def last_rotations(folder: Path) -> Callable[[str], float | None]:
    """When each log was last rotated, or first seen. Raises HostwardError."""
    state = read_state(folder, Ear())

    def last(log: str) -> float | None:
        found = state.last(log)
        return None if found is None else float(found.seconds)

    return last
