"""Both halves of the agent over a real socket, as root; what systemd adds is for tests/fleet/test_privilege.py."""

from __future__ import annotations

import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import msgspec
import pytest

from agent.checks.contract import Context, Sample
from agent.checks.launch import launch
from agent.checks.runner import Failure, Outcome, decode_outcome, plan
from agent.config.load import load
from agent.jobs import remote
from agent.paths import System
from agent.privileged import protocol
from agent.privileged.protocol import Before, Request, decode_reply, encode_request
from agent.privileged.serve import USER, find
from tests.agent.cli.backup.repos import PASSWORD, Place
from tests.agent.jobs.programs import descriptors, eventually, is_alive
from tests.agent.privileged.halves import Daemon, RootHalf, root_half
from tests.require import require_root
from wire.report import BackupRun

pytestmark = pytest.mark.root


@pytest.fixture
def half(place: Path) -> Iterator[RootHalf]:
    require_root()
    with root_half(place / "host") as made:
        yield made


@pytest.fixture
def daemon(half: RootHalf) -> Iterator[Daemon]:
    made = Daemon(half)
    yield made
    made.close()


def job(half: RootHalf, *command: str, more: str = "") -> None:
    """Let root's configuration define the privileged job `it`."""
    words = ", ".join(f"'''{word}'''" for word in command)
    half.configure(
        f'[jobs.it]\ncommand = [{words}]\nevery = "1d"\n{more}\n[jobs.it.privileged]\nwritable = ["/srv"]\n'
    )


def test_a_job_is_run_as_roots_configuration_says(half: RootHalf, daemon: Daemon) -> None:
    """Its outcome, outputs and usage come back as those of any other job."""
    job(half, "sh", "-c", "echo out; echo err >&2; echo $TOKEN; exit 3", more='environment = { TOKEN = "s3cret" }')
    ended = daemon.run(b"job it\n")
    assert (ended.outcome, ended.exit_code, ended.message) == ("failed", 3, "exit code 3: err")
    assert (ended.output, ended.error) == (b"out\ns3cret\n", b"err\n")
    assert ended.cpu > 0
    assert "--property=ReadWritePaths=/srv" in half.said()
    assert "--property=BindsTo=caller.service" in half.said()
    assert "s3cret" not in half.said(), "a secret among arguments"


def test_a_backup_is_run_by_name(half: RootHalf, daemon: Daemon) -> None:
    """Its run comes back for the record; its sandbox is what the table opens, with the credentials that it names."""
    place = Place.make(half.root / "repository")
    credentials = half.root / "credentials"
    credentials.mkdir()
    for name in ("backup", "other"):
        (credentials / name).write_text(PASSWORD)
    half.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    (half.root / "files").mkdir()
    (half.root / "files/one").write_text("content")
    half.configure(
        f'[backups.it]\nrepository = "{place.folder}"\npaths = ["{half.root}/files"]\n'
        'password_file = "credential:backup"\ntimeout = "1h"\nnice = 7\n'
        f'[backups.it.privileged]\ncapabilities = ["CAP_DAC_READ_SEARCH"]\nwritable = ["{place.folder}"]\n'
        f'[backups.open]\nrepository = "{place.folder}"\npaths = ["/etc"]\n'
    )
    ended = daemon.run(b"backup it\n")
    run = msgspec.json.decode(ended.output, type=BackupRun)
    assert (ended.outcome, run.outcome, run.files, run.message) == ("done", "done", 1, "")
    assert len(place.json("snapshots")) == 1
    said = half.said()
    assert f"--property=LoadCredential=backup:{credentials}/backup" in said
    assert "LoadCredential=other" not in said
    for part in ("CapabilityBoundingSet=CAP_DAC_READ_SEARCH", "CacheDirectory=hostward-backup/it", "Nice=7"):
        assert f"--property={part}" in said
    assert "--unit=hostward-backup-it.service" in said
    assert PASSWORD not in said
    for request in (b"backup open\n", b"backup none\n", b"drill it\n", b"job it\n"):
        assert "root's configuration defines no privileged" in daemon.run(request).message


