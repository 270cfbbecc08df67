"""Whole rollouts: in waves, stopped by failures, killed, paused, aborted and resumed."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from pathlib import Path

import pytest

from kit.errors import HostwardError
from rollout.child import Engine
from rollout.cli.inventory import dry
from rollout.journal import ids, rollouts
from rollout.leases import FileStore
from rollout.protocol import Order
from tests.rollout.support import Bench, ended, until

WEB = ["web1", "web2", "web3", "web4"]


@pytest.fixture
def bench(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Bench:
    """Four hosts of one group, and one of another."""
    return Bench(tmp_path, monkeypatch, {"web": WEB, "db": ["db1"]}, {"web1": "a", "web2": "b"})


def test_canaries_go_first_and_nobody_twice(bench: Bench) -> None:
    """The plan is what happens; the second rollout is another one."""
    planned = bench.run("deploy.py", "-i", "inventory.py", "--plan", "--json", "--batch", "3").stdout
    waves = [wave["hosts"] for wave in json.loads(planned)["waves"]]
    assert waves == [["web1"], ["web2", "web3", "web4"], ["db1"]]
    shown = bench.run("deploy.py", "-i", "inventory.py", "--plan", "--batch", "3").stdout
    assert "the group db is one host: all of it goes at once" in shown
    assert bench.ran() == []
    said = bench.rollout("--batch", "3").stdout
    assert bench.ran() == [host for wave in waves for host in wave]
    assert "5 done" in said
    assert "shop 1 to 2" in said
    assert "web1: web1 was asked\n" in said
    assert bench.shown()["state"] == "done"
    log = next(rollouts().glob("*/wave-1.log"))
    assert log.read_text() == "what libraries print\n"
    lines = bench.rollout("--limit", "db", "--json").stdout.splitlines()
    kinds = [json.loads(line).get("type") for line in lines]
    assert kinds[:4] == ["started", "wave_began", "host_began", "phase"]
    assert json.loads(lines[-4])["data"] == {"asked": "db1"}
    assert kinds[-5:] == ["host_ended", "result", "wave_ended", "say", "ended"]
    assert bench.ran()[5:] == ["db1"]
    assert len(json.loads(bench.run("list", "--json").stdout)) == 2


def test_groups_that_everybody_is_in_are_not_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As that of the inventory's own name: that one host is all of it says nothing."""
    bench = Bench(tmp_path, monkeypatch, {"web": ["web1"]}, {})
    shown = bench.run("deploy.py", "-i", "inventory.py", "--plan").stdout
    assert "1 host in 1 wave" in shown
    assert "goes at once" not in shown


def test_a_failing_canary_stops_all_and_a_resume_reruns_only_what_failed(bench: Bench) -> None:
    """Nobody else is touched; what is mended goes on from there. What hosts say steers no terminal."""
    (bench.folder / "bad-web1").touch()
    failed = bench.rollout(code=1)
    assert "it is\N{REPLACEMENT CHARACTER}[2J broken (rolled back)" in failed.stdout
    assert "\x1b" not in failed.stdout
    assert "next: hostward-rollout resume" in failed.stdout
    assert bench.ran() == ["web1"]
    assert bench.states() == {"web1": "failed", **dict.fromkeys([*WEB[1:], "db1"], "waiting")}
    (bench.folder / "bad-web1").unlink()
    (bench.folder / "away-web3").touch()
    bench.run("resume", code=1)
    assert bench.states() == {
        "web1": "done",
        "web2": "done",
        "web3": "unreachable",
        "web4": "waiting",
        "db1": "waiting",
    }
    (bench.folder / "away-web3").unlink()
    bench.run("resume")
    assert bench.ran() == ["web1", *WEB, "db1"]
    assert "all hosts are done" in bench.run("resume").stdout


