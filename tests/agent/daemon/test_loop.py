"""The agent as a process: how it begins, what it lives through, how it ends."""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.config import last_good
from agent.state import EVENTS_KEPT, State
from tests.agent.daemon.daemons import QUIET, Agent, agent_in, wait_for
from tests.agent.tmpfs import fill, small_disk
from tests.require import require_root
from wire.report import Event


@pytest.fixture
def agent(tmp_path: Path) -> Iterator[Agent]:
    """An agent of this test's own."""
    with agent_in(tmp_path) as agent:
        yield agent


def test_it_needs_no_configuration_no_privileges_and_no_home(agent: Agent) -> None:
    """The checks that fit the host run by themselves, and status shows what they found."""
    agent.start()
    wait_for(lambda: {"cpu", "memory", "disk", "config"} <= agent.checks().keys())
    status = agent.status()
    assert status["agent"]["running"] is True
    assert status["agent"]["pid"] == agent.process.pid if agent.process else False
    assert status["home"] is None
    assert status["checks"][0]["name"] == "config"
    for name, check in agent.checks().items():
        assert abs(check["time"] - time.time()) < 60, name
    memory = agent.checks()["memory"]
    assert memory["state"] in ("ok", "warning", "critical")
    assert "used" in memory["message"]


def test_rates_are_there_before_the_first_interval_ends(agent: Agent) -> None:
    """Counters are read a second time soon after the start, so a new host does not look empty for an interval."""
    agent.start()
    wait_for(lambda: "% used" in agent.checks().get("cpu", {}).get("message", ""))
    cpu = agent.checks()["cpu"]
    assert cpu["time"] - agent.status()["agent"]["started"] < cpu["interval"] - 5


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_in_good_order(agent: Agent, number: signal.Signals) -> None:
    """A signal ends it with exit code 0 and an event; status says that it does not run, and how old things are."""
    agent.start()
    assert agent.end(number) == 0
    status = agent.status()
    assert status["agent"]["running"] is False
    assert status["events"][0]["kind"] == "agent.stopped"
    assert agent.call("status").returncode == 1


def test_it_ends_within_ten_seconds_whatever_its_jobs_do(agent: Agent) -> None:
    """A job and a check that ignore SIGTERM are killed and recorded; nothing of them is left."""
    stubborn = """trap "" TERM; echo $$ > {pid}; while :; do sleep 1; done"""
    pids = [agent.state.parent / name for name in ("check.pid", "job.pid")]
    agent.config.write_text(
        QUIET
        + f"""
        [checks.hung]
        type = "command"
        command = ["sh", "-c", '{stubborn.format(pid=pids[0])}']
        timeout = "1h"
        [jobs.hung]
        command = ["sh", "-c", '{stubborn.format(pid=pids[1])}']
        every = "1s"
        """
    )
    agent.start()
    wait_for(lambda: all(path.exists() and path.read_text().strip() for path in pids))
    begun = time.monotonic()
    assert agent.end() == 0
    assert time.monotonic() - begun < 10
    for path in pids:
        with pytest.raises(ProcessLookupError):
            os.kill(int(path.read_text()), 0)
    with_state = State.read(agent.state)
    assert with_state.last_runs()["hung"].outcome == "killed"
    with_state.close()


def test_a_check_that_hangs_is_unknown_and_holds_up_nobody(agent: Agent) -> None:
    """It is ended at its limit, again and again, while another check goes on at its interval."""
    agent.config.write_text(
        QUIET
        + """
        [checks.hung]
        type = "command"
        command = ["sleep", "1000"]
        timeout = "500ms"
        every = "1s"
        [checks.memory]
        every = "1s"
        """
    )
    agent.start()
    hung = agent.wait_for_check("hung", "unknown")
    assert "limit of 500ms" in hung["message"]
    first = agent.checks()["memory"]["time"]
    wait_for(lambda: agent.checks()["memory"]["time"] > first + 2)
    wait_for(lambda: agent.checks()["hung"]["time"] > hung["time"] + 1)
    assert agent.checks()["hung"]["since"] == hung["since"]