def test_snapshots_of_file_systems_open_what_they_take(half: RootHalf) -> None:
    """A job that reads its paths from them mounts, and reaches volumes, without that its table says so; another one
    does not. Of both /usr/lib/modules is there to be saved."""
    common = 'repository = "/srv/backup"\npaths = ["/etc"]\npassword_file = "/p"\n'
    half.configure(
        f'[backups.plain]\n{common}privileged = {{ writable = ["/srv/backup"] }}\n'
        f'[backups.frozen]\n{common}privileged = {{ writable = ["/srv/backup"] }}\nsnapshot = "auto"\n'
    )
    plain, frozen = (find(Request("backup", name), b"", half.configuration) for name in ("plain", "frozen"))
    assert (plain.properties["ProtectSystem"], plain.properties["CapabilityBoundingSet"]) == ("strict", "")
    assert not plain.table.devices
    opened = {key: value for key, value in frozen.properties.items() if plain.properties.get(key) != value}
    assert {"CAP_SYS_ADMIN", "CAP_DAC_OVERRIDE"} <= set(opened.pop("CapabilityBoundingSet").split())
    assert "@mount" in opened.pop("SystemCallFilter")
    assert opened == {
        **dict.fromkeys(("ProtectSystem", "ProtectHome", "ProtectClock", "PrivateTmp", "PrivateDevices"), "no"),
        **dict.fromkeys(("PrivateIPC", "RestrictRealtime"), "no"),
        **dict.fromkeys(("CacheDirectory", "StateDirectory"), "hostward-backup/frozen"),
        "RestrictNamespaces": "mnt",
    }
    assert "ReadWritePaths" in plain.properties and "ReadWritePaths" not in frozen.properties, "that would mount it"
    assert {"block-*", "/dev/mapper/control", "/dev/zfs"} == set(frozen.table.devices)
    assert plain.properties["ProtectKernelModules"] == frozen.properties["ProtectKernelModules"] == "no"


def test_one_that_does_well_is_done(half: RootHalf, daemon: Daemon) -> None:
    """Its output is bounded."""
    job(half, "sh", "-c", "head -c 1000000 /dev/zero")
    ended = daemon.run(b"job it\n")
    assert (ended.outcome, ended.message, ended.truncated) == ("done", "", True)
    assert len(ended.output) == 65536


@pytest.mark.parametrize("name", ["none", "plain", "off", "memory"])
def test_what_is_not_privileged_is_refused(half: RootHalf, daemon: Daemon, name: str) -> None:
    """Nor what is turned off, nor a check by the name of a job."""
    command = 'command = ["touch", "/srv/x"]\nevery = "1d"\n'
    half.configure(
        f"[jobs.plain]\n{command}[jobs.off]\n{command}enabled = false\nprivileged = {{}}\n"
        "[checks.memory]\nprivileged = {}\n"
    )
    ended = daemon.run(f"job {name}\n".encode())
    assert ended.message == f'root\'s configuration defines no privileged job "{name}"'
    assert half.said() == ""
    ended = daemon.run(encode_request("check", "off"))
    assert ended.message == 'root\'s configuration defines no privileged check "off"'


@pytest.mark.parametrize("request_", [b"job it extra\n", b"job it\nrun rm\n", b"\xff\n", b"x" * 500, b"job it"])
def test_what_is_no_request_runs_nothing(half: RootHalf, request_: bytes) -> None:
    """It is answered with what was expected."""
    job(half, "touch", str(half.root / "ran"))
    reply = decode_reply(half.ask(request_, close=True))
    assert reply.outcome == "failed"
    assert not (half.root / "ran").exists()
    assert half.said() == ""


def test_a_request_that_does_not_come_is_given_up(half: RootHalf) -> None:
    """A connection costs a process of root's, so it must not last."""
    half.patience = 0.5
    assert "did not come whole" in decode_reply(half.ask(b"job")).message
    assert "did not come whole" in decode_reply(half.ask(b"check it 100\nabc")).message


def test_a_configuration_that_others_could_have_written_is_refused(half: RootHalf, daemon: Daemon) -> None:
    """Though it belongs to root: whoever may write to it would have root's power."""
    job(half, "true")
    half.configuration.chmod(0o666)
    assert "everybody may write to it" in daemon.run(b"job it\n").message
    half.configuration.chmod(0o644)
    os.chown(half.configuration, 4242, -1)
    assert "it must belong to root" in daemon.run(b"job it\n").message
    half.configure('[jobs.it]\ncommand = 3\n[jobs."x y"]\n')
    os.chown(half.configuration, 0, -1)
    assert "refuses the configuration" in daemon.run(b"job it\n").message
    assert half.said() == ""


