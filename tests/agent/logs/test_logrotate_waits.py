"""`hostward logrotate` beside an agent that follows logs: it compresses what was read, and not before."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from agent.cli import logrotate
from tests.agent.logs.test_followers import Follower


class Nights:
    """A log that is rotated, when it is told to."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        folder.chmod(0o755)
        self.agent = folder / "agent"
        self.log = folder / "log/app.log"
        self.log.parent.mkdir(0o755)
        self._folder = folder
        monkeypatch.setattr(logrotate, "AGENT", str(self.agent))
        (folder / "conf").write_text(f"{self.log} {{\n rotate 9\n compress\n create\n}}\n")
        (folder / "conf").chmod(0o644)

    def night(self) -> None:
        assert logrotate.run(["--force", "--state", str(self._folder / "status"), str(self._folder / "conf")]) == 0

    def write(self, count: int) -> None:
        """Add so many lines, each of them another."""
        with self.log.open("a") as stream:
            stream.writelines(f"line {time.monotonic_ns()}\n" for _ in range(count))

    def names(self) -> list[str]:
        return sorted(path.name for path in self.log.parent.iterdir())


@pytest.fixture
def nights(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Nights:
    return Nights(tmp_path, monkeypatch)


def test_without_a_check_that_follows_it_a_log_is_compressed_at_once(nights: Nights, tmp_path: Path) -> None:
    """As logrotate does it, with an agent and without."""
    nights.log.write_text("line\n")
    nights.night()
    assert nights.names() == ["app.log", "app.log.1.gz"]
    Follower(nights.agent, tmp_path / "other.log").look(time.time())
    nights.log.write_text("line\n")
    nights.night()
    assert nights.names() == ["app.log", "app.log.1.gz", "app.log.2.gz"]


def test_a_check_that_stands_still_finds_each_line_when_it_goes_on(nights: Nights) -> None:
    """Nothing is overwritten, nothing is counted twice, and the next run compresses what was read by then."""
    check = Follower(nights.agent, nights.log)
    nights.write(5)
    assert check.look(time.time()) == 5
    nights.write(10)
    nights.night()
    assert nights.names() == ["app.log", "app.log.1"]
    assert check.look(time.time() + 10) == 15
    nights.write(20)
    nights.night()
    assert nights.names() == ["app.log", "app.log.1", "app.log.2.gz"]
    assert check.look(time.time() + 20) == 35
    nights.night()
    assert check.look(time.time() + 30) == 35
    assert nights.names() == ["app.log", "app.log.1.gz", "app.log.2.gz", "app.log.3.gz"]
