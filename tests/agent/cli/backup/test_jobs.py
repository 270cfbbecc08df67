"""Jobs of the configuration on the command line, with a watcher and without."""

from __future__ import annotations

import base64
import os
import re
import socket
import struct
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from agent.backups.watch.client import Memory, advise
from agent.backups.watch.place import SOCKET
from backup.repository.opening import open_repository
from backup.stores.local import LocalStore
from tests.agent.cli.backup.repos import PASSWORD, Place, parse, run
from tests.agent.daemon.daemons import HOSTWARD
from tests.require import require_root


class Host:
    """A configuration, and folders to save."""

    def __init__(self, folder: Path, place: Place) -> None:
        self.folder = folder
        self.place = place
        for name in ("etc/inner", "srv"):
            (folder / name).mkdir(parents=True)
            (folder / name / "file").write_text(name)
        self.secret = folder / "password"
        self.secret.touch(0o600)
        self.secret.write_text(PASSWORD + "\n")
        self.file = folder / "agent.toml"
        self.configure()

    def configure(self, etc: str = "", more: str = "") -> None:
        self.file.write_text(
            f'[backups.etc]\nrepository = "{self.place.folder}"\npassword_file = "{self.secret}"\n'
            f'paths = ["{self.folder}/etc"]\n{etc}\n{more}\n'
        )

    @property
    def environment(self) -> dict[str, str]:
        hidden = ("HOSTWARD_", "RESTIC_", "XDG_")
        base = {name: value for name, value in os.environ.items() if not name.startswith(hidden)}
        return {
            **base,
            "HOSTWARD_CONFIG": str(self.file),
            "HOSTWARD_RUN_DIR": str(self.folder / "run"),
            "RESTIC_CACHE_DIR": str(self.folder / "cache"),
            "STATE_DIRECTORY": str(self.folder / "state"),
        }

    def call(self, *words: object, code: int = 0, **more: str) -> str:
        done = run(["backup", *map(str, words)], {**self.environment, **more}, cwd=self.folder)
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout + done.stderr

    def snapshots(self) -> list[dict[str, object]]:
        done = run(["backup", "snapshots", "--job", "etc", "--json"], self.environment)
        assert done.returncode == 0, done.stderr
        found: list[dict[str, object]] = parse(done.stdout)
        return found

    @contextmanager
    def watcher(self, *jobs: str) -> Iterator[subprocess.Popen[bytes]]:
        """`hostward backup watch`, ready."""
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
            address = f"\0hostward-test-{os.getpid()}-{time.monotonic_ns()}"
            listener.bind(address)
            listener.settimeout(60)
            environment = {**self.environment, "NOTIFY_SOCKET": "@" + address[1:]}
            child = subprocess.Popen([HOSTWARD, "backup", "watch", *jobs], env=environment, stderr=subprocess.PIPE)
            try:
                assert b"READY=1" in listener.recv(1000)
                yield child
                if child.poll() is None:
                    child.terminate()
                assert child.wait(60) == 0
            finally:
                child.kill()
                child.wait()
                assert child.stderr is not None
                child.stderr.close()


@pytest.fixture
def host(tmp_path: Path, place: Place) -> Host:
    return Host(tmp_path, place)


def test_a_job_says_all_that_options_could(host: Host) -> None:
    """Repository, password, paths, what is left out, tags and host."""
    host.configure('exclude = ["inner"]\ntags = ["daily"]\nhost = "web1"\ncompression = "max"\npack_size = "4MiB"')
    host.call("run", "etc", "--tag", "more")
    (snapshot,) = host.snapshots()
    assert snapshot["paths"] == [f"{host.folder}/etc"]
    assert (snapshot["hostname"], snapshot["tags"], snapshot["excludes"]) == (
        "web1",
        ["daily", "job:etc", "more"],
        ["inner"],
    )
    shown = host.call("ls", "latest", "--job", "etc", "--config", host.file)
    assert f"{host.folder}/etc/file" in shown or "etc" in shown
    assert "inner" not in shown


def test_a_word_is_a_job_and_one_with_a_slash_a_path(host: Host) -> None:
    """Nothing else names a job, and both kinds do not mix."""
    host.call("run", "./etc", "--job", "etc")
    host.call("run", "etc")
    assert [snapshot["paths"] for snapshot in host.snapshots()] == [[f"{host.folder}/etc"]] * 2
    host.call("run", "srv", "--job", "etc")
    said = host.call("run", "etc", "srv", code=2)
    assert "./etc is a path" in said


def test_an_unknown_word_is_answered_with_the_nearest_job(host: Host) -> None:
    """In one sentence."""
    assert 'did you mean the job "etc"?' in host.call("run", "etcc", code=2)
    assert 'did you mean the job "etc"?' in host.call("snapshots", "--job", "etcc", code=2)
    host.file.write_text("")
    assert "no job is configured" in host.call("run", "etcc", code=2)