def test_a_rollout_that_is_done_does_not_hide_an_older_one_that_is_not(bench: Bench) -> None:
    """`resume` without an id is of the newest; where that is done it names those that may be gone on with."""
    (bench.folder / "bad-web1").touch()
    bench.rollout(code=1)
    (bench.folder / "bad-web1").unlink()
    first = bench.shown()["id"]
    bench.rollout()
    said = bench.run("resume").stdout
    assert "all hosts are done" in said
    assert f"{first} was begun and is not done: hostward-rollout resume {first}" in said
    bench.run("resume", first)
    assert "was begun" not in bench.run("resume").stdout


def test_failures_that_are_allowed_let_the_others_go_on_and_are_told(bench: Bench) -> None:
    """The exit code says that not all is done."""
    (bench.folder / "bad-web2").touch()
    said = bench.rollout("--max-failures", "20%", code=3)
    assert bench.states() == {**dict.fromkeys([*WEB, "db1"], "done"), "web2": "failed"}
    assert "1 failed" in said.stdout


def test_a_wave_whose_process_dies_fails_with_all_that_was_not_done(bench: Bench) -> None:
    """And is told with where to look."""
    (bench.folder / "dies").touch()
    said = bench.rollout("--canary", "0", "--batch", "2", code=1).stdout
    assert "the process of the wave ended with 9; what it printed is in" in said
    assert bench.states() == {
        "web1": "failed",
        "web2": "failed",
        "web3": "waiting",
        "web4": "waiting",
        "db1": "waiting",
    }


def test_hosts_that_may_not_reboot_together_take_turns(bench: Bench) -> None:
    """And what another run holds is waited for, or else nothing would be."""
    (bench.folder / "reboots").touch()
    said = bench.rollout("--canary", "0", "--batch", "3").stdout
    assert said.count("waits for leave to reboot") == 5
    assert set(bench.states().values()) == {"done"}
    assert json.loads((rollouts() / "leases.json").read_text()) == {"reboot": {}}


