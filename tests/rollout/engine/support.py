"""Waves that are carried out to their end, and inventories and deploys for them."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from rollout.child import Engine
from rollout.protocol import LOOKED, Answer, Ask, Ended, Looked, Message, Order, Phase

AT_ONCE = {"fake_delay": 0, "fake_delay_jitter": 0}
M = TypeVar("M")


def write(folder: Path, deploy: str, hosts: Mapping[str, Mapping[str, Any]]) -> None:
    """`deploy.py` and `inventory.py` there; hosts of the `@fake` connector answer at once."""
    rows = [(name, {**(AT_ONCE if name.startswith("@fake") else {}), **data}) for name, data in hosts.items()]
    (folder / "inventory.py").write_text(f"hosts = {rows!r}\n")
    (folder / "deploy.py").write_text(deploy)


def carried_out(
    folder: Path,
    answer: Callable[[Ask], Answer] | None = None,
    meanwhile: Callable[[Message], None] | None = None,
    later: Callable[[Ask, list[str]], Answer | None] | None = None,
    between: Callable[[], object] | None = None,
    **order: Any,
) -> list[Message]:
    """Everything that a wave of the folder's deploy says. `meanwhile` sees each message when it comes; `later` may
    say one thing more to each who asked, by what its host has told since. `between` is called after the look.
    """
    given = {"task": "deploy", "inventory": "inventory.py", "deploy": "deploy.py", "folder": str(folder), **order}
    said: list[Message] = []
    open_: list[Ask] = []
    with Engine() as engine, engine.wave(Order(**given), folder / "log") as wave:
        for message in wave.messages():
            assert message is not None
            said.append(message)
            if isinstance(message, Looked):
                if between is not None:
                    between()
                wave.answer(Answer(number=LOOKED, granted=True))
            if isinstance(message, Ask) and answer is not None:
                wave.answer(answer(message))
                open_.append(message)
            for ask in list(open_) if later is not None else ():
                told = [phase.text for phase in of(Phase, said) if phase.host == ask.host]
                if later is not None and (more := later(ask, told)) is not None:
                    wave.answer(more)
                    open_.remove(ask)
            if meanwhile is not None:
                meanwhile(message)
        died = wave.died()
    assert died is None, f"{died}\n{(folder / 'log').read_text()}"
    return said


def of(kind: type[M], said: list[Message]) -> list[M]:
    """The messages of one kind."""
    return [message for message in said if isinstance(message, kind)]


def ended(said: list[Message]) -> dict[str, Ended]:
    """How each host ended. Raises AssertionError unless each was told of once."""
    ends = of(Ended, said)
    found = {end.host: end for end in ends}
    assert len(found) == len(ends)
    return found


@contextmanager
def without_agent() -> Iterator[None]:
    """Nobody's ssh agent and configuration in what is started meanwhile."""
    kept = os.environ.pop("SSH_AUTH_SOCK", None)
    try:
        yield
    finally:
        if kept is not None:
            os.environ["SSH_AUTH_SOCK"] = kept