def test_several_jobs_run_whatever_becomes_of_one(host: Host) -> None:
    """The exit code is that of the first that failed."""
    srv = f'[backups.srv]\nrepository = "{host.folder}/none"\npassword_file = "{host.secret}"\npaths = ["/srv"]'
    host.configure(more=srv)
    said = host.call("run", "srv", "etc", code=10)
    assert "srv: " in said
    assert len(host.snapshots()) == 1


def test_a_job_without_a_snapshot_outweighs_one_that_lacks_paths(host: Host) -> None:
    """The exit code 3 would say that each has made its snapshot."""
    access = f'password_file = "{host.secret}"\n'
    host.configure(
        more=f'[backups.part]\nrepository = "{host.place.folder}"\n{access}paths = ["{host.folder}/etc", "/gone"]\n'
        f'[backups.srv]\nrepository = "{host.folder}/none"\n{access}paths = ["/srv"]'
    )
    host.call("run", "part", "etc", code=3)
    host.call("run", "part", "srv", code=10)


def test_mistakes_elsewhere_keep_no_backup_from_running(host: Host) -> None:
    """Only the tables of backups count."""
    host.configure(more='[checks.nonsense]\nevery = "never"')
    host.call("run", "etc")
    host.configure(etc='nonsense = "1"')
    assert "nonsense" in host.call("run", "etc", code=2)


def test_secrets_that_others_can_read_are_refused(host: Host) -> None:
    """The password's file and that of the store's credentials, and neither's content is shown."""
    host.secret.chmod(0o644)
    said = host.call("run", "etc", code=1)
    assert "chmod 600" in said
    host.secret.chmod(0o600)
    variables = host.folder / "variables"
    variables.write_text("# comment\n\nNAME = 'value'\nhunter2\n")
    variables.chmod(0o600)
    host.configure(f'environment_file = "{variables}"')
    said = host.call("run", "etc", code=1)
    assert f"{variables}:4: expected NAME=VALUE" in said
    assert "hunter2" not in said
    variables.chmod(0o640)
    os.chown(variables, -1, 12345) if os.geteuid() == 0 else variables.chmod(0o644)
    assert "others have rights" in host.call("run", "etc", code=1)


def test_the_job_outweighs_the_environment_and_the_command_line_the_job(host: Host) -> None:
    """So that a variable left in a shell sends no backup elsewhere."""
    host.call("run", "etc", HOSTWARD_REPOSITORY="/nowhere", RESTIC_PASSWORD_FILE="/nowhere")
    wrong = host.folder / "wrong"
    wrong.write_text("wrong")
    wrong.chmod(0o600)
    host.call("snapshots", "--job", "etc", "--password-file", wrong, code=12)


def test_a_program_tells_the_password(host: Host) -> None:
    """An array, so that no shell is needed."""
    text = host.file.read_text().replace(
        f'password_file = "{host.secret}"', f'password_command = ["cat", "{host.secret}"]'
    )
    host.file.write_text(text)
    host.call("run", "etc")


def test_a_watched_job_scans_what_changed(host: Host) -> None:
    """And everything at first, after the watcher's restart, when the job is another, and without a watcher."""
    host.configure("watch = true")
    for more in ([], ["--quiet"]):
        said = host.call("run", "etc", *more)
        assert "no watcher answers" in said
        assert said.splitlines()[0].endswith("; `systemctl start hostward-backup-watch@etc` starts one")
    assert host.call("run", "etc", "--quiet", "--force") == ""
    with host.watcher("etc"):
        assert "first run" in host.call("run", "etc")
        assert "scanning 0 folders" in host.call("run", "etc")
        (host.folder / "etc/inner/new").write_text("new")
        assert re.search(r"scanning [1-9][0-9]* folders", host.call("run", "etc"))
        assert "/etc/inner/new" in host.call("ls", "latest", "--job", "etc")
        host.configure('watch = true\nexclude = ["new"]')
        assert "saved something else" in host.call("run", "etc")
        assert "/etc/inner/new" not in host.call("ls", "latest", "--job", "etc")
        (host.folder / "etc/inner/other").write_text("new")
        assert re.search(r"scanning [1-9][0-9]* folders", host.call("run", "etc"))
        assert "/etc/inner/other" in host.call("ls", "latest", "--job", "etc")
        said = host.call("watch", "etc", code=1)
        assert "another process watches etc" in said
    with host.watcher("etc"):
        assert "begun anew" in host.call("run", "etc")
        assert "scanning 0 folders" in host.call("run", "etc")
        newest = host.snapshots()[-1]["id"]
        host.call("forget", newest, "--job", "etc")
        assert "scanning everything" in host.call("run", "etc")


