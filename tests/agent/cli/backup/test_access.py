"""Naming a repository and its password; what never gets out."""

from __future__ import annotations

import json
import os
import pty
import re
import subprocess
import time
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.agent.cli.backup.repos import PASSWORD, PREFIXES, Place, call, run
from tests.agent.daemon.daemons import HOSTWARD

QUIET = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}


def secret(folder: Path, text: str | bytes, name: str = "password") -> Path:
    """A file that only its owner reads."""
    file = folder / name
    file.touch(mode=0o600)
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    return file


@pytest.mark.parametrize(
    "content",
    [
        PASSWORD,
        f"{PASSWORD}\r\n",
        f"  {PASSWORD}\n\n",
        b"\xef\xbb\xbf" + PASSWORD.encode(),
        b"\xff\xfe" + PASSWORD.encode("utf-16-le"),
    ],
)
def test_a_file_tells_the_password(place: Place, tmp_path: Path, content: str | bytes) -> None:
    """Without the space around it, and in what editors make of text: as restic reads it."""
    words = ["backup", "cat", "config", "-r", str(place.folder), "-p", str(secret(tmp_path, content))]
    done = run(words, QUIET)
    assert (done.returncode, done.stderr) == (0, "")


def test_a_file_that_others_can_read_is_warned_of(place: Place, tmp_path: Path) -> None:
    """It is taken all the same: restic takes it too."""
    file = secret(tmp_path, PASSWORD)
    file.chmod(0o644)
    done = run(["backup", "snapshots", "-r", str(place.folder), "-p", str(file)], QUIET)
    assert done.returncode == 0
    assert (
        f"warning: {file}, which holds the password: others have rights to it (mode 0644); chmod 600 it"
        in done.stderr
    )