def test_a_changed_file_takes_effect_at_once(agent: Agent) -> None:
    """A new check runs, a removed one vanishes, and one that stayed as it was keeps its memory."""
    agent.config.write_text(QUIET + "[checks.memory]\n[checks.cpu]\n")
    agent.start()
    since = agent.wait_for_check("memory", "ok")["since"]
    agent.config.write_text(QUIET + "[checks.memory]\n[checks.disk]\n")
    wait_for(lambda: set(agent.checks()) == {"config", "memory", "disk"})
    assert agent.checks()["memory"]["since"] == since
    assert "config.reloaded" in [event["kind"] for event in agent.status()["events"]]


def test_an_invalid_edit_keeps_the_configuration_before(agent: Agent) -> None:
    """The first mistake and the number of the others show as a warning until the file is right again."""
    agent.config.write_text(QUIET + "[checks.memory]\n")
    agent.start()
    agent.wait_for_check("memory", "ok")
    agent.config.write_text(QUIET + '[checks.memory]\nevery = "often"\nevry = "1s"\n')
    config = agent.wait_for_check("config", "warning")
    assert f"{agent.config}:4" in config["message"]
    assert "(and 1 more" in config["message"]
    assert agent.status()["events"][0]["kind"] == "config.refused"
    assert "memory" in agent.checks()
    agent.config.write_text(QUIET + "[checks.cpu]\n")
    agent.wait_for_check("config", "ok")
    assert set(agent.checks()) == {"config", "cpu"}


def test_sighup_reads_the_configuration_again(agent: Agent, tmp_path: Path) -> None:
    """Also where nothing has changed, and it says so."""
    agent.config.write_text(QUIET)
    agent.start()
    for _ in range(2):
        before = agent.said().count("in force")
        assert agent.process is not None
        agent.process.send_signal(signal.SIGHUP)
        wait_for(lambda before=before: agent.said().count("in force") > before)  # type: ignore[misc]


def test_a_start_with_mistakes_watches_the_host_all_the_same(agent: Agent) -> None:
    """Where no good configuration was kept, by its default checks; `config` is critical, and what is configured runs
    as soon as it is mended."""
    job = '[jobs.tidy]\ncommand = ["true"]\ndaily = "00:00"\n'
    agent.config.write_text(QUIET + "[checks.mine]\ntype = 'memory'\n" + job)
    agent.start()
    since = agent.wait_for_check("mine", "ok")["since"]
    assert agent.end() == 0
    (agent.state / last_good.FILE).unlink()
    agent.config.write_text('[checks.memory]\nevery = "often"\n[agnt]\n')
    agent.start()
    config = agent.wait_for_check("config", "critical")
    assert config["message"].startswith(f"{agent.config}:2: checks.memory.every: ")
    assert "(and 1 more, see hostward config check); until that is mended" in config["message"]
    wait_for(lambda: agent.checks()["config"]["time"] <= agent.checks().get("disk", {}).get("time", 0))
    assert agent.status()["events"][0]["kind"] == "config.refused"
    assert agent.checks()["mine"]["since"] == since, "what cannot run now was forgotten"
    assert agent.checks()["job:tidy"]["state"] == "ok"
    agent.config.write_text(QUIET + "[checks.mine]\ntype = 'memory'\n" + job)
    agent.wait_for_check("config", "ok")
    assert set(agent.checks()) == {"config", "mine", "job:tidy"}
    assert agent.checks()["mine"]["since"] == since