def test_a_place_that_is_waited_for_takes_none_of_the_waves_time(
    bench: Bench, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Another run's host reboots for longer than the wave may take."""
    monkeypatch.setattr("rollout.runner.REFUSAL", 0.2)
    monkeypatch.setattr("rollout.leases.ASK", 0.1)
    (bench.folder / "reboots").touch()
    rollouts().mkdir(parents=True)
    store = FileStore(rollouts() / "leases.json")
    assert store.take("reboot", "other/host", 1)
    later = threading.Timer(2.5, store.give_back, ["reboot", "other/host"])
    later.start()
    try:
        bench.rollout("--canary", "0", "--batch", "1", "--timeout", "1s")
    finally:
        later.join()
    assert set(bench.states().values()) == {"done"}


def test_a_host_that_lost_its_place_waits_for_it_anew(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Another rollout got it in the meantime; it is given back in the end."""
    monkeypatch.setattr("rollout.leases.RENEW", 0.1)
    monkeypatch.setattr("rollout.leases.ASK", 0.1)
    for name in ("reboots", "loses"):
        (bench.folder / name).touch()
    store = FileStore(rollouts() / "leases.json")
    output = bench.folder / "output"
    output.touch()
    words = ["deploy.py", "-i", "inventory.py", "--yes", "--no-home", "--samples", "0", "--limit", "web1"]
    pid = bench.begin(*words, output=output)
    try:
        until(lambda: "has leave" in output.read_text(), "the place is held")
        holder = f"{bench.shown()['id']}/web1"

        def taken() -> bool:
            store.give_back("reboot", holder)
            return store.take("reboot", "other/x", 1)

        until(taken, "another has the place")
        until(lambda: "lost its leave" in output.read_text(), "it is told")
        store.give_back("reboot", "other/x")
        assert ended(pid) == 0
        pid = 0
    finally:
        if pid:
            os.kill(pid, signal.SIGKILL)
    assert json.loads((rollouts() / "leases.json").read_text()) == {"reboot": {}}


def test_a_wave_that_takes_too_long_is_ended_and_says_so(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whatever hangs in its process."""
    monkeypatch.setattr("rollout.runner.REFUSAL", 0.2)
    (bench.folder / "slow").touch()
    said = bench.rollout("--timeout", "1s", code=1).stdout
    assert "web1: failed: the wave did not come to its end within 1 s" in said


KILLS = range(1, 18)
"""Every event of two waves with a gate, from the first to the last, and one that does not come."""


def test_a_run_that_is_killed_at_any_event_resumes_where_it_was(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is done is not done again, what ran is, every gate is passed, and the journal is whole."""
    killed = 0
    for events in KILLS:
        bench = Bench(tmp_path_factory.mktemp("killed"), monkeypatch, {"web": ["web1", "web2"]})
        words = ["deploy.py", "-i", "inventory.py", "--yes", "--no-home", "--samples", "1", "--every", "10ms"]
        code = ended(bench.begin(*words, kill_after=events))
        if code == 0:
            break
        assert code == -signal.SIGKILL
        killed += 1
        before = bench.shown()
        done = [name for name, host in before["hosts"].items() if host["state"] == "done"]
        first = bench.ran()
        if events == KILLS[0]:
            assert before["state"] == "paused"
        bench.run("resume")
        again = bench.ran()[len(first) :]
        assert not set(again) & set(done)
        assert [*done, *again] == ["web1", "web2"]
        after = bench.shown()
        assert after["state"] == "done"
        assert [wave["state"] for wave in after["waves"]] == ["done"] * len(after["waves"])
        for host in after["hosts"].values():
            assert (host["state"], host["before"], host["after"]) == ("done", {"shop": "1"}, {"shop": "2"})
    else:
        pytest.fail("there are more events than kills")
    assert killed == len(KILLS) - 1


def test_the_process_of_a_wave_ends_with_its_runner(bench: Bench) -> None:
    """Nobody else may run it before; then it is resumed."""
    (bench.folder / "slow").touch()
    pid = bench.begin("deploy.py", "-i", "inventory.py", "--yes", "--no-home", "--samples", "0")
    try:
        until(lambda: bench.ran() == ["web1"], "the canary is at work")
        until(lambda: bench.states()["web1"] == "running", "the journal has it")
        assert "being run by another process" in bench.run("resume", code=11).stderr
        assert engines(bench)
    finally:
        os.kill(pid, signal.SIGKILL)
        ended(pid)
    until(lambda: not engines(bench), "the process of the wave ended by itself")
    assert (bench.shown()["state"], bench.states()["web1"]) == ("paused", "running")
    (bench.folder / "slow").unlink()
    bench.run("resume")
    assert bench.ran() == ["web1", *WEB, "db1"]


def test_one_interrupt_pauses_after_the_wave_and_two_stop_at_once(bench: Bench) -> None:
    """A terminal that is closed counts as one, and a rollout that nobody reads goes on. All can be resumed."""
    (bench.folder / "slow").touch()
    output = bench.folder / "output"
    words = ["deploy.py", "-i", "inventory.py", "--yes", "--no-home", "--samples", "0", "--json"]
    pid = bench.begin(*words, output=output)
    until(lambda: bench.ran() == ["web1"], "the canary is at work")
    os.kill(pid, signal.SIGHUP)
    until(lambda: "pausing after this wave" in output.read_text(), "it is told")
    os.kill(pid, signal.SIGINT)
    assert ended(pid) == 1
    last = json.loads(output.read_text().splitlines()[-1])
    assert (last["type"], last["state"]) == ("ended", "aborted")
    assert bench.states()["web1"] == "failed"
    assert "does not run" in bench.run("pause", code=2).stderr
    pid = bench.begin("resume")
    until(lambda: bench.ran() == ["web1", "web1"], "the canary is at work again")
    assert "pauses after the wave" in bench.run("pause").stdout
    assert "stops now" in bench.run("abort").stdout
    assert ended(pid) == 1
    (bench.folder / "slow").unlink()
    (bench.folder / "reboots").touch()
    leases = rollouts() / "leases.json"
    leases.write_text(json.dumps({"reboot": {"other/run": time.time() + 60}}))
    pid = bench.begin("resume")
    until(lambda: len(bench.ran()) == 3, "the canary waits for leave")
    bench.run("pause")
    leases.write_text("{}")
    assert ended(pid) == 3
    assert (bench.shown()["state"], bench.states()["web1"], bench.states()["web2"]) == ("paused", "done", "waiting")
    assert "aborted" in bench.run("abort").stdout
    bench.run("resume")
    assert set(bench.states().values()) == {"done"}


def test_a_reader_that_had_enough_stops_no_rollout(bench: Bench) -> None:
    """As `head` does; a rollout would otherwise be cut off in the middle of a wave."""
    reading, writing = os.pipe()
    os.close(reading)
    pid = bench.begin(
        "deploy.py", "-i", "inventory.py", "--yes", "--no-home", "--samples", "0", output=Path(f"/dev/fd/{writing}")
    )
    os.close(writing)
    assert ended(pid) == 0
    assert set(bench.states().values()) == {"done"}


def test_a_wave_begins_no_more_hosts_once_too_many_failed(bench: Bench) -> None:
    """Those that were not begun are as before, and come first when it is resumed."""
    (bench.folder / "bad-web2").touch()
    words = ("--canary", "0", "--batch", "100%", "--parallel", "1", "--limit", "web")
    said = bench.rollout(*words, code=1).stdout
    assert "web2 failed, in batch 1" in said
    assert bench.states() == {"web1": "done", "web2": "failed", "web3": "waiting", "web4": "waiting"}
    (bench.folder / "bad-web2").unlink()
    bench.run("resume")
    assert bench.ran() == ["web1", "web2", "web2", "web3", "web4"]


def test_where_nothing_was_changed_nobody_looks_again(bench: Bench) -> None:
    """As in a rollout that was done before. A host that was begun before a kill may have been changed."""
    words = ("--samples", "2", "--every", "10ms", "--limit", "web1", "--json")
    assert '"gate_began"' in bench.rollout(*words).stdout
    (bench.folder / "unchanged").touch()
    assert '"gate_began"' not in bench.rollout(*words).stdout
    (bench.folder / "dies").touch()
    bench.rollout(*words, code=1)
    (bench.folder / "dies").unlink()
    assert '"gate_began"' in bench.run("resume", "--json").stdout


def test_a_gate_waits_until_checks_have_run_since_the_deploy(bench: Bench) -> None:
    """Results of before it say nothing. What does not come while there is patience is waited for no longer."""
    (bench.folder / "lazy-web1").touch()
    words = ("--samples", "1", "--every", "10ms", "--patience", "30s", "--limit", "web1")
    assert "web1: waits: shop has not run since the deploy" in bench.rollout(*words).stdout
    assert (bench.folder / "lazy-web1").read_text().count("looked") > 3
    (bench.folder / "lazy-web1").write_text("")
    bench.rollout(*words[:4], "--patience", "1ms", *words[-2:])
    assert (bench.folder / "lazy-web1").read_text().count("looked") == 2  # before, and once afterwards


def test_a_gate_stays_closed_for_an_agent_that_is_worse_than_before(bench: Bench) -> None:
    """The canary's check turns critical while the deploy runs, and the next wave does not begin."""
    (bench.folder / "worse-web1").touch()
    words = ("--samples", "2", "--every", "10ms", "--patience", "300ms")
    said = bench.rollout(*words, code=1).stdout
    assert "after the deploy: shop is critical (m)" in said
    assert bench.ran() == ["web1"]
    assert bench.states() == {"web1": "failed", **dict.fromkeys([*WEB[1:], "db1"], "waiting")}
    assert bench.shown()["hosts"]["web1"]["changed"] == 1
    (bench.folder / "worse-web1").unlink()
    bench.run("resume")
    assert set(bench.states().values()) == {"done"}


def test_a_gate_waits_for_an_inventory_that_cannot_be_had(bench: Bench) -> None:
    """As home's, while home is away: nothing is lost by then, and what was changed is still to be looked at."""
    (bench.folder / "forgets").touch()
    bench.rollout("--samples", "2", "--every", "10ms", "--patience", "10s")
    assert not (bench.folder / "forgets").exists()
    assert set(bench.states().values()) == {"done"}


@pytest.mark.parametrize("samples", ["0", "1"])
def test_an_inventory_that_fails_before_a_later_wave_pauses_the_rollout(bench: Bench, samples: str) -> None:
    """It says why and how to go on; nobody has failed by it. At the first wave it is a refusal."""
    words = ("--samples", samples, "--every", "10ms", "--batch", "2")
    (bench.folder / "refuses").write_text("now")
    refused = bench.rollout(*words, code=2)
    assert "home cannot be asked for its hosts: HTTP 503" in refused.stderr
    assert (bench.shown()["state"], bench.ran()) == ("failed", [])
    (bench.folder / "refuses").write_text("later")
    paused = bench.rollout(*words, code=3).stdout
    shown = bench.shown()
    assert (shown["state"], bench.ran()) == ("paused", ["web1"])
    assert shown["message"] == "home cannot be asked for its hosts: HTTP 503"
    assert f"next: hostward-rollout resume {shown['id']}" in paused
    assert bench.states() == {"web1": "done", **dict.fromkeys([*WEB[1:], "db1"], "waiting")}
    (bench.folder / "refuses").write_text("now")
    if samples == "0":
        (bench.folder / "exits").touch()
        said = bench.run("resume", code=3).stdout
        assert "nothing was begun on the hosts: the process of the wave ended with 9" in said
    bench.run("resume", code=3)
    (bench.folder / "refuses").unlink()
    bench.run("resume")
    assert bench.ran() == [*WEB, "db1"]


@pytest.mark.parametrize("words", [("--plan",), ("--yes",)])
def test_an_inventory_that_hangs_is_given_up(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, words: tuple[str, ...]
) -> None:
    """In a sentence, and nothing was done."""
    monkeypatch.setattr("rollout.cli.inventory.READING", 0.3)
    (bench.folder / "hangs").write_text("describe")
    done = bench.run("deploy.py", "-i", "inventory.py", *words, code=2)
    assert "inventory.py was not read within 300ms: what it asks does not answer; nothing was done" in done.stderr
    assert not engines(bench)
    assert "no rollouts" in bench.run("list").stdout


def test_a_dry_run_takes_no_longer_than_its_hosts_may(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    """One after the other, and the inventory before."""
    monkeypatch.setattr("rollout.cli.inventory.READING", 0.1)
    (bench.folder / "hangs").write_text("dry")
    order = Order(task="dry", inventory="inventory.py", folder=str(bench.folder), hosts=WEB, parallel=2, timeout=0.05)
    with Engine() as engine, pytest.raises(HostwardError, match="not known within 200ms; nothing was done"):
        dry(engine, order, bench.folder / "log")
    assert not engines(bench)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("none.py", "-i", "inventory.py"), "there is no deploy none.py"),
        (("patsh", "-i", "inventory.py"), 'there is no deploy "patsh"; expected'),
        (
            ("deploy.py", "-i", "inventory.py", "--limit", "nobody"),
            '"nobody" is neither a host of the inventory nor a group with a host in it',
        ),
        (("deploy.py", "-i", "inventory.py", "--canary", "web9"), "the canary web9 is not among the chosen hosts"),
        (("deploy.py", "-i", "inventory.py", "--canary", "1", "--canary", "web1"), "expected one number, or hosts"),
        (("deploy.py", "-i", "inventory.py", "--batch", "x"), "a number of hosts such as 3"),
        (("deploy.py", "-i", "inventory.py", "--batch", "0", "--plan"), "--batch is 0; expected 1 or more"),
        (("deploy.py", "-i", "inventory.py", "--batch", "0%", "--plan"), "--batch is 0%; expected 1 or more"),
        (("deploy.py", "-i", "inventory.py", "--data", "x"), "is not KEY=VALUE"),
        (("deploy.py", "-i", "inventory.py", "--samples", "-1"), "--samples is -1; expected 0 or more"),
        (("deploy.py", "-i", "inventory.py", "--reboots", "0"), "--reboots is 0; expected 1 or more"),
        (("deploy.py", "-i", "inventory.py", "--home-required"), "--home-required needs a home"),
        (("deploy.py", "-i", "inventory.py", "--home", "none.toml", "--yes"), "none.toml"),
        (("deploy.py", "-i", "inventory.py"), "--yes says that it is"),
        (("deploy.py", "-i", "missing.py"), "missing.py"),
        (("deploy.py", "-i", "inventory.py", "--diff", "--yes"), "--diff goes with --dry"),
        (("resume", "nothing"), 'there is no rollout "nothing"'),
        (("deploy.py",), "--inventory"),
    ],
)
def test_what_cannot_be_is_said_in_a_sentence_and_nothing_is_done(
    bench: Bench, words: tuple[str, ...], said: str
) -> None:
    """With exit code 2."""
    done = bench.run(*words, code=2)
    assert said in done.stderr
    assert bench.ran() == []
    assert "no rollouts" in bench.run("list").stdout


def test_a_list_with_a_journal_that_cannot_be_read_says_so_and_ends_with_1(bench: Bench) -> None:
    """The others are in it, and a script hears of it too."""
    bench.rollout()
    good = bench.shown()["id"]
    bench.rollout()
    [bad] = [name for name in ids() if name != good]
    (rollouts() / bad / "journal.jsonl").write_text("{}\n")
    for words in (("list",), ("list", "--json")):
        done = bench.run(*words, code=1)
        assert f"{bad}/journal.jsonl is no journal of a rollout" in done.stderr
        assert good in done.stdout
        assert bad not in done.stdout
    assert [row["id"] for row in json.loads(done.stdout)] == [good]


def test_two_hosts_of_an_inventory_are_not_one_at_home(bench: Bench) -> None:
    """One would stand for both in what home is told, and in its window; those of other rollouts may be called so."""
    (bench.folder / "alike").touch()
    said = bench.run("deploy.py", "-i", "inventory.py", "--yes", code=2).stderr
    assert "web1 and web2 are both shop at home; expected one host of a name" in said
    assert bench.ran() == []
    bench.rollout("--limit", "web1")


def test_dry_tells_what_would_change_and_changes_nothing(bench: Bench) -> None:
    """For each host."""
    said = bench.run("deploy.py", "-i", "inventory.py", "--dry", "--diff").stdout
    assert said.count("work\n+new\n") == 5
    assert bench.ran() == []


def test_pyinfra_itself_runs_a_wave(tmp_path: Path) -> None:
    """The same with the real process of a wave, and hosts that pyinfra simulates."""
    own = {"fake_delay": 0, "fake_delay_jitter": 0}
    (tmp_path / "inventory.py").write_text(f"hosts = [('@fake/a', {own!r}), ('@fake/b', {own!r})]\n")
    (tmp_path / "deploy.py").write_text(
        "from pyinfra.operations import server\nserver.shell(['true'], name='a shell', _sudo=True)\n"
    )
    program = "import sys; from rollout.cli import main; sys.exit(main())"
    words = [
        "deploy.py",
        "-i",
        "inventory.py",
        "--yes",
        "--no-home",
        "--samples",
        "0",
        "--json",
        "--limit",
        "@fake/a",
    ]
    done = subprocess.run(
        [sys.executable, "-c", program, *words],
        cwd=tmp_path,
        env={**os.environ, "XDG_STATE_HOME": str(tmp_path), "HOME": str(tmp_path)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert (done.returncode, done.stderr) == (0, "")
    events = [json.loads(line) for line in done.stdout.splitlines()]
    [end] = [event for event in events if event.get("type") == "host_ended"]
    assert (end["host"], end["state"], end["changed"]) == ("@fake/a", "done", 1)


def engines(bench: Bench) -> list[str]:
    """Processes of waves that work in the folder."""
    found = []
    for entry in Path("/proc").iterdir():
        with suppress(OSError):
            if entry.name.isdigit() and (entry / "cwd").readlink() == bench.folder:
                found += [entry.name] if b"standin.py" in (entry / "cmdline").read_bytes() else []
    return found
