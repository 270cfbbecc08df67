"""Servers once for each worker, and a ground of its own for each test."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.backup.stores.grounds import (
    Ground,
    HomeGround,
    LocalGround,
    MemoryGround,
    NetworkGround,
    PlacedGround,
    RestGround,
    S3Ground,
    SftpGround,
)
from tests.backup.stores.servers import KEY, SECRET, Sshd, rclone, restics_server, sshd
from tests.collector import support
from tests.collector.backups.test_server import arrived, keeping

NETWORKS = ("sftp", "rest", "rest-server", "s3")
WRAPPERS = ("retry", "limit", "cache")


@pytest.fixture(scope="session")
def sftp_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sshd]:
    with sshd(tmp_path_factory.mktemp("sshd")) as server:
        yield server


@pytest.fixture(scope="session")
def rest_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rest")


@pytest.fixture(scope="session")
def rest_server(rest_folder: Path) -> Iterator[int]:
    with rclone(rest_folder, "restic", "--user", KEY, "--pass", SECRET) as port:
        yield port


@pytest.fixture(scope="session")
def rest_server_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("rest-server")


@pytest.fixture(scope="session")
def restics_rest_server(rest_server_folder: Path) -> Iterator[int]:
    with restics_server(rest_server_folder) as port:
        yield port


@pytest.fixture(scope="session")
def s3_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("s3")


@pytest.fixture(scope="session")
def s3_server(s3_folder: Path) -> Iterator[int]:
    with rclone(s3_folder, "s3", "--auth-key", f"{KEY},{SECRET}") as port:
        yield port


@pytest.fixture(scope="session")
def home_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[], HomeGround]]:
    """Makes the ground of a new host at a collector whose hosts may remove what they saved."""
    folder = tmp_path_factory.mktemp("keeper") / "home"
    done = support.run("init", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    numbers = itertools.count()
    with keeping(folder, "append_only = false\n") as home, home.client() as client:
        yield lambda: HomeGround(lambda: arrived(home, client, f"host{next(numbers)}"), home.url, folder)


def make_ground(name: str, request: pytest.FixtureRequest, folder: Path) -> Ground:
    """Servers start when the first test asks for them."""
    match name:
        case "local":
            return LocalGround(folder)
        case "sftp":
            return SftpGround(request.getfixturevalue("sftp_server"), folder)
        case "rest":
            return RestGround(request.getfixturevalue("rest_server"), request.getfixturevalue("rest_folder"))
        case "rest-server":
            port = request.getfixturevalue("restics_rest_server")
            return RestGround(port, request.getfixturevalue("rest_server_folder"), user=KEY)
        case "home":
            made: HomeGround = request.getfixturevalue("home_server")()
            return made
        case "s3":
            return S3Ground(request.getfixturevalue("s3_server"), request.getfixturevalue("s3_folder"))
    return MemoryGround(folder, None if name == "memory" else name)


@pytest.fixture(params=["local", "memory", "home", *NETWORKS, *WRAPPERS])
def ground(request: pytest.FixtureRequest, tmp_path: Path) -> Ground:
    return make_ground(request.param, request, tmp_path)


@pytest.fixture(params=["local", "home", *NETWORKS])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> PlacedGround:
    """What is shared by processes."""
    found = make_ground(request.param, request, tmp_path)
    assert isinstance(found, PlacedGround)
    return found


@pytest.fixture(params=NETWORKS)
def network(request: pytest.FixtureRequest, tmp_path: Path) -> NetworkGround:
    found = make_ground(request.param, request, tmp_path)
    assert isinstance(found, NetworkGround)
    return found
