"""How an administrator's programs know home and ask it."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any

import pytest

from kit.errors import ConfigurationError
from kit.homefile import VARIABLE, HomeError, home_file, open_home
from tests.collector.support import RealHome, initialise, run, serving


def written(folder: Path, url: str, *, ca: str = "ca.pem", token: str = "hwa_x") -> Path:
    """A home file with its token beside it."""
    (folder / "token").write_text(token + "\n")
    (folder / "token").chmod(0o600)
    file = folder / "home.toml"
    file.write_text(f'url = "{url}"\nca = "{ca}"\ntoken_file = "token"\n')
    return file


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A home that is served, for all tests here."""
    folder = tmp_path_factory.mktemp("home") / "data"
    initialise(folder, "127.0.0.1")
    with serving(folder) as home:
        yield home


def test_home_is_asked_by_the_token_and_proven_by_the_copy_of_its_certificate(real: RealHome, tmp_path: Path) -> None:
    """A right token is answered, a wrong one refused in home's words, and another certificate not believed."""
    token = run("api-token", "create", "--data-dir", str(real.folder)).stdout.strip()
    ca = str(real.folder / "ca.pem")
    home = open_home(written(tmp_path, real.url, ca=ca, token=token))
    assert home.get("/api/v1/hosts", dict[str, Any]) == {"hosts": []}
    with pytest.raises(HomeError, match="answers what cannot be understood"):
        home.get("/api/v1/hosts", list[str])
    with pytest.raises(HomeError, match="refused GET /api/v1/hosts/nobody: ") as refused:
        home.get("/api/v1/hosts/nobody", dict[str, Any])
    assert (refused.value.status, refused.value.is_away) == (404, False)
    home.close()
    with pytest.raises(HomeError) as unknown:
        open_home(written(tmp_path, real.url, ca=ca, token="hwa_other")).get("/api/v1/hosts", dict[str, Any])
    assert unknown.value.status == 401
    file = written(tmp_path, real.url, token=token)
    file.write_text(file.read_text().replace('ca = "ca.pem"\n', ""))
    with pytest.raises(HomeError, match="is not the home that its certificate should prove: "):
        open_home(file).get("/api/v1/hosts", dict[str, Any])


def test_a_home_that_is_away_is_told_as_such(tmp_path: Path) -> None:
    """Nobody listens there."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        url = f"https://127.0.0.1:{free.getsockname()[1]}"
        (tmp_path / "ca.pem").write_text("")
        file = written(tmp_path, url)
        file.write_text(file.read_text().replace('ca = "ca.pem"\n', ""))
        with pytest.raises(HomeError, match="cannot be reached: Connection refused") as away:
            open_home(file).get("/api/v1/hosts", dict[str, Any])
    assert away.value.is_away


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('url = "http://home:8443"\ntoken_file = "token"', "expected https://NAME:PORT"),
        ('url = "https://home:8443/x"\ntoken_file = "token"', "expected https://NAME:PORT"),
        ('url = "https://u:p@home"\ntoken_file = "token"', "expected https://NAME:PORT"),
        ('url = "https://home"', "token_file"),
        ('url = "https://home"\ntoken_file = "token"\ntokn = 1', "tokn"),
        ('url = "https://home"\ntoken_file = "token"\nca = "none.pem"', "expected a copy of home's ca.pem"),
        ("url = ", "home.toml"),
    ],
)
def test_mistakes_are_named(tmp_path: Path, text: str, said: str) -> None:
    """Each in one sentence, with its file."""
    file = written(tmp_path, "https://home")
    file.write_text(text)
    with pytest.raises(ConfigurationError) as wrong:
        open_home(file)
    assert said in str(wrong.value)
    assert str(file) in str(wrong.value)


def test_a_token_that_others_can_read_or_that_is_none_is_refused(tmp_path: Path) -> None:
    """Nothing of it is told."""
    (tmp_path / "ca.pem").write_text("")
    file = written(tmp_path, "https://home", token="hwa_secret with spaces")
    with pytest.raises(ConfigurationError, match="holds no API token") as wrong:
        open_home(file)
    assert "secret with" not in str(wrong.value)
    (tmp_path / "token").chmod(0o644)
    with pytest.raises(ConfigurationError, match="token"):
        open_home(file)


def test_the_file_is_the_one_that_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The option goes before the variable, the variable before the usual place, which may be empty."""
    monkeypatch.setenv("HOME", str(tmp_path))
    assert home_file() is None
    usual = tmp_path / ".config/hostward/home.toml"
    usual.parent.mkdir(parents=True)
    usual.write_text("")
    assert home_file() == usual
    monkeypatch.setenv(VARIABLE, "/other")
    assert home_file() == Path("/other")
    assert home_file(Path("/given")) == Path("/given")