def test_a_watched_job_tries_its_password_once(host: Host) -> None:
    """What it opened is kept by the watcher, for this password, and as long as the repository knows it."""
    host.configure("watch = true")
    host.call("run", "etc")
    (key,) = (host.place.folder / "keys").iterdir()
    content = key.read_bytes()

    def damage() -> None:
        if key.exists():
            key.chmod(0o600)
        key.write_bytes(content[:-20])

    with host.watcher("etc"):
        host.call("run", "etc")
        damage()
        assert "scanning 0 folders" in host.call("run", "etc")
        for _ in range(2):  # whoever has a wrong one makes the watcher forget
            host.secret.write_text("another\n")
            host.call("run", "etc", code=1)
            host.secret.write_text(PASSWORD + "\n")
            assert "do not have its hash" in host.call("run", "etc", code=1)
            key.write_bytes(content)
            host.call("run", "etc")
            damage()
            host.call("run", "etc")
        key.unlink()
        assert "no key file" in host.call("run", "etc", code=1)
        damage()
        assert "do not have its hash" in host.call("run", "etc", code=1)
    with host.watcher("etc"):
        assert "do not have its hash" in host.call("run", "etc", code=1)
        key.write_bytes(content)
        host.call("run", "etc")
        damage()
        host.call("run", "etc")


def test_a_watcher_holds_neither_the_password_nor_the_key(host: Host) -> None:
    """What it keeps for runs is sealed with the password, which it is never told."""
    require_root()
    host.configure("watch = true")
    with host.watcher("etc") as child:
        host.call("run", "etc")
        repository = open_repository(LocalStore(str(host.place.folder)), PASSWORD.encode())
        memory = memory_of(child.pid)
    assert repository.key_name.encode() in memory
    for part in (repository.key.encrypt, repository.key.mac_k, repository.key.mac_r):
        assert part not in memory
        assert base64.b64encode(part) not in memory
    assert PASSWORD.encode() not in memory


def memory_of(pid: int) -> bytes:
    """All that a process can write to."""
    parts = []
    with open(f"/proc/{pid}/mem", "rb", buffering=0) as memory:
        for line in Path(f"/proc/{pid}/maps").read_text().splitlines():
            place, rights, *_ = line.split()
            begin, end = (int(word, 16) for word in place.split("-"))
            if rights.startswith("rw"):
                memory.seek(begin)
                parts.append(memory.read(end - begin))
    return b"".join(parts)


def test_a_watcher_answers_questions_alone(host: Host) -> None:
    """On a socket that nobody else can open; nonsense, silence and hanging up do not end it."""
    said = host.call("watch", "etc", code=2)
    assert said == 'hostward: the job "etc" does not say watch = true, so no run of it would ask the watcher\n'
    host.configure("watch = true")
    with host.watcher("etc") as child:
        folder = host.folder / "run/hostward-backup/etc"
        assert folder.stat().st_mode & 0o777 == 0o700
        assert (folder / SOCKET).stat().st_mode & 0o777 == 0o600
        for nonsense in (b"\n", b"{}\n", b"x" * 5000, b"", os.urandom(100) + b"\n"):
            with socket.socket(socket.AF_UNIX) as connection:
                descriptor = os.open(folder, os.O_RDONLY)
                connection.settimeout(30)
                connection.connect(f"/proc/self/fd/{descriptor}/{SOCKET}")
                os.close(descriptor)
                try:
                    connection.sendall(nonsense)
                    connection.shutdown(socket.SHUT_WR)
                    assert connection.recv(1) == b""
                except OSError:
                    pass  # it hung up
        assert child.poll() is None
        advice = advise(None, repository="", fingerprint="other", folder=folder, now=0)
        assert (advice.token, advice.changed) == ("", None)


def test_a_run_asks_for_everything_once_a_day_and_when_the_clock_went_back(tmp_path: Path) -> None:
    """And believes nobody who is not there, or says too much."""
    memory = Memory(repository="r", fingerprint="f", snapshot="s", token="t", scanned=1000.0)

    def reason(now: float, *, repository: str = "r", fingerprint: str = "f") -> str:
        return advise(memory, repository=repository, fingerprint=fingerprint, folder=tmp_path, now=now).reason

    answers = {"everything": b"\x84\xa5token\xa1n\xaaeverything\xa0\xa7changed\x90\xa5whole\x90"}
    with socket.socket(socket.AF_UNIX) as listener:
        descriptor = os.open(tmp_path, os.O_RDONLY)
        listener.bind(f"/proc/self/fd/{descriptor}/{SOCKET}")
        os.close(descriptor)
        listener.listen(10)
        child = os.fork()
        if child == 0:
            try:
                for number in range(6):
                    connection, _ = listener.accept()
                    connection.recv(2000)
                    data = answers["everything"]
                    connection.sendall(struct.pack(">I", len(data) if number < 5 else 1 << 31) + data)
                    connection.close()
            finally:
                os._exit(0)
        assert reason(1000.0 + 86_399) == ""
        assert "once a day" in reason(1000.0 + 86_400)
        assert "once a day" in reason(999.0)
        assert "another repository" in reason(1000.0, repository="other")
        assert "something else" in reason(1000.0, fingerprint="other")
        assert "longer than" in reason(1000.0)
        os.waitpid(child, 0)
    assert "no watcher answers" in reason(1000.0)
