"""The agent's configuration is looked at before anything is pushed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import pytest

from deploys.kit import agent_check


def test_hosts_with_the_same_files_have_them_looked_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However many are prepared side by side; each gets the answer."""
    real, looks, together = agent_check.output, [], Barrier(8)

    def output(words: list[str], timeout: float) -> bytes:
        looks.append(words)
        return real(words, timeout=timeout)

    def host(_: int) -> list[str]:
        together.wait(60)
        return agent_check.mistakes({"agent.toml": "[checks.disk]\nevry = 3\n"})

    monkeypatch.setattr(agent_check, "output", output)
    with ThreadPoolExecutor(8) as pool:
        found = list(pool.map(host, range(8)))
    assert len(looks) == 1
    assert all(answer == found[0] for answer in found)
    assert found[0][0].startswith("agent.toml:2: ")
    assert "evry" in found[0][0]