def test_a_start_with_mistakes_takes_the_last_good_configuration(agent: Agent) -> None:
    """Everything that was configured runs as before, and `config` says since when what is in force is so."""
    text = QUIET + "[checks.mine]\ntype = 'memory'\n"
    agent.config.write_text(text)
    agent.start()
    agent.wait_for_check("mine", "ok")
    kept = agent.state / last_good.FILE
    assert kept.stat().st_mode & 0o777 == 0o600, "a configuration may hold what is not everybody's"
    assert agent.end() == 0
    agent.config.write_text(text + "[checks.mine.used]\nwarning = 'a lot'\n")
    started = time.time()
    agent.start()
    config = agent.wait_for_check("config", "warning")
    assert config["message"].startswith(f"{agent.config}:6: checks.mine.used.warning: ")
    assert "; the last good configuration, that of 2" in config["message"]
    wait_for(lambda: agent.checks()["mine"]["time"] >= started)
    assert set(agent.checks()) >= {"config", "mine"} and "cpu" not in agent.checks()
    assert agent.end() == 0
    kept.write_bytes(b"{")
    agent.start()
    agent.wait_for_check("config", "critical")
    agent.config.write_text(text)
    agent.wait_for_check("config", "ok")


def test_two_agents_on_one_folder_are_refused(agent: Agent) -> None:
    """The second says so in one line and leaves the first alone."""
    agent.start()
    second = agent.call("run")
    assert second.returncode == 1
    assert second.stderr == f"hostward: an agent is already running on the state folder {agent.state}\n"
    assert agent.status()["agent"]["running"] is True


def test_a_kill_loses_nothing_that_was_known(agent: Agent) -> None:
    """After kill -9 a check keeps its `since`, the numbers go on, and a job that ran is recorded as lost."""
    agent.config.write_text(
        QUIET
        + """
        [checks.memory]
        [jobs.long]
        command = ["sleep", "1000"]
        every = "1s"
        """
    )
    agent.start()
    since = agent.wait_for_check("memory", "ok")["since"]
    wait_for(lambda: "running since" in agent.call("jobs").stdout)
    with_state = State.read(agent.state)
    epoch = with_state.epoch
    with_state.close()
    agent.end(signal.SIGKILL)
    killed = agent.status()["agent"]["started"]
    agent.config.write_text(QUIET + '[checks.memory]\n[jobs.long]\ncommand = ["true"]\ndaily = "00:00"\n')
    agent.start()
    wait_for(lambda: agent.checks()["memory"]["time"] > agent.status()["agent"]["started"] > killed)
    assert agent.checks()["memory"]["since"] == since
    assert "the agent was ended while it ran" in agent.checks()["job:long"]["message"]
    with_state = State.read(agent.state)
    assert with_state.epoch == epoch
    assert with_state.runs("long")[0].outcome == "lost"
    with_state.close()


def test_a_failed_job_is_critical_until_it_succeeds(agent: Agent) -> None:
    """The outcome is recorded, shown as a check, and told as an event."""
    flag = agent.state.parent / "flag"
    agent.config.write_text(
        QUIET + f'[jobs.picky]\ncommand = ["sh", "-c", "echo not yet >&2; test -e {flag}"]\nevery = "1s"\n'
    )
    agent.start()
    check = agent.wait_for_check("job:picky", "critical")
    assert "not yet" in check["message"]
    assert "job.failed" in [event["kind"] for event in agent.status()["events"]]
    flag.touch()
    agent.wait_for_check("job:picky", "ok")


def test_a_state_that_is_damaged_is_set_aside(agent: Agent) -> None:
    """The agent begins with a new database, and an event says where the damaged one is."""
    agent.config.write_text(QUIET + "[checks.memory]\n")
    agent.state.mkdir(mode=0o700)
    (agent.state / "agent.db").write_bytes(os.urandom(8192))
    agent.start()
    agent.wait_for_check("memory", "ok")
    assert len(list(agent.state.glob("agent.db.corrupt-*"))) == 1
    assert "state.damaged" in [event["kind"] for event in agent.status()["events"]]
    assert agent.end() == 0


