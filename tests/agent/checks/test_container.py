"""Containers: a real engine, and what else may answer at its socket."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.container import (
    MAX_CONTAINERS,
    WINDOW,
    ContainerCheck,
    ContainerOptions,
    derive,
    judge_container,
    remember,
)
from agent.checks.contract import CheckError, Context, Sample
from agent.checks.engine import Container
from agent.checks.runner import Plan, judge
from agent.paths import System
from kit.units import Duration
from tests.agent.checks.test_engine import DOCKER, DOCKER_ID, DOCKER_LIST
from tests.agent.checks.tree import NOW, said, values
from tests.require import require_program, require_root

# In namespaces of its own, so that all that it starts ends with it: where this machine mounts several cgroup
# hierarchies, which its runtime does not take, there is one, and what it keeps in /run and /dev/shm is its own.
ENGINE = """
set -e
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
podman="podman --root $1/root --runroot $1/run --tmpdir $1/tmp --storage-driver vfs --cgroup-manager cgroupfs"
podman="$podman --events-backend none"
limits="--network none --cgroups disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --pull never"
tar -C "$1/image" -c . | $podman import - localhost/busy:1
$podman run -d $limits --name web localhost/busy:1 /bin/sleep 1000
$podman run -d $limits --name sick --health-cmd '/bin/false' --health-interval disable --health-retries 1 \\
    localhost/busy:1 /bin/sleep 1000
$podman healthcheck run sick || true
$podman run $limits --name failed localhost/busy:1 /bin/sh -c 'exit 3' || true
$podman create $limits --name fresh localhost/busy:1 /bin/true
$podman run -d $limits --name again --restart on-failure:3 localhost/busy:1 /bin/sh -c 'exit 4'
exec $podman system service -t 0 "unix://$1/engine.sock"
"""


@pytest.fixture(scope="module")
def engine() -> Iterator[str]:
    """Podman's socket, with containers behind it."""
    require_root()
    for program in ("podman", "unshare", "busybox"):
        require_program(program)
    # A socket's path must be short.
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
    (folder / "image/bin").mkdir(parents=True)
    shutil.copy(require_program("busybox").resolve(), folder / "image/bin/busybox")
    for name in ("sh", "sleep", "true", "false"):
        (folder / "image/bin" / name).symlink_to("busybox")
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", ENGINE, "sh"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    try:
        deadline = time.monotonic() + 90
        while not (folder / "engine.sock").exists() or not restarted(str(folder / "engine.sock")):
            assert server.poll() is None, (folder / "log").read_text()
            assert time.monotonic() < deadline, (folder / "log").read_text()
            time.sleep(0.1)
        yield str(folder / "engine.sock")
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def restarted(path: str) -> bool:
    """Whether the container that fails has been started again as often as it may, and cleared up after."""
    try:
        found = values(checked(path))
    except CheckError:
        return False
    return found.get("container_restarts_total again") == 3 and found.get("containers exited") == 2


def checked(path: str, **options: Any) -> Sample:
    check = ContainerCheck(ContainerOptions(socket=path, **({"timeout": Duration(30)} | options)))
    return check.collect(Context(system=System(), now=time.time()))


def test_a_real_engine_is_asked(engine: str) -> None:
    """Each container has its readings, and those that are not well are named."""
    sample = checked(engine, expected=("web", "sick", "again", "gone-*"))
    assert said(sample) == [
        ("critical", "again is exited with exit code 4"),
        ("critical", "there is no container gone-*"),
        ("warning", "again ended with exit code 4"),
        ("warning", "failed ended with exit code 3"),
        ("critical", "sick is unhealthy"),
    ]
    found = values(sample)
    uptime = found.pop("container_uptime_seconds web")
    assert 0 < uptime < 3600
    assert {
        "container_running web": 1,
        "container_running failed": 0,
        "container_exit_code failed": 3,
        "container_healthy sick": 0,
        "container_restarts_total again": 3,
        "container_restarts_total web": 0,
        "container_oom_killed failed": 0,
        "containers running": 2,
        "containers exited": 2,
        "containers created": 1,
    }.items() <= found.items()
    assert sample.summary == "2 of 5 containers running"


