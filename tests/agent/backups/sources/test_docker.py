"""Volumes of containers: a real engine where it can run, and a small one for what goes wrong."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from agent.backups.sources import containers
from agent.config.backup_sources.docker import DockerSource
from kit.errors import HostwardError
from tests.agent.backups.sources.saver import Saver
from tests.agent.backups.sources.small_engine import Container, SmallEngine, small_engine
from tests.require import require_program, require_root

PATIENCE = 60


def until(condition: Callable[[], Any]) -> None:
    deadline = time.monotonic() + PATIENCE
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)


@pytest.fixture
def engine(monkeypatch: pytest.MonkeyPatch) -> Iterator[SmallEngine]:
    """Two volumes, and containers of which one runs with the first, one with the second, one with none."""
    monkeypatch.setattr(containers, "_BETWEEN", 0.01)
    with tempfile.TemporaryDirectory(prefix="hw-", dir="/tmp") as name:
        folder = Path(name)
        with small_engine(folder / "socket") as found:
            found.volume("shop_data", folder / "volumes/shop/_data", backup="daily")
            found.volume("shop_cache", folder / "volumes/cache/_data", backup="never")
            (folder / "volumes/shop/_data/orders").write_text("1,2,3")
            (folder / "volumes/cache/_data/page").write_text("html")
            found.containers = {
                "1": Container("web", ("shop_data",)),
                "2": Container("worker", ("shop_data", "shop_cache")),
                "3": Container("cache", ("shop_cache",)),
                "4": Container("old", ("shop_data",), "exited"),
                "5": Container("alone", ()),
            }
            yield found


def source(engine: SmallEngine, **options: Any) -> DockerSource:
    return DockerSource(**({"socket": engine.socket, "volumes": ("shop_data",)} | options))


@pytest.mark.parametrize(("meanwhile", "state"), [("pause", "paused"), ("stop", "exited")])
def test_volumes_are_saved_while_their_containers_are_held_up(
    engine: SmallEngine, saver: Saver, meanwhile: str, state: str
) -> None:
    """Only those that run and use them; afterwards all are as they were, and nothing is noted."""
    before, seen = engine.states(), {}
    outcome = saver.save("docker", source(engine, meanwhile=meanwhile), lambda: seen.update(engine.states()))
    assert seen == before | {"web": state, "worker": state}
    assert engine.states() == before and list(saver.state.iterdir()) == []
    (volume,) = (one["Mountpoint"] for one in engine.volumes if one["Name"] == "shop_data")
    files = saver.files(outcome)
    assert set(files) == {f"{volume}/orders", "/docker/volumes.json"} and files[f"{volume}/orders"] == b"1,2,3"
    assert json.loads(files["/docker/volumes.json"]) == [
        {"Name": "shop_data", "Driver": "local", "Labels": {"backup": "daily"}, "Options": None}
    ]
    assert outcome.snapshot.paths == ("/docker",)


def test_volumes_are_chosen_by_name_and_label(engine: SmallEngine, saver: Saver) -> None:
    """What fits nothing, or lies out of reach, fails the run."""

    def names(**options: Any) -> list[str]:
        outcome = saver.save("docker", source(engine, **options))
        return [one["Name"] for one in json.loads(saver.files(outcome)["/docker/volumes.json"])]

    assert names(volumes=("shop_*",)) == ["shop_cache", "shop_data"]
    assert names(volumes=(), labels=("backup=daily",)) == ["shop_data"]
    assert names(volumes=(), labels=("backup",), exclude=("*cache",)) == ["shop_data"]
    engine.volumes.append({"Name": "far", "Driver": "nfs", "Mountpoint": "/no/such/folder"})
    for options, said in (
        ({"volumes": ("gone",)}, "there is no volume gone"),
        ({"volumes": (), "labels": ("backup=weekly",)}, "there is no such volume"),
        ({"volumes": ("far",)}, "volume far has no folder on this host"),
        ({"socket": "/no/such/socket"}, "there is no such socket"),
    ):
        with pytest.raises(HostwardError, match=said):
            names(**options)


def test_containers_go_on_when_the_run_fails(engine: SmallEngine, saver: Saver) -> None:
    """Whether saving fails, or one of them cannot be held up; one that is removed meanwhile is no longer minded."""
    before = engine.states()

    def fail() -> None:
        assert engine.states()["web"] == "paused"
        raise HostwardError("the disk is full")

    with pytest.raises(HostwardError, match="the disk is full"):
        saver.save("docker", source(engine, meanwhile="pause"), fail)
    assert engine.states() == before
    engine.refuse = {"pause worker"}
    with pytest.raises(HostwardError, match=r"container worker: .*cannot be; no snapshot was made"):
        saver.save("docker", source(engine, meanwhile="pause"))
    assert engine.states() == before and "unpause web" in engine.done
    engine.refuse = set()
    saver.save("docker", source(engine, meanwhile="pause"), lambda: engine.containers.pop("2"))
    assert engine.states()["web"] == "running"
    engine.containers["1"].auto_remove = True
    with pytest.raises(HostwardError, match=r"container web is removed when it stops .*expected pause"):
        saver.save("docker", source(engine, meanwhile="stop"))
    assert "stop web" not in engine.done


def test_one_that_cannot_go_on_is_told_and_tried_again_by_the_next_run(engine: SmallEngine, saver: Saver) -> None:
    """Its note stays until it goes on."""
    engine.refuse = {"unpause web"}
    with pytest.raises(HostwardError, match=r"container web cannot go on: .*cannot be"):
        saver.save("docker", source(engine, meanwhile="pause"))
    assert engine.states()["web"] == "paused" and engine.states()["worker"] == "running"
    assert len(list(saver.state.iterdir())) == 1
    with pytest.raises(HostwardError, match="of a run before this one: container web cannot go on"):
        saver.save("docker", source(engine))
    engine.refuse = set()
    saver.save("docker", source(engine))
    assert engine.states()["web"] == "running" and list(saver.state.iterdir()) == []


PROGRAM = """
import sys, time
from pathlib import Path
from agent.backups.sources import registry
from agent.backups.sources.contract import Run
from agent.config.backup_sources.docker import DockerSource
options = DockerSource(socket=sys.argv[1], volumes=("shop_data",), meanwhile=sys.argv[3])
with registry.opened("docker", options, Run("job", Path(sys.argv[2]))):
    print("held", flush=True)
    time.sleep(1000)
