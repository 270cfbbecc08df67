"""What the check of updates leaves in the state."""

from __future__ import annotations

import msgspec

from agent.checks.packages import UpdatesMemory
from agent.checks.runner import Memory
from agent.state import State, StoredCheck
from wire.report import CheckState


def saw(state: State, memory: UpdatesMemory, *, time: float = 1_800_000_000.0) -> None:
    """As if the check had run."""
    stands = CheckState(name="updates", kind="updates", state="ok", message="", since=time, time=time)
    kept = Memory(kind="updates", state="ok", since=time, previous=msgspec.to_builtins(memory))
    with state.transaction():
        state.save_check(StoredCheck(stands, msgspec.msgpack.encode(kept), "boot"))
