"""The real server over TLS: restic and our engine use it, and kills do no harm."""

from __future__ import annotations

import json
import os
import random
import shutil
import signal
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from unittest.mock import patch

import httpx
import pytest

from agent.cli.dispatch import dispatch
from backup.format.crypto import MasterKey
from backup.format.gotime import Moment
from backup.format.keyfile import Cost, encode_key_file, new_key_file
from collector.credentials import new_token
from collector.store import enrolment
from collector.store.database import open_database
from tests.collector import support
from tests.collector.backups.support import Guest, basic, files_below, name_of
from tests.collector.support import RealHome
from tests.peers import every_restic

PASSWORD = "a password of the test"


@contextmanager
def keeping(folder: Path, text: str = "") -> Iterator[RealHome]:
    """A collector that keeps repositories."""
    file = folder.parent / "collector.toml"
    file.write_text(f'[backups]\nkeep_free = "0B"\n{text}')
    with support.serving(folder, "--config", str(file)) as home:
        yield home


def enrolment_token(home: RealHome) -> str:
    """What `token create` prints, in a tenth of the time."""
    token, token_hash = new_token("hwe")
    database = open_database(home.folder / "collector.db")
    with database.write() as connection:
        enrolment.add_token(connection, token_hash, now=time.time(), expires=time.time() + 600)
    database.close()
    return token


def arrived(home: RealHome, client: httpx.Client, name: str = "web1") -> Guest:
    """A new host with its credential."""
    made = Guest(support.Host(client, time.time))
    answer = made.host.enroll(enrolment_token(home), name)
    assert answer.status_code == 200, answer.text
    made.arrive()
    return made


@dataclass
class Machine:
    """A host with an agent, and files to save."""

    folder: Path
    home: RealHome
    name: str

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.state = self.folder / "state"
        self.password = self.folder / "password"
        self.password.write_text(PASSWORD)
        self.password.chmod(0o600)
        self.files = self.folder / "files"
        self.files.mkdir()
        for number in range(20):
            (self.files / f"file{number}").write_bytes(random.Random(number).randbytes(100_000 + number))

    def enroll(self) -> None:
        """At its home."""
        token = self.folder / "token"
        token.write_text(enrolment_token(self.home))
        words = ["--collector", self.home.url, "--ca", str(self.home.folder / "ca.pem"), "--token-file", str(token)]
        assert dispatch(["enroll", *words, "--name", self.name, "--state-dir", str(self.state)]) == 0

    def backup(self, *words: str) -> int:
        """`hostward backup … --repo home`."""
        given = ["--repo", "home", "--state-dir", str(self.state), "-p", str(self.password), "--no-cache"]
        return dispatch(["backup", *words, *given])

    def credentials(self, capsys: pytest.CaptureFixture[str], *words: str) -> dict[str, str]:
        """As a script reads them."""
        capsys.readouterr()
        assert dispatch(["backup", "credentials", "--json", "--state-dir", str(self.state), *words]) == 0
        found: dict[str, str] = json.loads(capsys.readouterr().out)
        return found

    def guest(self, client: httpx.Client, found: dict[str, str]) -> Guest:
        """The same host without restic."""
        repository = found["RESTIC_REPOSITORY"].rstrip("/").rpartition("/")[2]
        user, password = found["RESTIC_REST_USERNAME"], found["RESTIC_REST_PASSWORD"]
        return Guest(support.Host(client, time.time), repository, user, password)

    def restored(self, folder: Path) -> bool:
        """Whether what was restored is what there is."""
        return files_below(folder / str(self.files).lstrip("/")) == files_below(self.files)


@pytest.fixture(scope="module")
def keeper(initialised: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RealHome]:
    """A real home that keeps repositories, for all of these."""
    folder = shutil.copytree(initialised, tmp_path_factory.mktemp("keeper") / "home")
    with keeping(folder) as home:
        yield home


@pytest.fixture
def machine(
    keeper: RealHome, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest
) -> Machine:
    """A host of a name of its own, which may enrol there."""
    monkeypatch.setattr("backup.repository.keys.calibrated_cost", lambda: Cost(1024, 8, 1))
    return Machine(tmp_path / "machine", keeper, request.node.name)