def test_a_program_tells_the_password(place: Place, tmp_path: Path) -> None:
    """Without a shell, in the folder of the command, with its environment but no password in it."""
    program = tmp_path / "ask"
    program.write_text('#!/bin/sh\nenv > seen; echo noise >&2; cat "$1"\n')
    program.chmod(0o755)
    secret(tmp_path, PASSWORD, "the file")
    environment = {
        **QUIET,
        "RESTIC_REPOSITORY": str(place.folder),
        "RESTIC_FROM_PASSWORD": "hidden",
        "RESTIC_PASSWORD": "hidden",
        "HOSTWARD_FROM_REPOSITORY": "rest:https://user:hidden@host/",
        "KEPT": "yes",
    }
    done = run(["backup", "snapshots", "--password-command", "./ask 'the file'"], environment, cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    seen = (tmp_path / "seen").read_text()
    assert "hidden" not in seen
    assert "KEPT=yes" in seen


@pytest.mark.parametrize(
    ("command", "code", "said"),
    [
        ("false", 1, "false, which should tell the password, failed: exit code 1"),
        ("/no/such/program", 1, "/no/such/program cannot be started: no such file or directory"),
        ("true", 2, "what true prints: is empty; expected the password"),
        ("'unended", 2, "--password-command: no closing quotation"),
        ("echo wrong", 12, "wrong password"),
    ],
)
def test_a_program_that_does_not_tell_it(place: Place, command: str, code: int, said: str) -> None:
    """One sentence."""
    done = run(["backup", "snapshots", "-r", str(place.folder), "--password-command", command], QUIET)
    assert done.returncode == code
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1


def test_ours_come_before_restics_and_the_command_line_before_both(place: Place, tmp_path: Path) -> None:
    """Of every variable; a whole way of telling at a time."""
    good, bad = str(secret(tmp_path, PASSWORD)), str(secret(tmp_path, "bad", "bad"))
    place_file = secret(tmp_path, f"{place.folder}\n", "place")
    cases: list[tuple[list[str], dict[str, str], int]] = [
        ([], {"RESTIC_REPOSITORY": str(place.folder), "RESTIC_PASSWORD": PASSWORD}, 0),
        ([], {"RESTIC_REPOSITORY_FILE": str(place_file), "RESTIC_PASSWORD_FILE": good}, 0),
        (
            [],
            {
                "RESTIC_REPOSITORY": "/nowhere",
                "HOSTWARD_REPOSITORY_FILE": str(place_file),
                "RESTIC_PASSWORD_FILE": good,
            },
            0,
        ),
        (
            [],
            {"HOSTWARD_REPOSITORY": str(place.folder), "HOSTWARD_PASSWORD": PASSWORD, "RESTIC_PASSWORD_FILE": bad},
            0,
        ),
        ([], {"HOSTWARD_REPOSITORY": str(place.folder), "RESTIC_PASSWORD": "bad", "RESTIC_PASSWORD_FILE": good}, 0),
        (["-p", good], {"HOSTWARD_REPOSITORY": str(place.folder), "HOSTWARD_PASSWORD_COMMAND": "echo bad"}, 0),
        (["-r", str(place.folder)], {"HOSTWARD_REPOSITORY": "/nowhere", "HOSTWARD_PASSWORD_FILE": bad}, 12),
        (["-r", "/nowhere"], {"HOSTWARD_REPOSITORY": str(place.folder), "HOSTWARD_PASSWORD_FILE": good}, 10),
        (["-r", "x", "--repository-file", "y"], {"HOSTWARD_PASSWORD": PASSWORD}, 2),
        (["-p", good, "--password-command", "x"], {"HOSTWARD_REPOSITORY": str(place.folder)}, 2),
    ]
    for words, environment, code in cases:
        done = call(["backup", "snapshots", *words], {**QUIET, **environment})
        assert done.returncode == code, (words, environment, done.stderr)


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (
            ["snapshots"],
            "no repository is named: give --repo PLACE, or set HOSTWARD_REPOSITORY, or put it into a file",
        ),
        (["snapshots", "--repository-file", "/no/such"], "/no/such, which should name the repository: No such file"),
        (["snapshots", "-r", "ftp:x"], "there is no kind of repository ftp"),
        (["snapshots", "-r", "/x", "-p", "/no/such"], "/no/such, which should hold the password: No such file"),
        (["snapshots", "-r", "/x"], "there is no password: give --password-file"),
        (["snapshots", "-r", "/x", "--compression", "zip"], '--compression "zip": expected auto, off or max'),
        (["snapshots", "-r", "/x", "--retry-lock", "long"], "expected a duration"),
        (["snapshots", "-r", "/x", "--limit-upload", "0"], "expected a whole number above zero"),
        (["copy", "-r", "/x", "--from-repo", "/y"], "there is no password: give --from-password-file"),
        (["run", "-r", "/x"], "there is nothing to save: name files or folders"),
        (["run", "-r", "/x", "--exlude", "a"], 'unrecognized arguments: --exlude; did you mean "--exclude"?'),
        (["--repo", "/x", "--latest", "1", "snapshots"], '"--latest" stands before the command'),
        (["--repo", "/x"], "no command is named: expected hostward backup COMMAND"),
        (
            ["migrate"],
            'there is no command "migrate": restic has it; hostward does not: docs/backup.md, "What differs',
        ),
        (["backup", "-r", "/x", "/etc"], 'there is no command "backup"; did you mean "run"?'),
        (["run", "-r", "/x", "/etc", "--pack-size", "1"], '--pack-size "1": expected MiB from 4 to 128'),
        (["run", "-r", "/x", "--stdin", "/etc"], "--stdin saves a stream alone"),
        (["run", "-r", "/x", "--stdin"], "standard input is what is to be saved"),
        (["run", "-r", "/x", "/etc", "--time", "soon"], '"soon" is no time'),
        (["restore", "-r", "/x", "latest"], "restore needs a folder: --target DIR"),
        (["restore", "-r", "/x", "-t", "/y"], "restore needs a snapshot"),
        (["restore", "-r", "/x", "latest", "-t", "/", "--delete"], "--delete into /"),
        (["ls", "-r", "/x"], "ls needs a snapshot"),
        (["cat", "-r", "/x", "thing"], 'there is no kind of objects "thing"'),
        (["list", "-r", "/x", "things"], 'there is no kind of objects "things"'),
        (["find", "-r", "/x", "a", "--blob", "--pack"], "only one can be meant"),
        (["check", "-r", "/x", "--read-data", "--read-data-subset", "1%"], "exclude each other"),
    ],
)
def test_what_cannot_be_is_one_sentence(words: list[str], said: str) -> None:
    """Exit code 2, and nothing else happened."""
    done = call(["backup", *words], QUIET)
    assert done.returncode == 2, done.stderr
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert "Traceback" not in done.stderr


def test_a_credential_of_the_unit_tells_the_password(place: Place, tmp_path: Path) -> None:
    """Where systemd put it; where there is none, the sentence says how to have one."""
    secret(tmp_path, PASSWORD, "backup")
    words = ["backup", "snapshots", "-r", str(place.folder), "-p", "credential:backup"]
    assert run(words, {**QUIET, "CREDENTIALS_DIRECTORY": str(tmp_path)}).returncode == 0
    done = run(words, QUIET)
    assert done.returncode == 1
    assert "the unit has no credentials; give it LoadCredential=backup:FILE" in done.stderr


