"""`hostward enroll`: one clear line for whatever is wrong, and nothing half saved."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from agent.cli.dispatch import dispatch
from agent.home import identity
from tests.agent.home import server
from tests.agent.home.server import Home
from tests.agent.home.tls import Authority


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """One that enrolls who has the token."""
    with Home(tmp_path) as found:
        found.tokens["good-token"] = ""
        found.usual = server.enroll
        yield found


def address(home: Home) -> str:
    """As it is named in messages."""
    return home.url.removeprefix("https://")


class Command:
    """Runs the command and keeps what it printed."""

    def __init__(self, home: Home, folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
        self.home = home
        self.folder = folder
        self.capsys = capsys
        self.options = {
            "--collector": home.url,
            "--token": "good-token",
            "--ca": str(home.ca),
            "--state-dir": str(folder),
            "--name": "web 1",
        }

    def __call__(self, *words: str, **changes: str | None) -> tuple[int, str, str]:
        """Exit code, output, errors. `token_file="x"` sets --token-file; None leaves an option out."""
        options = self.options | {f"--{name.replace('_', '-')}": value for name, value in changes.items()}
        given = [word for name, value in options.items() if value is not None for word in (name, value)]
        try:
            code = dispatch(["enroll", *given, *words])
        except SystemExit as error:
            code = int(str(error.code))
        out, err = self.capsys.readouterr()
        return code, out, err

    def fails(self, *words: str, code: int = 1, **changes: str | None) -> str:
        """The one line of a failure that leaves no enrolment behind."""
        found, out, err = self(*words, **changes)
        assert found == code, err
        assert out == ""
        assert err.startswith("hostward: ") and err.endswith("\n") and err.count("\n") == 1, err
        assert not (self.folder / identity.IDENTITY).exists()
        assert not (self.folder / identity.CA).exists()
        return err


@pytest.fixture
def enroll(home: Home, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Command:
    """With everything right."""
    return Command(home, tmp_path / "state", capsys)


def test_a_host_is_enrolled(home: Home, enroll: Command) -> None:
    code, out, err = enroll()
    assert (code, err) == (0, "")
    assert out == f"enrolled: {home.url} knows this host as web 1; the agent, once it runs, reports there\n"
    found = identity.load(enroll.folder)
    assert found is not None
    assert (found.collector, found.host, found.name) == (home.url, "host-1", "web 1")
    assert found.ca.read_bytes() == home.ca.read_bytes()
    assert enroll.folder.stat().st_mode & 0o777 == 0o700
    asked = json.loads(home.requests[0].body)
    assert asked["facts"]["kernel"] == os.uname().release
    assert "good-token" not in "".join(path.read_text() for path in enroll.folder.iterdir())


def test_the_name_is_that_of_the_configuration_else_the_hosts_own(
    home: Home, enroll: Command, tmp_path: Path
) -> None:
    (tmp_path / "agent.toml").write_text('[agent]\nname = "from the file"\n')
    assert enroll(name=None, config=str(tmp_path / "agent.toml"))[0] == 0
    enroll.options["--state-dir"] = str(tmp_path / "other")
    home.tokens["second"] = ""
    assert enroll(name=None, token="second")[0] == 0
    assert [json.loads(request.body)["name"] for request in home.requests] == ["from the file", os.uname().nodename]


def test_a_configuration_that_was_named_must_be_there(enroll: Command, tmp_path: Path) -> None:
    """Otherwise a mistyped path would give the host another name than the one that was meant."""
    assert "there is no such file" in enroll.fails(name=None, config=str(tmp_path / "none.toml"), code=2)


def test_the_token_may_come_from_a_file_or_standard_input(
    home: Home, enroll: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = tmp_path / "token"
    file.write_text("good-token\n")
    assert enroll(token=None, token_file=str(file))[0] == 0
    enroll.options["--state-dir"] = str(tmp_path / "other")
    home.tokens["second"] = ""
    monkeypatch.setattr(sys, "stdin", io.StringIO("  second \n"))
    assert enroll(token=None, token_file="-")[0] == 0


def test_doing_it_again_changes_nothing(home: Home, enroll: Command) -> None:
    enroll()
    before = {path.name: path.read_bytes() for path in enroll.folder.iterdir()}
    code, out, _ = enroll()
    assert code == 0
    assert out == f"this host is enrolled already: {home.url} knows it as web 1\n"
    assert len(home.requests) == 1
    assert {path.name: path.read_bytes() for path in enroll.folder.iterdir()} == before


def test_a_host_has_one_home(enroll: Command) -> None:
    enroll()
    code, _, err = enroll(collector="https://elsewhere")
    assert code == 1
    assert "is enrolled at" in err and "remove" in err


def test_json(home: Home, enroll: Command) -> None:
    """The same for programs."""
    expected = {"collector": home.url, "host": "host-1", "name": "web 1"}
    assert json.loads(enroll("--json")[1]) == expected | {"already": False}
    assert json.loads(enroll("--json")[1]) == expected | {"already": True}


def test_a_crash_after_home_said_yes_is_made_good_by_the_same_command(home: Home, enroll: Command) -> None:
    """The key was safe before home heard of it, so the token still fits."""

    def answer_into_nothing(home: Home, request: server.Request, tls: object) -> None:
        server.enroll(home, request, tls)  # type: ignore[arg-type]  # not used

    home.script.append(answer_into_nothing)
    assert "cannot be reached" in enroll.fails()
    assert home.tokens["good-token"] != ""
    assert enroll()[0] == 0


def test_a_wrong_clock_is_no_obstacle(home: Home, enroll: Command) -> None:
    home.clock = lambda: time.time() + 86_400
    assert enroll()[0] == 0
    assert len(home.requests) == 2


def test_an_unknown_and_a_used_token_are_told_in_homes_words(home: Home, enroll: Command) -> None:
    assert "the collector refuses (token_unknown): The enrolment token" in enroll.fails(token="other")
    home.tokens["good-token"] = "another key"
    assert "(token_used): The enrolment token was used before." in enroll.fails()


def test_what_home_says_cannot_steer_the_terminal(home: Home, enroll: Command) -> None:
    home.usual = server.say(403, b'{"error": {"code": "no", "message": "\\u001b[2Jgone\\nnew line"}}')
    assert "\x1b" not in enroll.fails()


def test_another_ca_is_not_trusted(enroll: Command, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also not when the environment says so."""
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(enroll.home.ca))
    err = enroll.fails(ca=str(Authority(tmp_path, "other").file))
    assert "is not trusted: " in err
    assert "other" in err
    assert "certificate" in err
    assert enroll.home.requests == []