def test_containers_are_chosen_by_name(engine: str) -> None:
    """One that must run is looked at in any case."""
    sample = checked(engine, containers=("f*",), exclude=("fai*",), expected=("we?",))
    assert said(sample) == []
    assert {name.split()[1] for name in values(sample) if name.startswith("container_")} == {"fresh", "web"}


@contextmanager
def answering(answer: Callable[[socket.socket, str], None]) -> Iterator[str]:
    """A socket where `answer` has each connection and the target that was asked for."""
    folder = tempfile.mkdtemp(prefix="engine-", dir="/tmp")
    path = f"{folder}/s"
    stop = threading.Event()
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(path)
        listening.listen()
        listening.settimeout(0.05)

        def accept() -> None:
            while not stop.is_set():
                with suppress(TimeoutError):
                    connection, _ = listening.accept()
                    with connection, suppress(OSError):
                        connection.settimeout(20)
                        answer(connection, connection.recv(4096).split()[1].decode())

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield path
        finally:
            stop.set()
            thread.join()
            shutil.rmtree(folder)


def give(connection: socket.socket, body: bytes, status: int = 200) -> None:
    connection.sendall(f"HTTP/1.1 {status} X\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body)


def test_docker_is_asked_too() -> None:
    """By its recorded answers; one that is removed meanwhile is passed over."""

    def docker(connection: socket.socket, target: str) -> None:
        if target == "/containers/json?all=true":
            give(connection, json.dumps(DOCKER_LIST).encode())
        elif target == f"/containers/{DOCKER_ID}/json":
            give(connection, json.dumps(DOCKER).encode())
        else:
            give(connection, b'{"message": "No such container"}', 404)

    with answering(docker) as path:
        sample = checked(path)
    assert said(sample) == [("warning", "shop_web_1 is unhealthy")]
    assert values(sample)["container_restarts_total shop_web_1"] == 2
    assert sample.summary == "1 of 1 containers running"


def endless(connection: socket.socket, target: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" " * 65536)


def drip_on(connection: socket.socket, target: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


def drip(connection: socket.socket, target: str) -> None:
    connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 100000\r\n\r\n")
    while True:
        connection.sendall(b" ")
        time.sleep(0.02)


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        (lambda c, t: give(c, b'{"message": "it hurts"}', 500), "the engine answers with status 500: it hurts"),
        (lambda c, t: give(c, b"\xff", 403), "the engine answers with status 403"),
        (lambda c, t: give(c, b"", 404), "what listens there is no container engine"),
        (lambda c, t: give(c, b"{}"), "the list of containers is not as an engine gives it"),
        (lambda c, t: c.sendall(b"SSH-2.0\r\n"), "what listens there is no container engine"),
        (lambda c, t: None, "what listens there is no container engine"),
        (lambda c, t: c.recv(1), "no answer within 1s"),
        (endless, "an answer is larger than 8388608 bytes"),
        (drip, "no answer within 1s"),
        (drip_on, "no answer within 1s"),
    ],
    ids=["error", "refused", "nothing", "other", "ssh", "closed", "silent", "endless", "drip", "drip without end"],
)
def test_what_is_no_engine_makes_the_check_unknown(
    answer: Callable[[socket.socket, str], None], message: str
) -> None:
    """In one sentence, in time, and within bounds."""
    with answering(answer) as path, pytest.raises(CheckError) as refused:
        checked(path, timeout=Duration(2))
    assert str(refused.value) in (f"{path}: {message}", f"{path}: Connection reset by peer")


def test_a_socket_that_is_not_there_or_not_ours_makes_the_check_unknown(tmp_path: Path) -> None:
    """With what to look for."""
    with pytest.raises(CheckError, match="there is no such socket: is the engine running"):
        checked(str(tmp_path / "none.sock"))
    (tmp_path / "file").write_text("")
    with pytest.raises(CheckError, match="Connection refused"):
        checked(str(tmp_path / "file"))


def test_a_socket_that_the_agent_may_not_write_to_makes_the_check_unknown() -> None:
    """As Docker's is for everybody but its group: tried as another user."""
    require_root()
    with answering(lambda c, t: give(c, b"[]")) as path:
        Path(path).parent.chmod(0o755)
        Path(path).chmod(0o600)
        child = os.fork()
        if child == 0:
            try:
                os.setuid(65534)
                checked(path)
            except CheckError as error:
                os._exit(0 if str(error) == f"{path}: the agent may not write to it" else 2)
            finally:
                os._exit(3)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0


