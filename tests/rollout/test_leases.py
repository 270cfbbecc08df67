"""Leave to do what only so many hosts may do at one time."""

from __future__ import annotations

import socket
import stat
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from types import SimpleNamespace

import msgspec
import pytest

from kit.errors import HostwardError
from rollout import leases
from rollout.home import AtHome
from rollout.leases import FileStore, HomeStore, Leases
from rollout.protocol import Answer
from tests.kit.test_homefile import written

HOLDER = """
import sys
from pathlib import Path
from types import SimpleNamespace
from rollout.leases import FileStore
print(FileStore(Path(sys.argv[1])).take("reboot", "dead/run", 1), flush=True)
sys.stdin.read()
"""


def test_a_dead_run_holds_its_place_no_longer_than_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that was killed with the place in its hands."""
    file = tmp_path / "folder" / "leases.json"
    with subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "True\n"
        process.kill()
    store = FileStore(file)
    assert not store.take("reboot", "next/run", 1)
    assert store.take("other", "next/run", 1)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    held = msgspec.json.decode(file.read_bytes(), type=dict[str, dict[str, float]])
    end = held["reboot"]["dead/run"]
    monkeypatch.setattr("rollout.leases.time", SimpleNamespace(time=lambda: end))
    assert store.take("reboot", "next/run", 1)


def test_as_many_hold_a_place_as_there_are(tmp_path: Path) -> None:
    """Whoever asks at the same time."""
    store = FileStore(tmp_path / "leases.json")
    with ThreadPoolExecutor(8) as pool:
        held = list(pool.map(lambda number: store.take("reboot", f"run/{number}", 3), range(8)))
    assert sum(held) == 3


def test_a_file_that_cannot_be_used_is_told(tmp_path: Path) -> None:
    """And neither overwritten nor taken for an empty one."""
    file = tmp_path / "leases.json"
    file.write_text("[]")
    with pytest.raises(HostwardError, match="cannot be read"):
        FileStore(file).take("reboot", "run/a", 1)
    assert file.read_text() == "[]"
    (tmp_path / "file").write_text("")
    with pytest.raises(HostwardError, match="cannot be written"):
        FileStore(tmp_path / "file" / "leases.json").take("reboot", "run/a", 1)


class Counted:
    """A store with one place, which counts how often it is asked."""

    def __init__(self) -> None:
        self.held: set[str] = set()
        self.asked = 0
        self.broken = False

    def take(self, name: str, holder: str, places: int) -> bool:
        self.asked += 1
        self._fail()
        if holder not in self.held and len(self.held) >= places:
            return False
        self.held.add(holder)
        return True

    def give_back(self, name: str, holder: str) -> None:
        self._fail()
        self.held.discard(holder)

    def _fail(self) -> None:
        if self.broken:
            raise HostwardError("the store is broken")


def test_hosts_wait_in_the_order_in_which_they_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    """And the store is asked for the first of them alone, now and then; what is held is kept for longer."""
    now = 1000.0
    monkeypatch.setattr("rollout.leases.uptime", lambda: now)
    store = Counted()
    wave = Leases(store, "run", {})
    for number, host in enumerate("abc"):
        wave.ask(number, host, "reboot")
    assert wave.answers() == [Answer(number=0, granted=True, until=now + leases.DURATION)]
    asked = store.asked
    assert [wave.answers() for _ in range(50)] == [[]] * 50
    assert store.asked == asked
    now += leases.ASK
    assert wave.answers() == []
    assert store.asked == asked + 1
    wave.give_back(0)
    assert [answer.number for answer in wave.answers()] == [1]
    asked = store.asked
    now += leases.RENEW
    assert wave.answers() == [Answer(number=1, granted=True, until=now + leases.DURATION)]
    assert store.asked == asked + 2  # the one that is held, and the first that waits
    wave.end()
    assert (store.held, wave.waiting()) == (set(), [])


def test_a_place_that_was_lost_is_told_and_asked_for_again(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine slept, and another rollout got it. A store that fails takes leave from nobody, and gives none."""
    now = 1000.0
    monkeypatch.setattr("rollout.leases.uptime", lambda: now)
    store = Counted()
    wave = Leases(store, "run", {})
    wave.ask(1, "a", "reboot")
    assert [answer.granted for answer in wave.answers()] == [True]
    store.held = {"other/x"}
    now += leases.RENEW
    [lost] = wave.answers()
    assert (lost.number, lost.granted, lost.reason) == (1, False, "the place to reboot was lost to another host")
    store.held = set()
    now += leases.RENEW
    assert wave.answers() == [Answer(number=1, granted=True, until=now + leases.DURATION)]
    now += leases.RENEW
    store.broken = True
    wave.ask(2, "b", "reboot")
    assert wave.answers() == [Answer(number=2, granted=False, reason="the store is broken")]
    assert wave.waiting() == []
    wave.give_back(1)
    wave.end()


@pytest.mark.parametrize("required", [False, True])
def test_a_home_that_is_away_lets_this_machine_count_unless_it_is_required(tmp_path: Path, required: bool) -> None:
    """It is told once; a required home is waited for."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
        (tmp_path / "ca.pem").write_text("")
        home = written(tmp_path, url)
        home.write_text(home.read_text().replace('ca = "ca.pem"\n', ""))
        said: list[str] = []
        at_home = AtHome(home, required=required, complain=said.append)
        file = FileStore(tmp_path / "leases.json")
        store = HomeStore(at_home, file)
        assert store.take("reboot", "run/a", 1) is not required
        assert not store.take("reboot", "run/b", 1)
        assert len(said) == 1
        assert "cannot be reached" in said[0]
        store.give_back("reboot", "run/a")
        assert file.take("reboot", "other/c", 1)
        at_home.close()