def test_keys_that_an_intruder_adds_keep_stock_restic_out_of_nothing(
    machine: Machine, capsys: pytest.CaptureFixture[str]
) -> None:
    """restic tries keys in the order of home's list, and stops at one that is none or holds another key."""
    machine.enroll()
    found = machine.credentials(capsys)
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RESTIC_")},
        **found,
        "RESTIC_PASSWORD": PASSWORD,
    }
    assert machine.backup("init") == 0
    with machine.home.client() as client:
        guest = machine.guest(client, found)
        for number in range(6):
            if number % 2:
                guest.save("keys", b"{%d" % number)
                continue
            file = new_key_file(
                MasterKey.generate(),
                PASSWORD.encode(),
                created=Moment(0),
                username="",
                hostname="",
                cost=Cost(1024, 8, 1),
                random=os.urandom,
            )
            guest.save("keys", encode_key_file(file))
    words = ["--no-cache", "--cacert", found["RESTIC_CACERT"], "snapshots", "--no-lock"]
    done = subprocess.run(
        [str(every_restic()[-1]), *words], env=environment, capture_output=True, text=True, timeout=100
    )
    assert done.returncode == 0, done.stderr
    assert machine.backup("snapshots") == 0


@pytest.mark.parametrize("which", [0, -1], ids=["debian", "newest"])
def test_stock_restic_uses_home(machine: Machine, which: int, capsys: pytest.CaptureFixture[str]) -> None:
    """It makes a repository, saves, checks, restores and takes back its own lock; it cannot forget."""
    machine.enroll()
    restic = every_restic()[which]
    old = which == 0
    found = machine.credentials(capsys, *(["--in-url"] if old else []))
    assert ("RESTIC_REST_PASSWORD" in found) is not old
    environment = {
        **{name: value for name, value in os.environ.items() if not name.startswith("RESTIC_")},
        **found,
        "RESTIC_PASSWORD": PASSWORD,
        "RESTIC_CACHE_DIR": str(machine.folder / "cache"),
    }
    command = [str(restic), "--cacert", found["RESTIC_CACERT"]]

    def run(*words: str) -> str:
        done = subprocess.run([*command, *words], env=environment, capture_output=True, text=True, timeout=100)
        assert done.returncode == 0, done.stderr
        return done.stdout

    run("init")
    run("backup", str(machine.files))
    assert "no errors were found" in run("check", "--read-data")
    run("restore", "latest", "--target", str(machine.folder / "back"))
    assert machine.restored(machine.folder / "back")
    # A run that is killed leaves its lock behind.
    with machine.home.client() as client:
        guest = machine.guest(client, found if not old else machine.credentials(capsys))
        with subprocess.Popen(
            [*command, "backup", "--stdin"], env=environment, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL
        ) as process:
            end = time.monotonic() + 60
            while not guest.listed("locks"):
                assert time.monotonic() < end
                time.sleep(0.05)
            process.kill()
        run("unlock", "--remove-all")
        assert guest.listed("locks") == {}
        before = guest.listed("snapshots")
        # The older one tries ten times to remove what it may not.
        with subprocess.Popen(
            [*command, "forget", "latest"], env=environment, stderr=subprocess.PIPE, text=True
        ) as process:
            assert process.stderr is not None
            assert any("403" in line for line in process.stderr)
            process.kill()
        assert guest.listed("snapshots") == before