def one(state: str, **facts: Any) -> Container:
    return Container(id="1", name="web", state=state, **facts)


@pytest.mark.parametrize(
    ("container", "expected", "message"),
    [
        (one("running"), None, ""),
        (one("running", health="starting"), None, ""),
        (one("running", health="healthy"), None, ""),
        (one("running", health="unhealthy"), "warning", "web is unhealthy"),
        (one("restarting", exit_code=1), "warning", "web is being started again after exit code 1"),
        (one("dead"), "critical", "web is dead: the engine could not remove it"),
        (one("created"), None, ""),
        (one("paused"), None, ""),
        (one("exited", exit_code=0, finished=NOW - 5), None, ""),
        (one("exited", exit_code=143, finished=NOW - 5), None, ""),
        (one("exited", exit_code=1, finished=NOW - 5), "warning", "web ended with exit code 1"),
        (one("exited", exit_code=1, finished=NOW - 90000), None, ""),
        (one("exited", exit_code=137, oom_killed=True, finished=NOW), "critical", "web was killed: out of memory"),
        (one("exited", exit_code=137, oom_killed=True, finished=NOW - 90000), None, ""),
    ],
)
def test_a_container_is_judged_by_its_state(container: Container, expected: str | None, message: str) -> None:
    """A bad end is told for a day."""
    finding = judge_container(container, expected=False, now=NOW)
    assert (finding and finding.state, finding.message if finding else "") == (expected, message)


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ([], "there is no container w*"),
        ([one("paused")], "web is paused"),
        ([one("exited", exit_code=2)], "web is exited with exit code 2"),
        ([one("created"), one("created")], "none of 2 containers w* is running"),
    ],
)
def test_an_expected_container_that_does_not_run_is_critical(found: Sequence[Container], message: str) -> None:
    """By its name or a pattern."""
    sample = derive(ContainerOptions(expected=("w*",)), found, {}, NOW)
    assert said(sample) == [("critical", message)]


def test_restarts_are_judged_over_an_hour() -> None:
    """What was before the check saw the container does not count; a start by hand begins anew."""
    options = ContainerOptions()
    check = ContainerCheck(options)
    plan = Plan("container", "container", check, options)
    memory: dict[str, Any] = {}
    states = []
    for minute, restarts in [(0, 4), (1, 4), (2, 5), (50, 9), (61, 9), (63, 9), (111, 9), (112, 0), (113, 1)]:
        now = NOW + minute * 60
        sample = derive(options, [one("running", restarts=restarts)], memory, now)
        memory = sample.memory
        recent = values(sample)["container_recent_restarts web"]
        states.append((recent, judge(plan, sample, None, now=now, ticks=1, duration=0).state.state))
    assert states == [
        (0, "ok"),
        (0, "ok"),
        (1, "warning"),
        (5, "critical"),
        (5, "critical"),
        (4, "warning"),
        (0, "ok"),
        (0, "ok"),
        (1, "warning"),
    ]


@given(st.lists(st.tuples(st.integers(0, 900), st.integers(0, 3)), max_size=60))
def test_restarts_within_the_hour_are_those_that_a_whole_history_would_tell(steps: list[tuple[int, int]]) -> None:
    """However often one looks, and however much happened in between."""
    now, count, history = NOW, 0, remember([], 0, NOW)
    whole = [(now, count)]
    for seconds, more in steps:
        now, count = now + seconds, count + more
        whole.append((now, count))
        history = remember(history, count, now)
        before = [seen for when, seen in whole if when <= now - WINDOW]
        assert count - history[0][1] == count - (before[-1] if before else 0)


def test_more_containers_than_can_be_looked_at_are_said() -> None:
    """The readings of one check are bounded."""
    listed = [{"Id": f"{n:03}", "Names": [f"/c{n:03}"]} for n in range(MAX_CONTAINERS + 5)]

    def many(connection: socket.socket, target: str) -> None:
        if target.startswith("/containers/json"):
            give(connection, json.dumps(listed).encode())
        else:
            give(connection, json.dumps({"Id": target.split("/")[2], "State": {"Status": "running"}}).encode())

    with answering(many) as path:
        sample = checked(path)
    assert said(sample) == [("unknown", "5 containers were not looked at; choose fewer")]
    assert len(sample.measurements) <= 1000