def test_another_user_is_refused(half: RootHalf) -> None:
    """Even one that got at the socket: the kernel says who it was when it connected."""
    job(half, "true")
    half.place.chmod(0o777)
    for folder in (half.place.parent, half.place.parent.parent):
        folder.chmod(0o755)
    with socket.socket(socket.AF_UNIX) as link:
        link.settimeout(60)
        with half.gate:
            os.seteuid(4242)
            try:
                link.connect(str(half.place))
            finally:
                os.seteuid(0)
        with contextlib.suppress(ConnectionError):  # it may have hung up by now
            link.sendall(b"job it\n")
            assert link.recv(100) == b""
    assert half.said() == ""


def test_when_the_daemon_goes_the_unit_is_stopped(half: RootHalf) -> None:
    """And root's half waits until it is."""
    marker = half.root / "pid"
    job(half, "sh", "-c", f"echo $$ >{marker}.new; mv {marker}.new {marker}; exec sleep 1000")
    daemon = Daemon(half)
    try:
        assert daemon.start(b"job it\n")
        eventually(marker.exists, "its start")
        pid = int(marker.read_text())
    finally:
        daemon.close()
    assert daemon.ended[0].outcome == "killed"
    eventually(lambda: not is_alive(pid), "its end")
    assert half.said("systemctl") == "stop hostward-job-it.service\n"


def test_one_runs_at_a_time(half: RootHalf, daemon: Daemon) -> None:
    """Whoever asks."""
    marker = half.root / "ran"
    job(half, "sh", "-c", f"touch {marker}; exec sleep 1000")
    assert daemon.start(b"job it\n")
    eventually(marker.exists, "its start")
    assert "is running already" in decode_reply(half.ask(b"job it\n")).message


def test_a_job_is_ended_at_its_own_limit(half: RootHalf, daemon: Daemon) -> None:
    """By what runs beside it, which says so; the daemon's limit is behind it."""
    job(half, "sleep", "1000", more='timeout = "1s"')
    ended = daemon.run(b"job it\n", seconds=30)
    assert (ended.outcome, ended.message) == ("timed_out", "stopped at its time limit of 1s")


def test_the_daemon_does_not_wait_for_ever(half: RootHalf, daemon: Daemon, monkeypatch: pytest.MonkeyPatch) -> None:
    """Root's half that hangs is given up, and the name is free again."""
    monkeypatch.setattr(remote, "STARTING", 0.0)
    (half.programs / "systemd-run").write_text("#!/bin/sh\nexec sleep 1000\n")
    job(half, "true")
    before = descriptors()
    ended = daemon.run(b"job it\n", seconds=0.5)
    assert (ended.outcome, ended.message) == ("timed_out", "stopped at its time limit of 500ms")
    assert not daemon.jobs.running
    assert descriptors() == before


def test_root_half_that_dies_is_a_failure(half: RootHalf, daemon: Daemon) -> None:
    """With a sentence that says where to look."""
    (half.programs / "systemd-run").write_text("#!/bin/sh\nkill -9 $PPID\n")
    job(half, "true")
    assert daemon.run(b"job it\n").message == (
        "root's half of the agent gave no answer (see journalctl -u 'hostward-jobs@*')"
    )


@pytest.mark.parametrize(
    ("script", "message"),
    [
        ("exit 217", "its sandbox cannot be set up: there is no such user"),
        ("exit 226", "its sandbox cannot be set up: a path in `writable` does not exist"),
        ("exit 255", "it was ended from outside, or for want of memory"),
        (
            "echo Failed to connect to bus >&2; exit 1",
            "systemd could not run it: exit code 1: Failed to connect to bus",
        ),
    ],
)
def test_what_systemd_says_is_told(half: RootHalf, daemon: Daemon, script: str, message: str) -> None:
    """In words of what is to be done."""
    (half.programs / "systemd-run").write_text(f"#!/bin/sh\n{script}\n")
    job(half, "true")
    assert daemon.run(b"job it\n").message == message


def test_without_root_half_there_is_one_sentence(half: RootHalf, daemon: Daemon) -> None:
    """No socket: not installed, or not enabled."""
    half.place.unlink()
    ended = daemon.run(b"job it\n")
    assert ended.outcome == "failed"
    assert "systemctl enable --now hostward-jobs.socket" in ended.message


def check(half: RootHalf, name: str, previous: object = None, elapsed: float | None = None) -> Outcome:
    """What the daemon learns of a check that its own configuration, the same file, marks as privileged."""
    daemon = Daemon(half)
    outcomes: list[Outcome] = []
    planned = plan({name: load(half.configuration).checks[name]})[0]
    context = Context(system=System(half.root), now=time.time(), previous=previous, elapsed=elapsed)
    try:
        launch(daemon.jobs, "check", planned, context, lambda outcome, _: outcomes.append(outcome))
        while not outcomes:
            daemon.jobs.wait(1)
    finally:
        daemon.close()
    return outcomes[0]