"""


def test_containers_go_on_when_the_run_is_killed(engine: SmallEngine, tmp_path: Path) -> None:
    """The guard lets them, though nobody can tell it to."""
    before = engine.states()
    command = [sys.executable, "-c", PROGRAM, engine.socket, str(tmp_path), "pause"]
    run = subprocess.Popen(command, stdout=subprocess.PIPE)
    try:
        assert run.stdout is not None and run.stdout.readline() == b"held\n"
        assert engine.states() != before
    finally:
        run.send_signal(signal.SIGKILL)
        run.communicate()
    until(lambda: engine.states() == before and not list(tmp_path.iterdir()))


# As the container check's engine has it: in namespaces of its own, so that all that it starts ends with it.
PODMAN = """
set -e
umount -R /sys/fs/cgroup 2>/dev/null || true
mount -t cgroup2 none /sys/fs/cgroup
mount -t tmpfs none /run
mount -t tmpfs none /dev/shm
podman="podman --root $1/root --runroot $1/run --tmpdir $1/tmp --storage-driver vfs --cgroup-manager cgroupfs"
podman="$podman --events-backend none"
limits="--network none --cgroups disabled --ulimit nofile=1024:1024 --ulimit nproc=1024:1024 --pull never"
tar -C "$1/image" -c . | $podman import - localhost/busy:1
$podman volume create --label backup=daily shop_data
$podman volume create other
$podman run -d $limits --name web -v shop_data:/data localhost/busy:1 /bin/sh -c \\
    'trap exit TERM; echo started >>/data/starts; while sleep 0.1; do :; done'
exec $podman system service -t 0 "unix://$1/engine.sock"
"""


def test_a_real_engine_stops_and_starts(saver: Saver) -> None:
    """Podman: the volume is saved while its container is stopped, which runs again afterwards."""
    require_root()
    for program in ("podman", "unshare", "busybox"):
        require_program(program)
    folder = Path(tempfile.mkdtemp(prefix="engine-", dir="/tmp"))
    (folder / "image/bin").mkdir(parents=True)
    shutil.copy(require_program("busybox").resolve(), folder / "image/bin/busybox")
    for name in ("sh", "sleep"):
        (folder / "image/bin" / name).symlink_to("busybox")
    command = ["unshare", "--mount", "--pid", "--fork", "--mount-proc", "--kill-child", "sh", "-c", PODMAN, "sh"]
    with (folder / "log").open("wb") as log:
        server = subprocess.Popen([*command, folder], stdin=subprocess.DEVNULL, stdout=log, stderr=log)
    starts = folder / "root/volumes/shop_data/_data/starts"
    try:
        until(lambda: starts.exists() and (folder / "engine.sock").exists() and starts.read_text())
        options = DockerSource(
            socket=str(folder / "engine.sock"), volumes=("shop*",), labels=("backup=daily",), meanwhile="stop"
        )
        seen: list[str] = []
        outcome = saver.save("docker", options, lambda: seen.append(starts.read_text()))
        files = saver.files(outcome)
        assert files[str(starts)] == b"started\n" == seen[0].encode()
        assert json.loads(files["/docker/volumes.json"])[0]["Labels"] == {"backup": "daily"}
        until(lambda: starts.read_text() == "started\nstarted\n")
        assert list(saver.state.iterdir()) == []
    except BaseException:
        print((folder / "log").read_text())
        raise
    finally:
        server.send_signal(signal.SIGKILL)
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)
