"""The commands, as a person or a script runs them."""

from __future__ import annotations

import json
import os
import pty
import signal
import stat
import subprocess
import sys
import time
from argparse import Namespace
from pathlib import Path

import pytest

from collector.cli.command import opened
from collector.cli.dispatch import COMMANDS
from collector.store import accounts, hosts
from collector.store.database import open_database
from kit.errors import HostwardError
from kit.version import __version__
from tests.collector import support
from tests.collector.store.test_hosts import KEY, record
from tests.collector.support import COMMAND, run
from tests.require import require_root


def collector(folder: Path, *words: str, input: str | None = None) -> str:
    """What a command prints when it does what it should."""
    done = run(*words, "--data-dir", str(folder), input=input)
    assert done.returncode == 0, done.stderr
    assert done.stderr == ""
    return done.stdout


def refused(folder: Path, *words: str, input: str | None = None) -> tuple[int, str]:
    """Exit code and the one line that it prints when it does not."""
    done = run(*words, "--data-dir", str(folder), input=input)
    assert done.stdout == ""
    assert len(done.stderr.splitlines()) == 1, done.stderr
    assert done.stderr.startswith("hostward-collector: ")
    return done.returncode, done.stderr


def test_the_version_is_told_without_loading_anything_heavy() -> None:
    """It costs little more than starting Python."""
    code = (
        "import sys; from collector.cli import main; main(['--version']);"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'argparse', 'sqlalchemy', 'starlette', 'uvicorn', 'cryptography', 'msgspec', 'argon2', 'alembic'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines() == [f"hostward-collector {__version__}", "[]"]


def test_commands_other_than_serve_load_no_server(data_folder: Path) -> None:
    """A token is made in a moment."""
    code = (
        "import sys; from collector.cli import main;"
        f"main(['token', 'create', '--data-dir', {str(data_folder)!r}]);"
        "print(sorted({name.partition('.')[0] for name in sys.modules} & "
        "{'starlette', 'uvicorn', 'alembic', 'jinja2'}))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself_with_an_example(name: str) -> None:
    """On standard output."""
    done = run(*name.split(), "--help")
    assert done.returncode == 0, done.stderr
    assert f"hostward-collector {name}" in done.stdout.partition("examples:")[2]
    assert "--data-dir" in done.stdout


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["tokne", "create"], 'did you mean "token create"?'),
        (["host", "lst"], 'did you mean "host list"?'),
        (["\x1b[31m"], "no command"),
    ],
)
def test_a_command_that_is_none_is_named_with_the_nearest(words: list[str], said: str) -> None:
    """Exit code 2."""
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert said in done.stderr
    assert "\x1b" not in done.stderr


def test_the_overview_lists_every_command() -> None:
    """Also where only a group is named."""
    assert all(name in run().stdout for name in COMMANDS)
    assert "host revoke" in run("host", "--help").stdout


def test_init_makes_a_folder_for_nobody_else_and_prints_the_login_once(tmp_path: Path) -> None:
    """The password works, and cannot be read from the folder."""
    folder = tmp_path / "a" / "home"
    output = collector(folder, "init", "--name", "home.example.org")
    _, name, password = next(line for line in output.splitlines() if line.startswith("login: ")).split()
    assert name == "admin"
    assert len(password) >= 16
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    modes = {file.name: stat.S_IMODE(file.stat().st_mode) for file in folder.iterdir()}
    assert modes == {"ca.pem": 0o644, "ca.key": 0o600, "server.pem": 0o600, "collector.db": 0o600}
    assert not any(password.encode() in file.read_bytes() for file in folder.iterdir())
    with support.serving(folder) as home, home.client() as client:
        form = {"name": name, "password": password}
        answer = client.post("/login", data=form, headers={"Origin": home.url})
        assert answer.status_code == 303
        assert client.get("/").status_code == 200


def test_what_root_sets_up_belongs_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    """A service that was started before `init` is the owner of the folder, and must be able to read what is in it."""
    require_root()
    os.chown(tmp_path, 12345, 12346)
    collector(tmp_path, "init")
    owners = {(file.stat().st_uid, file.stat().st_gid) for file in tmp_path.iterdir()}
    assert owners == {(12345, 12346)}