def test_a_check_runs_there_and_its_sample_comes_back(half: RootHalf) -> None:
    """Python in the sandbox's own process; what it remembers makes its second run one with rates."""
    half.configure("[checks.cpu]\nprivileged = {}\n")
    first = check(half, "cpu")
    assert isinstance(first, Sample)
    assert first.memory
    time.sleep(0.1)
    second = check(half, "cpu", first.memory, 0.1)
    assert isinstance(second, Sample)
    assert second.measurements


def test_what_a_check_may_not_remember_is_not_taken_from_it(half: RootHalf, monkeypatch: pytest.MonkeyPatch) -> None:
    """It could not be handed to the next run, nor to any after that; what was remembered before stays."""
    half.configure("[checks.cpu]\nprivileged = {}\n")
    monkeypatch.setattr(protocol, "MAX_BEFORE", 10)
    assert check(half, "cpu") == Failure("the check remembered more than the 10B that it may")


def test_a_plugin_runs_there_too(half: RootHalf) -> None:
    """It judges, as always; its time limit is kept there."""
    half.configure(
        '[checks.p]\ntype = "command"\ncommand = ["sh", "-c", "echo bad; exit 2"]\nprivileged = {}\n'
        '[checks.slow]\ntype = "command"\ncommand = ["sleep", "1000"]\ntimeout = "1s"\nprivileged = {}\n'
    )
    sample = check(half, "p")
    assert isinstance(sample, Sample)
    assert [finding.state for finding in sample.findings] == ["critical"]
    assert check(half, "slow") == Failure("stopped at its time limit of 1s")


def test_a_check_in_python_that_hangs_is_stopped_at_its_limit(half: RootHalf) -> None:
    """By itself, before anybody has to end it: one that opens a pipe to which nobody ever writes."""
    pipe = half.root / "pipe"
    os.mkfifo(pipe)
    half.configure(f'[checks.s]\ntype = "sqlite"\npath = "{pipe}"\ntimeout = "1s"\nprivileged = {{}}\n')
    reply = decode_reply(half.ask(encode_request("check", "s")))
    assert reply.outcome == "done"
    assert decode_outcome(reply.output) == Failure("stopped at its time limit of 1s")


@pytest.mark.parametrize("before", [b"", b"\xc1", b"\x91" * 50_000, b"\x82\xa8previous\xff\xa7elapsed\xff"])
def test_a_memory_that_is_made_up_changes_nothing_but_the_reading(half: RootHalf, before: bytes) -> None:
    """It comes from the daemon, which may have been taken over: options come from root's file alone."""
    half.configure("[checks.cpu]\nprivileged = {}\n")
    reply = decode_reply(half.ask(f"check cpu {len(before)}\n".encode() + before))
    assert reply.outcome == "done"


def test_options_do_not_come_from_the_daemon(half: RootHalf) -> None:
    """What it sends beside the memory is not looked at."""
    half.configure('[checks.p]\ntype = "command"\ncommand = ["echo", "fine"]\nprivileged = {}\n')
    request = encode_request("check", "p", Before({"options": {"command": ["id"]}, "command": ["id"], "call": b""}))
    assert b"fine" in decode_reply(half.ask(request)).output


def test_who_may_ask() -> None:
    """The user of the unit."""
    unit = Path(__file__).resolve().parents[3] / "systemd/hostward-agent.service"
    assert f"\nUser={USER}\n" in unit.read_text()


def test_a_kill_of_the_daemon_ends_the_run(half: RootHalf) -> None:
    """Not only an orderly end."""
    marker = half.root / "pid"
    job(half, "sh", "-c", f"echo $$ >{marker}.new; mv {marker}.new {marker}; exec sleep 1000")
    code = (
        f"import socket, time; s = socket.socket(socket.AF_UNIX); s.connect({str(half.place)!r})\n"
        "s.sendall(b'job it\\n'); time.sleep(1000)"
    )
    process = subprocess.Popen([sys.executable, "-c", code])
    try:
        eventually(marker.exists, "its start")
        process.send_signal(signal.SIGKILL)
        eventually(lambda: not is_alive(int(marker.read_text())), "its end")
    finally:
        process.kill()
        process.wait()
