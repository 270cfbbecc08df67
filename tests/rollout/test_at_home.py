"""What home learns of a rollout, and what it is asked for."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from kit.homefile import Home, HomeError, open_home
from rollout.home import AtHome
from rollout.journal import rollouts
from tests.collector.support import RealHome, initialise, run, serving
from tests.kit.test_homefile import written
from tests.rollout.support import Bench, ended, until
from wire.rollout import RolloutRecord
from wire.window import LeaseRequest, WindowList

NAMES = [f"{host}.example.net" for host in ("web1", "web2", "web3")]


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[RealHome, str]]:
    """A home that is served, and a token for operators."""
    folder = tmp_path_factory.mktemp("home") / "data"
    initialise(folder, "127.0.0.1")
    token = run("api-token", "create", "--data-dir", str(folder), "--role", "operator").stdout.strip()
    with serving(folder) as home:
        yield home, token


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, real: tuple[RealHome, str]) -> Bench:
    """Three hosts, whose names at home end in example.net, and a home file at its place."""
    home, token = real
    bench = Bench(tmp_path, monkeypatch, {"web": ["web1", "web2", "web3"]})
    place = tmp_path / ".config" / "hostward"
    place.mkdir(parents=True)
    written(place, home.url, ca=str(home.folder / "ca.pem"), token=token)
    return bench


@pytest.fixture
def asking(bench: Bench) -> Iterator[Home]:
    """Home, as another program asks it."""
    home = open_home(bench.folder / ".config" / "hostward" / "home.toml")
    yield home
    home.close()


def test_home_knows_who_did_what_and_has_windows_for_just_the_hosts_of_a_wave(bench: Bench, asking: Home) -> None:
    """By its own names; they are closed when the hosts are well, and also where they are not."""
    (bench.folder / "bad-web2").touch()
    (bench.folder / "reboots").touch()
    said = bench.rollout("--samples", "1", "--every", "10ms", "--batch", "2", code=1).stdout
    assert "home:" not in said
    name = bench.shown()["id"]
    record = asking.get(f"/api/v1/rollouts/{name}", RolloutRecord)
    assert (record.state, record.message) == ("failed", "web2 failed, in batch 1")
    states = {host: one.state for host, one in record.hosts.items()}
    assert states == {NAMES[0]: "done", NAMES[1]: "failed", NAMES[2]: "done"}
    assert (record.hosts[NAMES[0]].before, record.hosts[NAMES[0]].after) == ({"shop": "1"}, {"shop": "2"})
    assert "@" in record.who
    opened = [one for one in asking.get("/api/v1/windows?all=true", WindowList).windows if one.rollout == name]
    assert sorted(one.hosts for one in opened) == [[NAMES[0]], NAMES[1:]]
    assert all(one.closed is not None and name in one.reason for one in opened)
    assert {one.id for one in opened} == {wave.window for wave in record.waves}
    assert not (rollouts() / "leases.json").exists()
    (bench.folder / "bad-web2").unlink()
    bench.run("resume")
    assert asking.get(f"/api/v1/rollouts/{name}", RolloutRecord).state == "done"
    bench.rollout("--no-window", "--limit", "web1")
    every = asking.get("/api/v1/windows?all=true", WindowList).windows
    assert len([one for one in every if one.rollout == bench.shown()["id"]]) == 0


def test_a_place_that_another_administrator_holds_is_waited_for(bench: Bench, asking: Home) -> None:
    """Until it is given back, or over."""
    (bench.folder / "reboots").touch()
    asking.put("/api/v1/leases/reboot", LeaseRequest(holder="theirs/x", places=1, duration=3.0), dict[str, Any])
    said = bench.rollout("--limit", "web1").stdout
    assert "waits for leave to reboot" in said
    assert bench.states() == {"web1": "done"}


def test_a_host_that_home_sees_worse_closes_the_gate(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Though its agent says on the host that all is well."""

    def states(self: AtHome) -> dict[str, str]:
        return dict.fromkeys(NAMES, "down" if bench.ran() else "ok")

    monkeypatch.setattr(AtHome, "states", states)
    said = bench.rollout("--samples", "1", "--every", "10ms", "--patience", "100ms", code=1).stdout
    assert "web1: failed: after the deploy: home has it as down, and had it as ok before" in said
    assert bench.ran() == ["web1"]


