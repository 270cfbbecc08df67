"""Changes of the agent and of home hold their host, and outlive a connection that is lost. The host is simulated."""

from __future__ import annotations

from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any, cast

import pytest
from pyinfra.api.host import Host

from deploys.facts.agent import Python
from deploys.operations import change, home, lease, release
from deploys.operations.run import Ran

HOST = cast(Host, SimpleNamespace(name="one"))


@pytest.mark.parametrize("kind", [home, release], ids=["home", "agent"])
def test_a_change_holds_the_host_and_is_judged_over_a_lost_connection(
    monkeypatch: pytest.MonkeyPatch, kind: Any
) -> None:
    """And gives it back."""
    said: list[str] = []
    answers: Iterator[Ran | Exception] = iter(
        [EOFError("gone"), TimeoutError(), Ran(True, '{"ok":true,"reason":"","outcome":""}', "")]
    )

    def ran(_host: Host, script: str, **_: object) -> Ran:
        if "cat " not in script:
            return Ran(True, "", "")
        answer = next(answers)
        if isinstance(answer, Exception):
            raise answer
        return answer

    monkeypatch.setattr(change, "ran", ran)

    def again(*_: object) -> bool:
        said.append("again")
        return True

    for name in ("run", "write"):
        monkeypatch.setattr(change, name, lambda *_, **__: "")
    monkeypatch.setattr(kind, "note", lambda *_: None)
    monkeypatch.setattr(lease, "take", lambda *_: said.append("taken"))
    monkeypatch.setattr(change, "reconnect", again)
    monkeypatch.setattr(lease, "give_back", lambda *_: said.append("given back"))
    python = Python("/usr/bin/python3", (3, 11))
    if kind is home:
        home.bring(HOST, None, python)
    else:
        release.settle(HOST, python)
    assert said == ["taken", "again", "again", "given back"]