def test_another_name_is_not_trusted(home: Home, enroll: Command) -> None:
    home.certificate = home.authority.certificate("127.0.0.2")
    assert "IP address mismatch" in enroll.fails()


def test_the_environments_proxy_is_not_used(home: Home, enroll: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    assert enroll()[0] == 0


def test_a_home_that_is_absent(home: Home, enroll: Command) -> None:
    home.disappear()
    assert enroll.fails() == f"hostward: the collector {address(home)} cannot be reached: Connection refused\n"
    assert "cannot be reached: Name or service not known" in enroll.fails(collector="https://nowhere.invalid")


NONSENSE = {
    "HTML": server.say(200, b"<html>hotel</html>", {"Content-Type": "text/html"}),
    "empty": server.say(200, b""),
    "500": server.say(500, b"oops"),
    "404": server.say(404, b'{"detail": "Not Found"}'),
    "redirect": server.say(302, b"", {"Location": "https://elsewhere.example/"}),
    "garbage": server.say(200, b'{"host": 1}'),
    "an id that cannot be signed with": server.say(200, b'{"host": "a b", "name": "n", "time": 1}'),
    "too much": server.say(200, b" " * 100_000),
    "gzip that is none": server.say(200, b"xxxx", {"Content-Encoding": "gzip"}),
    "cut": server.cut,
    "less than promised": server.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}"),
    "not HTTP": server.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
}


@pytest.mark.parametrize("name", NONSENSE)
def test_nonsense_is_one_clear_line(home: Home, enroll: Command, name: str) -> None:
    """Whatever answers there, it is named, and nothing of it is kept."""
    home.usual = NONSENSE[name]
    assert address(home) in enroll.fails()


def test_an_answer_that_never_ends_is_given_up(home: Home, enroll: Command, monkeypatch: pytest.MonkeyPatch) -> None:
    """Also where it comes a letter at a time: the limit is for all of it."""
    monkeypatch.setattr("agent.cli.enroll.TIMEOUT", 0.5)
    home.usual = server.drip
    assert "did not answer within 0.5 s" in enroll.fails()


def test_a_state_folder_that_others_can_write_to_is_not_trusted(enroll: Command) -> None:
    """They could put their own key there before the host is enrolled, and their own home after."""
    enroll.folder.mkdir()
    enroll.folder.chmod(0o777)
    assert "has mode 0777" in enroll.fails()
    enroll.folder.chmod(0o755)
    assert enroll()[0] == 0


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"collector": "http://home"}, "is not the address of a collector"),
        ({"collector": "https://home/path"}, "with nothing behind it"),
        ({"ca": "/nonexistent"}, "cannot be read: No such file"),
        ({"token": None, "token_file": "/nonexistent"}, "cannot be read: No such file"),
        ({"token": " "}, "holds no token"),
        ({"token": "two words"}, "holds no token"),
        ({"token": "t" * 1000}, "holds no token"),
        ({"name": ""}, "--name takes"),
        ({"name": "a\x1b[2J"}, "--name takes"),
        ({"name": "n" * 300}, "--name takes"),
    ],
)
def test_bad_usage_is_exit_code_two(enroll: Command, changes: dict[str, str | None], words: str) -> None:
    """Before anything is sent or made."""
    assert words in enroll.fails(code=2, **changes)
    assert enroll.home.requests == []
    assert not enroll.folder.exists()


def test_a_ca_file_without_a_certificate_is_bad_usage(enroll: Command, tmp_path: Path) -> None:
    for content in (b"", b"nonsense", b"\xff\xfe", b"-----BEGIN CERTIFICATE-----\nx\n-----END CERTIFICATE-----\n"):
        (tmp_path / "ca").write_bytes(content)
        assert "holds no certificate" in enroll.fails(code=2, ca=str(tmp_path / "ca"))


def test_token_and_token_file_are_one_too_many(enroll: Command) -> None:
    code, _, err = enroll(token_file="x")
    assert code == 2
    assert "not allowed with argument" in err
    assert enroll(token=None)[0] == 2


def test_a_state_folder_that_is_a_file_is_one_clear_line(enroll: Command, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    enroll.options["--state-dir"] = str(tmp_path / "file")
    assert "cannot be" in enroll.fails()


def test_the_command_line_works_as_a_process(home: Home, enroll: Command) -> None:
    """As an administrator calls it, with the token on standard input and out of sight."""
    given = [w for name, value in enroll.options.items() if name != "--token" for w in (name, value)]
    code = "import sys; from agent.cli.main import main; sys.exit(main())"
    done = subprocess.run(
        [sys.executable, "-c", code, "enroll", *given, "--token-file", "-"],
        input="good-token\n",
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("enrolled: ")
