"""Homes to test with."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.store.place import Place, choose
from collector.store.postgresql import Server
from tests.collector import servers as made_servers
from tests.collector import support


@pytest.fixture(scope="session")
def servers() -> Iterator[made_servers.Servers]:
    """A PostgreSQL server for the tests of this process."""
    with made_servers.running() as made:
        yield made


@pytest.fixture
def server(servers: made_servers.Servers) -> Iterator[Server]:
    """A database of PostgreSQL's, with home's tables."""
    place = servers.new()
    yield place
    servers.drop(place)


@pytest.fixture(params=["sqlite", "postgresql"])
def db_place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    """A database of each kind, with home's tables; it is that of the data folder `tmp_path`."""
    if request.param == "sqlite":
        return support.new_file(tmp_path)
    made: Server = request.getfixturevalue("server")
    choose(tmp_path, made)
    return made


@pytest.fixture
def home(tmp_path: Path, db_place: Place) -> Iterator[support.Home]:
    """A home in this process."""
    with support.home(tmp_path, place=db_place) as made:
        yield made


@pytest.fixture
def host(home: support.Home) -> support.Host:
    """A host that is enrolled there as web1, with a clock that is right."""
    made = support.Host(home.client, home.clock)
    assert made.enroll(home.token()).status_code == 200
    return made


@pytest.fixture(scope="session")
def initialised(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What `init` makes, made once: it takes a second."""
    folder = tmp_path_factory.mktemp("initialised") / "home"
    done = support.run("init", "--data-dir", str(folder))
    assert done.returncode == 0, done.stderr
    return folder


@pytest.fixture
def data_folder(initialised: Path, tmp_path: Path) -> Path:
    """What `init` makes, for one test alone."""
    return shutil.copytree(initialised, tmp_path / "home")