def test_a_user_who_may_not_read_the_folder_is_told_so(data_folder: Path) -> None:
    """Whatever the command."""
    require_root()
    os.seteuid(65534)
    try:
        with (
            pytest.raises(HostwardError, match="Permission denied; run as root"),
            opened(Namespace(data_dir=data_folder)),
        ):
            pass
    finally:
        os.seteuid(0)


def test_init_does_not_touch_what_is_set_up_already(data_folder: Path) -> None:
    """It says how a lost password is replaced, and doing that works."""
    before = {file.name: file.read_bytes() for file in data_folder.iterdir()}
    code, said = refused(data_folder, "init")
    assert code == 2
    assert "user password" in said
    assert {file.name: file.read_bytes() for file in data_folder.iterdir()} == before
    collector(data_folder, "user", "password", "admin", input="a new password\n")


def test_init_does_not_take_a_folder_that_holds_something_else(tmp_path: Path) -> None:
    """Nor changes its mode."""
    tmp_path.chmod(0o755)
    (tmp_path / "letters.txt").write_text("mine")
    code, said = refused(tmp_path, "init")
    assert code == 2
    assert "letters.txt" in said
    assert stat.S_IMODE(tmp_path.stat().st_mode) == 0o755


def test_init_refuses_a_name_that_can_be_in_no_certificate(tmp_path: Path) -> None:
    """And the next init, with a better one, works."""
    folder = tmp_path / "home"
    code, said = refused(folder, "init", "--name", "two words")
    assert code == 2
    assert '"two words"' in said
    collector(folder, "init", "--name", "one.example.org")


def test_an_init_that_was_killed_anywhere_can_be_run_again(tmp_path: Path) -> None:
    """And then everything fits together."""
    for number, delay in enumerate((0.2, 0.35, 0.5, 0.65, 0.8, 0.95)):
        folder = tmp_path / str(number)
        process = subprocess.Popen(
            [*COMMAND, "init", "--data-dir", str(folder)], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        )
        time.sleep(delay)
        process.send_signal(signal.SIGKILL)
        process.wait()
        again = run("init", "--data-dir", str(folder))
        assert again.returncode == 0 or "is set up already" in again.stderr, again.stderr
        with support.serving(folder) as home, home.client() as client:
            assert client.get("/readyz").status_code == 200


@pytest.mark.parametrize("missing", ["ca.pem", "ca.key", "server.pem"])
def test_a_half_made_folder_is_finished(tmp_path: Path, missing: str) -> None:
    """Whatever is missing, and whatever an earlier one left behind."""
    folder = tmp_path / "home"
    collector(folder, "init")
    database = open_database(folder / "collector.db")
    with database.write() as connection:
        account = accounts.find_account(connection, "admin")
        assert account is not None
        accounts.delete_account(connection, account.id)
    database.close()
    (folder / missing).unlink()
    (folder / ".server.pem.0123456789ab.tmp").write_text("half a")
    collector(folder, "init")
    with support.serving(folder) as home, home.client() as client:
        assert client.get("/healthz").status_code == 200


@pytest.mark.parametrize("words", [["serve"], ["token", "create"], ["host", "list"], ["user", "list"]])
def test_without_init_every_command_says_so(tmp_path: Path, words: list[str]) -> None:
    """And makes nothing."""
    code, said = refused(tmp_path / "none", *words)
    assert code == 1
    assert "hostward-collector init" in said
    assert not (tmp_path / "none").exists()


def test_tokens_are_alone_on_standard_output(data_folder: Path) -> None:
    """Scripts put them into variables; no token begins like an option."""
    for words in (["token", "create"], ["token", "create", "--expires", "1h"], ["api-token", "create"]):
        (token,) = collector(data_folder, *words).splitlines()
        assert len(token) > 40
        assert token[:3] in ("hwe", "hwa")


@pytest.mark.parametrize("value", ["soon", "", "-1h", "5"])
def test_an_expiry_that_is_no_duration_is_refused(data_folder: Path, value: str) -> None:
    """With an example of one."""
    done = run("token", "create", "--data-dir", str(data_folder), f"--expires={value}")
    assert (done.returncode, done.stdout) == (2, "")
    assert '"1h30m"' in done.stderr