def test_errors_are_json_where_that_was_asked_for(place: Place) -> None:
    """As restic has them, on standard error."""
    for more, code in (({"HOSTWARD_PASSWORD": "bad"}, 12), ({"HOSTWARD_REPOSITORY": "/nowhere"}, 10)):
        done = call(["backup", "snapshots", "--json"], place.environment(**more))
        assert done.returncode == code
        said = json.loads(done.stderr)
        assert (said["message_type"], said["code"]) == ("exit_error", code)
        assert done.stdout == ""


def test_an_empty_word_names_nothing(place: Place) -> None:
    """What the environment names is not what was meant."""
    for option, name in (("-r", "--repo"), ("--repository-file", "--repository-file"), ("-p", "--password-file")):
        done = call(["backup", "snapshots", option, ""], place.environment())
        assert (done.returncode, done.stderr) == (2, f"hostward: {name} is empty, which names nothing\n")


@pytest.mark.parametrize(
    "words",
    [["snapshots", "--no-such"], ["nothing"], ["snapshots", "--group-by", "x"], ["cat", "-r", ""], ["--latest", "x"]],
)
def test_bad_usage_is_json_too(place: Place, words: list[str]) -> None:
    """Wherever --json stands."""
    for line in (["--json", *words], [*words, "--json"]):
        done = call(["backup", *line], place.environment())
        said = json.loads(done.stderr)
        assert (done.returncode, said["message_type"], said["code"], done.stdout) == (2, "exit_error", 2, "")
        assert said["message"]


def test_options_of_all_commands_may_stand_before_the_command(filled: Place) -> None:
    """As those who know restic write it."""
    environment = {**filled.environment(), "HOSTWARD_REPOSITORY": "/nowhere"}
    for words in (
        ["-r", str(filled.folder), "--json", "snapshots", "--latest", "1"],
        [f"--repo={filled.folder}", "-qv", "--retry-lock", "1m", "snapshots", "--json"],
        [f"-r{filled.folder}", "key", "list", "--json"],
    ):
        done = call(["backup", *words], environment)
        assert (done.returncode, done.stderr) == (0, "")
        assert json.loads(done.stdout)


def test_a_pipe_may_tell_the_password(place: Place) -> None:
    """Its first line, where nobody can be asked; --insecure-no-password says that there is none."""
    environment = {**QUIET, "HOSTWARD_REPOSITORY": str(place.folder)}
    assert run(["backup", "snapshots"], environment, stdin=PASSWORD.encode() + b"\nmore").returncode == 0
    assert run(["backup", "snapshots", "--insecure-no-password"], environment).returncode == 12


def test_a_person_is_asked_three_times(place: Place) -> None:
    """On the terminal, without an echo of what is typed."""
    environment = {**QUIET, "HOSTWARD_REPOSITORY": str(place.folder), "TERM": "dumb"}
    said, code = on_terminal(["backup", "snapshots"], environment, ["wrong one", PASSWORD])
    assert code == 0
    assert said.count(f"password of {place.folder}: ") == 2
    assert "wrong password" in said
    assert PASSWORD not in said
    said, code = on_terminal(["backup", "snapshots"], environment, ["bad"] * 3)
    assert code == 12


def test_a_new_password_is_typed_twice(tmp_path: Path) -> None:
    """Two that differ make no repository."""
    environment = {**QUIET, "HOSTWARD_REPOSITORY": str(tmp_path / "new"), "TERM": "dumb"}
    said, code = on_terminal(["backup", "init"], environment, ["one", "two"])
    assert code == 2
    assert "the two passwords are not the same" in said
    assert not (tmp_path / "new" / "config").exists()