def test_our_commands_use_home_by_its_name(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """With home's own authority and the credential from the state folder, which nobody else can read."""
    machine.enroll()
    assert machine.backup("init") == 0
    assert machine.backup("run", str(machine.files)) == 0
    assert machine.backup("check", "--read-data") == 0
    assert machine.backup("restore", "latest", "--target", str(machine.folder / "back")) == 0
    assert machine.restored(machine.folder / "back")
    capsys.readouterr()
    assert machine.backup("forget", "--keep-last", "1", "--group-by", "", "--prune", "--dry-run") == 0
    assert machine.backup("forget", "latest") == 1
    assert "removes nothing" in capsys.readouterr().err
    file = machine.folder / "agent.toml"
    file.write_text(
        f'[backups.files]\nrepository = "home"\npaths = ["{machine.files}"]\npassword_file = "{machine.password}"\n'
    )
    words = ["--config", str(file), "--state-dir", str(machine.state), "--no-cache"]
    with patch("agent.backups.job.limits.take"):  # which would hold for all tests that follow
        assert dispatch(["backup", "run", "files", *words]) == 0
    capsys.readouterr()
    assert dispatch(["backup", "snapshots", "--job", "files", "--json", *words]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 2
    kept = machine.state / "home-backups.json"
    assert kept.stat().st_mode & 0o777 == 0o600
    before = machine.credentials(capsys)
    assert machine.credentials(capsys) == before
    renewed = machine.credentials(capsys, "--renew")
    assert renewed["RESTIC_REST_PASSWORD"] != before["RESTIC_REST_PASSWORD"]
    assert machine.backup("snapshots") == 0


def test_what_was_lost_is_made_anew(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """A damaged or deleted file, or one that others could have read: home gives another credential."""
    machine.enroll()
    kept = machine.state / "home-backups.json"
    passwords = {machine.credentials(capsys)["RESTIC_REST_PASSWORD"]}
    for harm in (lambda: kept.write_text("{"), kept.unlink, lambda: kept.chmod(0o644)):
        harm()
        passwords.add(machine.credentials(capsys)["RESTIC_REST_PASSWORD"])
        assert kept.stat().st_mode & 0o777 == 0o600
    assert len(passwords) == 4


def test_who_is_not_enrolled_or_was_revoked_is_told(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """In one sentence, with exit code 1."""
    assert machine.backup("snapshots") == 1
    assert "hostward enroll" in capsys.readouterr().err
    machine.enroll()
    assert machine.backup("init") == 0
    machine.home.made("host", "revoke", machine.name)
    capsys.readouterr()
    assert machine.backup("snapshots") == 1
    assert "revoked" in capsys.readouterr().err


def test_shell_words_are_quoted(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """What is printed can be evaluated, whatever the folder is called."""
    machine.state = machine.folder / "state of 'web1' $HOME"
    machine.enroll()
    capsys.readouterr()
    assert dispatch(["backup", "credentials", "--state-dir", str(machine.state)]) == 0
    script = capsys.readouterr().out + 'printf "%s\\n" "$RESTIC_REPOSITORY" "$RESTIC_CACERT"'
    said = subprocess.run(["sh", "-c", script], capture_output=True, text=True, check=True).stdout.splitlines()
    assert said[0].startswith(f"rest:{machine.home.url}/backup/")
    assert Path(said[1]) == machine.state / "home-ca.pem"


def test_nothing_that_was_acknowledged_is_lost_when_home_is_killed(data_folder: Path) -> None:
    """Killed amid uploads of several hosts: what was not acknowledged is there as a whole or not at all."""
    acknowledged: dict[str, set[str]] = {}
    guests: list[Guest] = []
    with keeping(data_folder) as home:
        with home.client() as client:
            guests = [arrived(home, client, f"web{number}") for number in range(3)]
            for one in guests:
                one.create()

        def upload(guest: Guest, seed: int) -> None:
            source = random.Random(seed)
            mine = acknowledged.setdefault(guest.user, set())
            with home.client() as client:
                own = Guest(support.Host(client, time.time), guest.repository, guest.user, guest.password)
                while True:
                    content = source.randbytes(source.choice((10, 1000, 300_000, 5_000_000)))
                    try:
                        answer = own.request("POST", f"data/{name_of(content)}", content=content)
                    except httpx.TransportError:
                        return
                    assert answer.status_code == 200
                    mine.add(name_of(content))

        threads = [
            threading.Thread(target=upload, args=(guest, 10 * number + turn))
            for number, guest in enumerate(guests)
            for turn in range(2)
        ]
        for thread in threads:
            thread.start()
        while sum(map(len, acknowledged.values())) < 60:
            time.sleep(0.005)
        home.process.send_signal(signal.SIGKILL)
        for thread in threads:
            thread.join()
    with keeping(data_folder) as home, home.client() as client:
        for guest in guests:
            guest.host.client = client
            listed = guest.listed("data")
            assert acknowledged[guest.user] <= set(listed)
            for name in listed:
                assert name_of(guest.request("GET", f"data/{name}").content) == name
            spool = data_folder / "backups" / guest.repository / "tmp"
            end = time.monotonic() + 30
            while spool.exists() and list(spool.iterdir()):
                assert time.monotonic() < end
                time.sleep(0.05)


def test_a_large_file_is_for_those_who_are_known(keeper: RealHome) -> None:
    """A host sends a pack of 16 MiB; of a stranger hardly anything is read. Reports go on meanwhile."""
    content = random.Random(1).randbytes(16 << 20)
    with keeper.client() as client, keeper.client() as reporting:
        guest = arrived(keeper, client, "sends")
        guest.create()
        reporter = support.Host(reporting, time.time)
        assert reporter.enroll(enrolment_token(keeper), "reports").status_code == 200
        done = threading.Event()
        statuses = []

        def report() -> None:
            while not done.is_set():
                statuses.append(reporter.send().status_code)

        thread = threading.Thread(target=report)
        thread.start()
        try:
            name = guest.save("data", content)
        finally:
            done.set()
            thread.join()
        assert guest.request("GET", f"data/{name}").content == content
        assert set(statuses) <= {200, 503}  # 503: more than home takes of one host
        try:
            answer = client.post(f"/backup/sends/data/{name}", content=content, headers=basic("sends", "wrong"))
            assert answer.status_code == 401
        except (httpx.TransportError, ssl.SSLError):
            pass  # cut off while it was sending