def test_hosts_are_listed_for_people_and_for_programs(data_folder: Path) -> None:
    """The terminal is not steered by what a host calls itself."""
    database = open_database(data_folder / "collector.db")
    with database.write() as connection:
        hosts.add_host(connection, record(1, "web1"), KEY)
    database.close()
    assert "web1" in collector(data_folder, "host", "list")
    (found,) = json.loads(collector(data_folder, "host", "list", "--json"))
    assert (found["name"], found["state"], found["id"]) == ("web1", "pending", record(1).id)
    assert "web1" in collector(data_folder, "host", "revoke", "web1")
    assert json.loads(collector(data_folder, "host", "list", "--json")) == []
    assert refused(data_folder, "host", "revoke", "web1")[0] == 1


def test_api_tokens_are_listed_without_themselves_and_revoked_by_id(data_folder: Path) -> None:
    """The token cannot be shown again."""
    token = collector(data_folder, "api-token", "create", "--role", "operator", "--description", "wall").strip()
    listed = collector(data_folder, "api-token", "list", "--json")
    assert token not in listed
    (found,) = json.loads(listed)
    assert (found["role"], found["description"], found["used"]) == ("operator", "wall", None)
    assert found["id"] in collector(data_folder, "api-token", "list")
    collector(data_folder, "api-token", "revoke", found["id"])
    assert refused(data_folder, "api-token", "revoke", found["id"])[0] == 1


def test_people_are_added_listed_and_removed(data_folder: Path) -> None:
    """The password comes from standard input."""
    collector(data_folder, "user", "create", "anna", "--role", "operator", input="long enough\n")
    listed = json.loads(collector(data_folder, "user", "list", "--json"))
    assert [(user["name"], user["role"]) for user in listed] == [("admin", "admin"), ("anna", "operator")]
    assert "password" not in listed[0]
    assert refused(data_folder, "user", "create", "anna", input="long enough\n")[0] == 1
    collector(data_folder, "user", "delete", "anna")
    assert refused(data_folder, "user", "password", "anna", input="long enough\n")[0] == 1


@pytest.mark.parametrize(
    ("name", "password"), [("anna", ""), ("anna", "short\n"), ("anna", "x" * 1025), ("two words", "long enough")]
)
def test_names_and_passwords_that_cannot_be_are_refused(data_folder: Path, name: str, password: str) -> None:
    """Nobody is added."""
    assert refused(data_folder, "user", "create", name, input=password)[0] == 2
    assert len(json.loads(collector(data_folder, "user", "list", "--json"))) == 1


def test_the_only_administrator_stays(data_folder: Path) -> None:
    """Somebody must be able to do everything."""
    assert "only administrator" in refused(data_folder, "user", "delete", "admin")[1]
    collector(data_folder, "user", "create", "anna", "--role", "admin", input="long enough\n")
    collector(data_folder, "user", "delete", "admin")


def test_a_password_typed_at_a_terminal_is_asked_for_twice_and_not_shown(data_folder: Path) -> None:
    """Two that differ change nothing."""
    code, output = typed(["user", "create", "anna", "--data-dir", str(data_folder)], "long enough", "long enough")
    assert code == 0, output
    assert "long enough" not in output
    code, output = typed(["user", "password", "anna", "--data-dir", str(data_folder)], "long enough", "long enuogh")
    assert code == 2
    assert "differ" in output


def typed(words: list[str], *answers: str) -> tuple[int, str]:
    """Run with a terminal, type an answer at each prompt, and give exit code and all that was shown."""
    process, terminal = pty.fork()
    if process == 0:
        os.execv(COMMAND[0], [*COMMAND, *words])
    shown, left = b"", list(answers)
    with os.fdopen(terminal, "r+b", buffering=0) as stream:
        while True:
            try:
                part = stream.read(1024)
            except OSError:  # how Linux says that the other end is closed
                break
            if not part:
                break
            shown += part
            if left and part.rstrip().endswith(b":"):
                stream.write(left.pop(0).encode() + b"\n")
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1]), shown.decode()