def test_a_state_that_is_damaged_under_it_is_set_aside(agent: Agent) -> None:
    """It notices when it reads a damaged page, and what it knew goes on in a new database."""
    agent.config.write_text(QUIET + '[checks.memory]\nevery = "1h"\n')
    with_state = State.open(agent.state)
    with with_state.transaction():
        for number in range(EVENTS_KEPT):
            with_state.add_event(Event(time=number, kind="old", message="m" * 500))
        for _ in range(2000):  # more than the agent keeps in its cache when it has looked through all of it
            with_state.enqueue(Event(time=0, kind="old", message="m" * 500))
    with_state.close()
    process = agent.start()
    agent.wait_for_check("memory", "ok")
    for name in ("agent.db", "agent.db-wal"):
        with (agent.state / name).open("r+b") as file:
            file.write(os.urandom(max(os.fstat(file.fileno()).st_size, 8192)))

    def noticed() -> bool:
        process.send_signal(signal.SIGHUP)  # an event each time, for which an old one goes
        return bool(list(agent.state.glob("agent.db.corrupt-*")))

    wait_for(noticed)
    agent.wait_for_check("memory", "ok")
    assert "state.damaged" in [event.kind for event in State.read(agent.state).events()]
    assert agent.end() == 0


@pytest.mark.root
def test_a_full_disk_does_not_stop_it(agent: Agent) -> None:
    """It goes on, says so once, and keeps what it knows as soon as there is room."""
    require_root()
    with small_disk(agent.state, size="512K") as disk:
        agent.config.write_text(QUIET + '[checks.memory]\nevery = "1s"\n[checks.disk]\nevery = "1s"\n')
        process = agent.start()
        agent.wait_for_check("memory", "ok")
        fill(disk / "ballast")
        wait_for(lambda: "no room is left" in agent.said())
        assert process.poll() is None
        assert "is full" in agent.call("status").stdout or agent.status()["problem"] is None
        full = time.time()
        (disk / "ballast").unlink()
        wait_for(lambda: agent.checks()["memory"]["time"] > full)
        assert "can be kept again" in agent.said()
        assert agent.said().count("no room is left") == 1
        assert agent.end() == 0


def test_systemd_hears_that_it_is_ready_and_alive(agent: Agent, tmp_path: Path) -> None:
    """READY when it runs, WATCHDOG at least each half of the time that systemd gives, STOPPING at the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        systemd.settimeout(30)
        agent.config.write_text(QUIET)
        agent.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="400000")
        assert systemd.recv(4096) == b"READY=1"
        for _ in range(3):
            assert systemd.recv(4096) == b"WATCHDOG=1"
        assert agent.process is not None
        agent.process.send_signal(signal.SIGHUP)
        words = [systemd.recv(4096).split(b"=")[0] for _ in range(6)]
        assert b"RELOADING" in words
        assert b"READY" in words[words.index(b"RELOADING") :]
        agent.end()
        systemd.setblocking(False)
        last = b""
        while True:
            try:
                last = systemd.recv(4096)
            except BlockingIOError:
                break
        assert last == b"STOPPING=1"


def test_a_loop_that_hangs_is_not_alive(agent: Agent, tmp_path: Path) -> None:
    """Only the loop itself says that it is alive: stop its process, and systemd hears nothing more."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as systemd:
        systemd.bind(str(tmp_path / "notify"))
        agent.config.write_text(QUIET)
        systemd.settimeout(30)
        process = agent.start(NOTIFY_SOCKET=str(tmp_path / "notify"), WATCHDOG_USEC="200000")
        assert systemd.recv(4096) == b"READY=1"
        process.send_signal(signal.SIGSTOP)
        systemd.setblocking(False)
        wait_for(lambda: "T (stopped)" in Path(f"/proc/{process.pid}/status").read_text())
        with pytest.raises(BlockingIOError):
            while True:
                systemd.recv(4096)
        time.sleep(0.5)
        with pytest.raises(BlockingIOError):
            systemd.recv(4096)
        process.send_signal(signal.SIGCONT)
        systemd.settimeout(30)
        assert systemd.recv(4096) == b"WATCHDOG=1"


def test_the_resting_agent_loads_nothing_heavy(agent: Agent) -> None:
    """Without a home there is no TLS and no cryptography in its memory, and requests never is."""
    process = agent.start()
    wait_for(lambda: "% used" in agent.checks().get("cpu", {}).get("message", ""))
    maps = Path(f"/proc/{process.pid}/maps").read_text()
    assert "sqlite3" in maps
    for heavy in ("cryptography", "_ssl", "charset_normalizer"):
        assert heavy not in maps, heavy