@pytest.mark.parametrize("broken", ["config", "keys", "index", "snapshots"])
def test_a_broken_repository_tells_no_secret(filled: Place, tmp_path: Path, broken: str) -> None:
    """Nor a traceback."""
    master = json.loads(filled.hostward("cat", "masterkey"))
    copy = Place(tmp_path / "copy")
    subprocess.run(["cp", "-r", str(filled.folder), str(copy.folder)], check=True)
    victims = [copy.folder / broken] if broken == "config" else list((copy.folder / broken).iterdir())
    for file in victims:
        content = file.read_bytes()
        file.chmod(0o600)
        file.write_bytes(content[: len(content) // 2] + b"\xff" + content[len(content) // 2 + 1 :])
    for words in (["snapshots"], ["check"], ["ls", "latest"], ["key", "list"], ["forget", "--keep-last", "1"]):
        done = call(["backup", *words, "-vv"], copy.environment())
        text = done.stdout + done.stderr
        assert "Traceback" not in text
        for hidden in (PASSWORD, master["encrypt"], master["mac"]["k"]):
            assert hidden not in text


def test_no_process_shows_a_password(tmp_path: Path) -> None:
    """Neither in arguments nor in the environment of what it starts; its memory is not dumped."""
    place = Place.make(tmp_path / "repository")
    source = tmp_path / "source"
    source.mkdir()
    with (source / "big").open("wb") as file:
        for _ in range(64):
            file.write(os.urandom(1 << 20))
    probe = tmp_path / "probe"
    probe.write_text("#!/bin/sh\ncat /proc/$PPID/limits /proc/self/environ; tr '\\\\0' ' ' < /proc/$PPID/cmdline\n")
    probe.chmod(0o755)
    words = ["backup", "run", "--stdin-from-command", "--stdin-filename", "x", "--", str(probe)]
    assert run(words, place.environment(RESTIC_PASSWORD="hidden")).returncode == 0
    seen = place.hostward("dump", "latest", "/x")
    assert PASSWORD not in seen
    assert "hidden" not in seen
    assert re.search(r"Max core file size +0 ", seen)

    # Four seconds of work, so that it is seen in the middle.
    words = ["backup", "run", str(source), "--limit-upload", "16000"]
    process = subprocess.Popen([str(HOSTWARD), *words], env=place.environment(), stdout=-3)
    try:
        workers = wait_for_children(process)
        for pid in [process.pid, *workers]:
            assert PASSWORD.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
            # What root alone may look at is not for other processes of the user, nor for core dumps.
            assert Path(f"/proc/{pid}/mem").stat().st_uid == 0
    finally:
        process.wait(60)
    assert process.returncode == 0


def wait_for_children(process: subprocess.Popen[bytes]) -> list[int]:
    """The workers of a run, once there are any."""
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        assert process.poll() is None
        children = Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()
        if children:
            return [int(pid) for pid in children if Path(f"/proc/{pid}").exists()]
        time.sleep(0.01)
    raise AssertionError("it has no workers")


def on_terminal(words: list[str], environment: dict[str, str], typed: list[str]) -> tuple[str, int]:
    """What a command shows on a terminal of its own, on which somebody types when asked."""
    pid, terminal = pty.fork()
    if pid == 0:
        os.execve(HOSTWARD, [str(HOSTWARD), *words], environment)
    said = b""
    answers = iter(typed)
    asked = 0
    try:
        while True:
            try:
                chunk = os.read(terminal, 65536)
            except OSError:  # its end
                break
            if not chunk:
                break
            said += chunk
            while said.count(b": ") and len(re.findall(rb"password[^\n]*: ", said)) > asked:
                asked += 1
                # getpass throws away what was typed before it asks.
                time.sleep(0.05)
                os.write(terminal, next(answers, "").encode() + b"\n")
    finally:
        os.close(terminal)
        _, status = os.waitpid(pid, 0)
    return said.decode(), os.waitstatus_to_exitcode(status)


def test_what_comes_over_a_network_is_kept_here(filled: Place, tmp_path: Path) -> None:
    """Indexes, snapshots and trees, as they are in the store; nothing of a folder's, nor where that is not wanted."""
    (repository,) = {filled.opened().config.id}
    for words, kept in ((["--no-cache"], set()), ([], {"index", "snapshots", "data"})):
        cache = tmp_path / "".join(["cache", *words])
        with patch("backup.stores.local.LocalStore.is_remote", True):
            filled.hostward("ls", "latest", *words, XDG_CACHE_HOME=str(cache))
        found = [path for path in (cache / "hostward-backup" / repository).rglob("?" * 64) if path.is_file()]
        assert {path.parent.name for path in found} == kept
        for path in found:
            assert path.read_bytes() == next(filled.folder.rglob(path.name)).read_bytes()
    filled.hostward("ls", "latest", XDG_CACHE_HOME=str(tmp_path / "none"))
    filled.hostward("ls", "latest", "--cache-dir", tmp_path / "named")
    assert not (tmp_path / "none").exists()
    assert not (tmp_path / "named").exists()