def test_a_home_that_is_away_stops_a_rollout_only_where_it_is_required(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is told once; nothing is begun on a host while a required home is away."""
    bench = Bench(tmp_path, monkeypatch, {"web": ["web1", "web2"]})
    file = written(tmp_path, "https://127.0.0.1:9")
    file.write_text(file.read_text().replace('ca = "ca.pem"\n', ""))
    said = bench.rollout("--home", "home.toml", "--home-required", code=3).stdout
    assert "cannot be reached" in said
    assert (bench.ran(), bench.shown()["state"]) == ([], "paused")
    said = bench.rollout("--home", "home.toml").stdout
    assert said.count("cannot be reached") == 1
    assert bench.ran() == ["web1", "web2"]
    assert len(json.loads(bench.run("list", "--json").stdout)) == 2


def away(monkeypatch: pytest.MonkeyPatch, *paths: str) -> list[str]:
    """Have home be away for what is put and posted to paths that begin so. Returns what is tried, as it grows."""
    tried: list[str] = []

    def around(real: Any) -> Any:
        def asked(self: Home, path: str, *rest: Any) -> Any:
            tried.append(path)
            if path.startswith(paths):
                raise HomeError("home cannot be reached: it is not there")
            return real(self, path, *rest)

        return asked

    for name in ("put", "post"):
        monkeypatch.setattr(Home, name, around(getattr(Home, name)))
    return tried


def test_home_is_told_later_what_it_missed(bench: Bench, asking: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    """How a rollout ended, that a run was killed, and that one that nobody runs was aborted: each once."""
    with monkeypatch.context() as patched:
        away(patched, "/api/v1/rollouts")
        bench.rollout("--limit", "web1")
        done = bench.shown()["id"]
        assert bench.run("list", "--json").stderr == ""
        assert f"{done}: home does not know yet that it is done: home cannot be reached" in bench.run("list").stderr
    assert f"{done}: home knows now that it is done" in bench.run("list").stderr
    assert asking.get(f"/api/v1/rollouts/{done}", RolloutRecord).state == "done"
    with monkeypatch.context() as patched:
        tried = away(patched)
        for words in (("list",), ("show",), ("resume",)):
            assert bench.run(*words).stderr == ""
        assert tried == []

    words = ("deploy.py", "-i", "inventory.py", "--yes", "--samples", "0")
    assert ended(bench.begin(*words, kill_after=5)) == -signal.SIGKILL
    killed = bench.run("show")
    name = bench.shown()["id"]
    record = asking.get(f"/api/v1/rollouts/{name}", RolloutRecord)
    assert (record.state, record.message) == ("paused", "its process is gone; resume goes on with it")
    assert f"{name}: home knows now that it is paused" in killed.stderr
    [window] = [one for one in asking.get("/api/v1/windows", WindowList).windows if one.rollout == name]
    assert window.closed is None
    assert "running" in bench.states().values()
    bench.run("abort")
    aborted = asking.get(f"/api/v1/rollouts/{name}", RolloutRecord)
    assert (aborted.state, {one.state for one in aborted.hosts.values()}) == ("aborted", {"failed", "waiting"})
    assert not [one for one in asking.get("/api/v1/windows", WindowList).windows if one.rollout == name]
    assert ended(bench.begin(*words, kill_after=5)) == -signal.SIGKILL
    assert "home knows now that it is paused" in bench.rollout("--limit", "web1").stderr


def test_a_home_file_that_is_gone_stops_nothing(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is told, and forgotten with the rollout's age."""
    with monkeypatch.context() as patched:
        away(patched, "/api/v1/rollouts")
        bench.rollout("--limit", "web1")
    (bench.folder / ".config" / "hostward" / "home.toml").unlink()
    assert "home does not know yet that it is done: " in bench.run("list").stderr
    monkeypatch.setattr("rollout.missed.AGE", -60.0)
    assert bench.run("list").stderr == ""


def test_a_window_that_home_was_away_for_is_opened_once_it_answers(
    bench: Bench, asking: Home, monkeypatch: pytest.MonkeyPatch
) -> None:
    """While the wave runs; a home that refuses it is not asked again."""
    monkeypatch.setattr("rollout.home.RETRY", 0.0)
    real, failing = Home.post, [HomeError("away")]

    def post(self: Home, path: str, *rest: Any) -> Any:
        tried.append(path)
        if failing:
            raise failing.pop()
        return real(self, path, *rest)

    tried: list[str] = []
    monkeypatch.setattr(Home, "post", post)
    said = bench.rollout("--limit", "web1").stdout
    assert "home: away" in said
    assert "home answers again" in said
    [window] = [one for one in asking.get("/api/v1/windows?all=true", WindowList).windows if one.id == opened(bench)]
    assert (window.hosts, window.closed is None) == ([NAMES[0]], False)
    assert len(tried) == 2
    failing.append(HomeError("no", status=403))
    bench.rollout("--limit", "web1")
    assert (len(tried), opened(bench)) == (3, None)


def test_a_window_that_ends_within_a_wave_is_opened_anew(bench: Bench, asking: Home) -> None:
    """This machine slept, or somebody closed it; the hosts are still worked on."""
    (bench.folder / "waits").touch()
    words = ("deploy.py", "-i", "inventory.py", "--yes", "--samples", "0", "--limit", "web1", "--window", "1s")
    pid = bench.begin(*words)
    try:
        until(lambda: bench.run("list", "--json").stdout != "[]\n" and opened(bench), "there is a window")
        first = opened(bench)
        asking.delete(f"/api/v1/windows/{first}")
        until(lambda: opened(bench) != first, "there is another one")
        (bench.folder / "waits").unlink()
        assert ended(pid) == 0
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
    every = asking.get("/api/v1/windows?all=true", WindowList).windows
    assert [one.closed is not None for one in every if one.rollout == bench.shown()["id"]] == [True, True]


def test_what_home_refuses_is_told_once_and_leases_are_still_asked_for_there(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It answers: two rollouts that count their places elsewhere would have two hosts reboot at a time."""
    monkeypatch.setattr("rollout.home.RETRY", 0.0)
    real = Home.put
    tried: list[str] = []

    def put(self: Home, path: str, *rest: Any) -> Any:
        tried.append(path.split("/")[3])
        if path.startswith("/api/v1/rollouts/"):
            raise HomeError("this record is none", status=422)
        return real(self, path, *rest)

    monkeypatch.setattr(Home, "put", put)
    (bench.folder / "reboots").touch()
    said = bench.rollout("--limit", "web1", "--no-window").stdout
    assert (said.count("home: this record is none"), "home answers again" in said) == (1, False)
    assert tried.count("rollouts") == 3  # as it began, after its wave, and at its end
    assert "leases" in tried
    assert not (rollouts() / "leases.json").exists()


def opened(bench: Bench) -> str | None:
    """The window of the newest rollout's one wave."""
    [wave] = bench.shown()["waves"]
    window: str | None = wave.get("window")
    return window
