"""What happens to stores on networks: connections that are cut, servers that are gone, silent, or refuse."""

from __future__ import annotations

import gzip
import hashlib
import os
import random
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest

from backup.stores import rest, s3, sftp, ssh
from backup.stores.contract import (
    LONGEST,
    AppendOnlyError,
    FileExistsStoreError,
    FileKind,
    PermanentStoreError,
    SpooledFile,
    Store,
    StoreError,
)
from backup.stores.registry import open_store
from backup.stores.retry import RetryingStore
from tests.agent.tmpfs import small_disk
from tests.backup.stores.grounds import NetworkGround, RestGround, SftpGround
from tests.backup.stores.servers import KEY, SECRET, Proxy, Sshd, rclone, restics_server
from tests.peers import newest_restic
from tests.ports import free_port
from tests.require import require_root

SMALL = hashlib.sha256(b"x").hexdigest()
BIG = random.Random(2).randbytes(3 << 20)
NAME = hashlib.sha256(BIG).hexdigest()


def made(ground: NetworkGround) -> None:
    store = ground.open()
    store.create()
    store.close()


def each_operation(store: Store) -> Iterator[StoreError]:
    """What each operation raises."""
    for operation in (
        lambda: store.save(FileKind.PACK, NAME, b"x"),
        lambda: store.load(FileKind.PACK, NAME),
        lambda: store.load(FileKind.PACK, NAME, 1, 1),
        lambda: store.size(FileKind.PACK, NAME),
        lambda: list(store.list(FileKind.PACK)),
        lambda: store.remove(FileKind.PACK, NAME),
        store.create,
    ):
        with pytest.raises(StoreError) as caught:
            operation()
        assert "\n" not in str(caught.value)
        assert SECRET not in str(caught.value)
        yield caught.value


@pytest.mark.parametrize("way", ["bytes", "spooled"])
@pytest.mark.parametrize("after", [20_000, 1 << 20, len(BIG) - 10_000])
def test_an_upload_that_is_cut_never_looks_whole(
    network: NetworkGround, after: int, way: str, tmp_path: Path
) -> None:
    """Early, in the middle and near the end: no file of that name; it may be tried again, and then it is there."""
    made(network)
    content: bytes | SpooledFile = BIG
    if way == "spooled":
        (tmp_path / "pack").write_bytes(BIG)
        content = SpooledFile(tmp_path / "pack", len(BIG))
    with Proxy(network.port) as proxy:
        store = network.open(port=proxy.port)
        assert list(store.list(FileKind.PACK)) == []
        proxy.cut_after(after)
        with pytest.raises(StoreError) as caught:
            store.save(FileKind.PACK, NAME, content)
        assert proxy.cuts == 1
        assert not caught.value.permanent
        other = network.open()
        # rclone writes in place, and removes a part when it has noticed the cut.
        end = time.monotonic() + 30
        while (left := dict(other.list(FileKind.PACK))) and time.monotonic() < end:
            assert left[NAME] < len(BIG)
            time.sleep(0.05)
        assert left == {}
        other.close()
        RetryingStore(store).save(FileKind.PACK, NAME, content)
        assert store.load(FileKind.PACK, NAME) == BIG
        store.close()


def test_a_download_that_is_cut_is_never_short(network: NetworkGround) -> None:
    """It raises, and may be tried again; whole files, ranges and lists alike."""
    made(network)
    with Proxy(network.port) as proxy:
        store = network.open(port=proxy.port)
        store.save(FileKind.PACK, NAME, BIG)
        for offset, length in ((0, None), (1000, None), (1000, 2 << 20)):
            RetryingStore(store).size(FileKind.PACK, NAME)
            proxy.cut_after(1 << 20, "down")
            with pytest.raises(StoreError) as caught:
                store.load(FileKind.PACK, NAME, offset, length)
            assert not caught.value.permanent
        assert proxy.cuts == 3
        assert RetryingStore(store).load(FileKind.PACK, NAME) == BIG
        store.close()


def test_a_connection_that_was_lost_is_made_again(network: NetworkGround) -> None:
    """With no more than one failure, which a retry hides."""
    made(network)
    with Proxy(network.port) as proxy:
        store = RetryingStore(network.open(port=proxy.port), sleep=lambda seconds: None)
        store.save(FileKind.KEY, SMALL, b"x")
        for _ in range(3):
            proxy.cut()
            assert list(store.list(FileKind.KEY)) == [(SMALL, 1)]
        store.close()


def test_a_server_that_is_gone_may_come_back(network: NetworkGround) -> None:
    """Every operation says so, at once, as what may pass."""
    store = network.open(port=free_port())
    assert [error.permanent for error in each_operation(store)] == [False] * 7
    store.close()


@contextmanager
def silent_server() -> Iterator[int]:
    """Takes connections and all that is sent, and never says a word."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        held: list[socket.socket] = []

        def accept() -> None:
            while True:
                try:
                    held.append(listener.accept()[0])
                except OSError:
                    return

        thread = threading.Thread(target=accept, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()
        for one in held:
            one.close()


def test_a_silent_server_is_not_waited_for_for_ever(network: NetworkGround, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each operation ends by a time limit of its own, and may be tried again."""
    for module, limit in ((rest, "READ"), (s3, "READ"), (ssh, "CONNECT"), (ssh, "SILENCE"), (sftp, "SILENCE")):
        monkeypatch.setattr(module, limit, 0.3)
    with silent_server() as port:
        store = network.open(port=port)
        assert [error.permanent for error in each_operation(store)] == [False] * 7
        store.close()


def test_a_server_that_falls_silent_is_not_waited_for_for_ever(
    network: NetworkGround, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Also one that has answered before: a network that drops everything, a host that hangs."""
    for module, limit in ((rest, "READ"), (s3, "READ"), (sftp, "SILENCE")):
        monkeypatch.setattr(module, limit, 1.0)
    made(network)
    with Proxy(network.port) as proxy:
        store = network.open(port=proxy.port)
        store.save(FileKind.KEY, SMALL, b"x")
        proxy.hold()
        with pytest.raises(StoreError) as caught:
            store.load(FileKind.KEY, SMALL)
        assert not caught.value.permanent
        proxy.cut()
        store.close()


@contextmanager
def babbling_server(words: bytes, again: bytes = b"") -> Iterator[int]:
    """Answers everything with the same bytes, then with others again and again, and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as listener:

        def answer(connection: socket.socket) -> None:
            with connection, suppress(OSError):
                connection.settimeout(5)
                connection.recv(65536)
                connection.sendall(words)
                while again:
                    connection.sendall(again)
                connection.shutdown(socket.SHUT_WR)
                while connection.recv(65536):
                    pass

        def serve() -> None:
            while True:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                threading.Thread(target=answer, args=(connection,), daemon=True).start()

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield listener.getsockname()[1]
        listener.shutdown(socket.SHUT_RDWR)
        thread.join()


ENDLESS = [
    (b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999999\r\n\r\n", b"a" * 65536),
    (b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n", b"10000\r\n" + b"a" * 65536 + b"\r\n"),
    (b"HTTP/1.1 500 No\r\nContent-Type: application/xml\r\nContent-Length: 99999999999999\r\n\r\n", b"a" * 65536),
]


@pytest.mark.parametrize(("words", "again"), ENDLESS, ids=["long", "chunked", "refused"])
@pytest.mark.parametrize("location", ["rest:http://127.0.0.1:{}/", "s3:http://127.0.0.1:{}/bucket"])
def test_an_answer_without_end_is_not_heard_out(
    monkeypatch: pytest.MonkeyPatch, location: str, words: bytes, again: bytes
) -> None:
    """A file, or a list, of more than can be, and what a server says of an error."""
    monkeypatch.setitem(LONGEST, FileKind.CONFIG, 100_000)
    monkeypatch.setattr("backup.stores.rest.MAX_LIST", 100_000)
    monkeypatch.setattr("backup.stores.s3._LONGEST_ANSWER", 100_000)
    with babbling_server(words, again) as port:
        store = open_store(location.format(port), {"AWS_ACCESS_KEY_ID": "a", "AWS_SECRET_ACCESS_KEY": "b"})
        for operation in (lambda: store.load(FileKind.CONFIG, "config"), lambda: list(store.list(FileKind.PACK))):
            with pytest.raises(StoreError):
                operation()
        store.close()


def test_what_a_server_compressed_is_not_unpacked(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody asked for it, and it may be a bomb: what comes is what it sent."""
    packed = gzip.compress(bytes(100_000))
    head = b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: %d\r\n\r\n"
    with babbling_server(head % len(packed) + packed) as port:
        store = open_store(f"rest:http://127.0.0.1:{port}/", {})
        assert store.load(FileKind.CONFIG, "config") == packed
        store.close()


@pytest.mark.parametrize(
    "words",
    [
        b"",
        b"\x00\xff" * 1000,
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n",
        b"HTTP/1.1 206 Partial Content\r\nContent-Length: 9\r\nContent-Range: bytes 1-9/9\r\n\r\nabc",
        b"HTTP/1.1 302 Found\r\nLocation: http://127.0.0.1:1/\r\n\r\n",
        b"HTTP/1.1 500 Internal Server Error\r\nContent-Length: 2\r\n\r\n\xff\xfe",
        b"HTTP/1.1 400 Bad\r\nContent-Type: application/xml\r\nContent-Length: 5\r\n\r\n<a><b",
        b"HTTP/1.1 403 No\r\nContent-Type: application/xml\r\nContent-Length: 4\r\n\r\n<a/>",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 9\r\n\r\nabc",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\nabc",
        b"SSH-1.0-none\r\n",
        b"SSH-2.0-none\r\n" + b"\xff" * 100,
    ],
    ids=range(13),
)
def test_nonsense_is_told_as_a_failure_of_the_store(network: NetworkGround, words: bytes) -> None:
    """Nothing that a server can say makes anything but a StoreError, nor a short answer."""
    with babbling_server(words) as port:
        store = network.open(port=port)
        for operation in (
            lambda: store.load(FileKind.PACK, NAME),
            lambda: store.load(FileKind.PACK, NAME, 1, 4),
            lambda: list(store.list(FileKind.PACK)),
        ):
            try:
                answer = operation()
            except StoreError:
                continue
            raise AssertionError(f"took {words[:30]!r} for {answer!r}")
        for other in (
            lambda: store.save(FileKind.PACK, NAME, b"x"),
            lambda: store.size(FileKind.PACK, NAME),
            lambda: store.remove(FileKind.PACK, NAME),
            store.create,
        ):
            try:
                other()
            except StoreError:
                continue
        store.close()


def test_what_restic_made_is_listed_as_restic_lists_it(network: NetworkGround, tmp_path: Path) -> None:
    """A repository that the real restic made over the same network, kind by kind; what we remove is gone there."""
    (tmp_path / "source").mkdir()
    (tmp_path / "source" / "file").write_bytes(BIG)
    location, environment = network.restic()

    def restic(*arguments: str) -> list[str]:
        done = subprocess.run(
            [str(newest_restic()), "--no-cache", "--no-lock", "-r", location, "--quiet", *arguments],
            env={"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "RESTIC_PASSWORD": "x", **environment},
            capture_output=True, text=True, timeout=100,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout.split()

    restic("init")
    restic("backup", str(tmp_path / "source"))
    store = network.open()
    for kind, word in {"keys": "keys", "index": "index", "snapshots": "snapshots", "data": "packs"}.items():
        listed = dict(store.list(FileKind(kind)))
        assert sorted(listed) == sorted(restic("list", word))
        for name, size in listed.items():
            content = store.load(FileKind(kind), name)
            assert len(content) == size
            assert hashlib.sha256(content).hexdigest() == name
    for name, _ in list(store.list(FileKind.SNAPSHOT)):
        content = store.load(FileKind.SNAPSHOT, name)
        store.remove(FileKind.SNAPSHOT, name)
        assert restic("list", "snapshots") == []
        store.save(FileKind.SNAPSHOT, name, content)
        assert restic("list", "snapshots") == [name]
    restic("check", "--read-data")
    store.close()


def test_rest_with_a_wrong_password_is_permanent(rest_server: int, rest_folder: Path) -> None:
    """Nothing will be otherwise the next time, and the password is not shown."""
    store = open_store(f"rest:http://{KEY}:wrong-one@127.0.0.1:{rest_server}/x/", {})
    assert "wrong-one" not in store.location
    for error in each_operation(store):
        assert error.permanent
        assert "401" in str(error)
        assert "wrong-one" not in str(error)


def test_rest_takes_its_password_from_the_environment(rest_server: int) -> None:
    """As restic does, so that it stands in no argument."""
    store = open_store(
        f"rest:http://127.0.0.1:{rest_server}/environment/",
        {"RESTIC_REST_USERNAME": KEY, "RESTIC_REST_PASSWORD": SECRET},
    )
    store.create()
    assert list(store.list(FileKind.KEY)) == []
    assert SECRET not in store.location


def test_s3_with_wrong_credentials_is_permanent(s3_server: int) -> None:
    """As above."""
    store = open_store(
        f"s3:http://127.0.0.1:{s3_server}/wrong/x", {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": "wrong-one"}
    )
    for error in each_operation(store):
        assert error.permanent
        assert "wrong-one" not in str(error)


def test_s3_goes_by_its_options(s3_server: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """What is sent: the class of storage, of archives that of packs of data alone; version 1 of lists; the region."""
    sent: list[tuple[str, str, dict[str, str]]] = []
    urlopen = s3._Client.urlopen

    def seen(self: s3._Client, method: str, url: str, redirect: bool = True, **more: Any) -> Any:
        sent.append((method, url, {name.lower(): str(value) for name, value in more["headers"].items()}))
        return urlopen(self, method, url, redirect, **more)

    monkeypatch.setattr(s3._Client, "urlopen", seen)
    environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
    for storage, expected in (("STANDARD_IA", ["STANDARD_IA"] * 3), ("GLACIER", [None, None, "GLACIER"])):
        settings = {"s3.storage-class": storage, "s3.list-objects-v1": "true", "s3.region": "eu-west-1"}
        store = open_store(f"s3:http://127.0.0.1:{s3_server}/options/x", environment, settings)
        store.create()
        sent.clear()
        (tmp_path / "trees").write_bytes(b"x")
        store.save(FileKind.KEY, SMALL, b"x")
        store.save(FileKind.PACK, SMALL, SpooledFile(tmp_path / "trees", 1, trees=True))
        store.save(FileKind.PACK, SMALL, b"x")
        assert [about.get("x-amz-storage-class") for method, _, about in sent if method == "PUT"] == expected
        assert all("/eu-west-1/s3/" in about["authorization"] for _, _, about in sent)
        assert list(store.list(FileKind.KEY)) == [(SMALL, 1)]
        assert "list-type=2" not in sent[-1][1]
        store.close()


def test_rest_servers_of_version_1_are_listed(
    restics_rest_server: int, rest_server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They tell names without sizes, which are then asked for one by one."""
    ground = RestGround(restics_rest_server, rest_server_folder, user=KEY)
    made(ground)
    monkeypatch.setattr(rest, "VERSION_2", "application/vnd.x.restic.rest.v1")
    store = ground.open()
    store.save(FileKind.KEY, SMALL, b"x")
    store.save(FileKind.KEY, NAME, BIG)
    asked: list[str] = []
    monkeypatch.setattr(rest, "VERSION_2", "none that is answered")
    size = rest.RestStore.size
    monkeypatch.setattr(rest.RestStore, "size", lambda self, kind, name: asked.append(name) or size(self, kind, name))
    assert dict(store.list(FileKind.KEY)) == {SMALL: 1, NAME: len(BIG)}
    assert sorted(asked) == sorted([SMALL, NAME])
    store.close()


def test_s3_takes_credentials_from_a_file(s3_server: int, tmp_path: Path) -> None:
    """The profile that AWS_PROFILE names in the file that AWS_SHARED_CREDENTIALS_FILE names."""
    file = tmp_path / "credentials"
    file.write_text(f"[other]\naws_access_key_id = {KEY}\naws_secret_access_key = {SECRET}\n")
    environment = {"AWS_SHARED_CREDENTIALS_FILE": str(file), "AWS_PROFILE": "other"}
    store = open_store(f"s3:http://127.0.0.1:{s3_server}/fromfile/x", environment)
    store.create()
    assert list(store.list(FileKind.KEY)) == []


@pytest.mark.parametrize("server", ["rclone", "rest-server"])
def test_a_place_that_only_adds_refuses_removal_for_good(server: str, tmp_path: Path) -> None:
    """With --append-only saving and reading go on, and locks come and go. One sentence says what is the matter."""
    options = ("--user", KEY, "--pass", SECRET, "--append-only")
    served = rclone(tmp_path, "restic", *options) if server == "rclone" else restics_server(tmp_path, options[-1])
    with served as port:
        store = RestGround(port, tmp_path, user="" if server == "rclone" else KEY).open()
        store.create()
        for kind in (FileKind.PACK, FileKind.LOCK):
            store.save(kind, SMALL, b"x")
        with pytest.raises(AppendOnlyError, match=r"/: the server removes nothing: it only takes what is added$"):
            store.remove(FileKind.PACK, SMALL)
        assert store.load(FileKind.PACK, SMALL) == b"x"
        store.remove(FileKind.LOCK, SMALL)
        assert list(store.list(FileKind.LOCK)) == []
        store.close()


def test_the_config_of_somebody_who_was_faster_is_not_taken_for_ours(
    restics_rest_server: int, rest_server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the same size, and was not there yet when it was looked for."""
    store = RestGround(restics_rest_server, rest_server_folder, user=KEY).open()
    store.create()
    store.save(FileKind.CONFIG, "config", b"theirs")
    looks = iter([lambda _: False])
    look = rest.RestStore._has_config
    monkeypatch.setattr(rest.RestStore, "_has_config", lambda self: next(looks, look)(self))
    with pytest.raises(FileExistsStoreError):
        store.save(FileKind.CONFIG, "config", b"mine!!")
    assert store.load(FileKind.CONFIG, "config") == b"theirs"
    store.close()


def test_users_of_a_rest_server_are_kept_apart(restics_rest_server: int) -> None:
    """With --private-repos the place of another user is refused for good."""
    store = open_store(f"rest:http://{KEY}:{SECRET}@127.0.0.1:{restics_rest_server}/other/x/", {})
    for error in each_operation(store):
        assert error.permanent
        assert "401" in str(error)
    store.close()


def test_an_sftp_server_that_only_reads_refuses_for_good(sftp_server: Sshd, tmp_path: Path) -> None:
    """Reading goes on."""
    ground = SftpGround(sftp_server, tmp_path)
    store = ground.open()
    store.create()
    store.save(FileKind.KEY, NAME, b"key")
    store.close()
    reader = ground.open(read_only=True)
    for operation in (
        lambda: reader.save(FileKind.KEY, "0" * 64, b"x"),
        lambda: reader.remove(FileKind.KEY, NAME),
    ):
        with pytest.raises(PermanentStoreError):
            operation()
    assert reader.load(FileKind.KEY, NAME) == b"key"
    reader.close()
    assert [path.name for path in (ground.root / "keys").iterdir()] == [NAME]


def test_an_unknown_host_key_is_refused(sftp_server: Sshd, tmp_path: Path) -> None:
    """Nothing adds it by itself, whatever ssh's configuration says; the sentence has its fingerprint."""
    home = sftp_server.home(tmp_path / "home", known=False)
    config = home / ".ssh" / "config"
    config.write_text(config.read_text() + "  StrictHostKeyChecking no\n")
    store = open_store("sftp:vault:/nowhere", {"HOME": str(home)})
    with pytest.raises(PermanentStoreError, match=r"SHA256:.*known_hosts"):
        store.load(FileKind.CONFIG, "config")
    assert not (home / ".ssh" / "known_hosts").exists()


def test_another_host_key_is_refused(sftp_server: Sshd, tmp_path: Path) -> None:
    """A host that poses as the one that is known."""
    home = sftp_server.home(tmp_path / "home")
    other = (sftp_server.folder / "writer.pub").read_text().split()
    (home / ".ssh/known_hosts").write_text(f"[127.0.0.1]:{sftp_server.port} {other[0]} {other[1]}\n")
    store = open_store("sftp:vault:/nowhere", {"HOME": str(home)})
    with pytest.raises(PermanentStoreError, match="poses as it"):
        store.load(FileKind.CONFIG, "config")


def test_a_hashed_known_hosts_file_serves(sftp_server: Sshd, tmp_path: Path) -> None:
    """As Debian writes them."""
    home = sftp_server.home(tmp_path / "home")
    subprocess.run(["ssh-keygen", "-q", "-H", "-f", str(home / ".ssh/known_hosts")], check=True, capture_output=True)
    assert "127.0.0.1" not in (home / ".ssh/known_hosts").read_text()
    store = open_store(f"sftp:vault:{tmp_path}/repository", {"HOME": str(home)})
    store.create()
    store.close()


def test_no_key_that_is_accepted_is_permanent(sftp_server: Sshd, tmp_path: Path) -> None:
    """Trying again would only lock somebody out."""
    home = sftp_server.home(tmp_path / "home")
    config = home / ".ssh/config"
    config.write_text(config.read_text().replace("writer", "host"))
    store = open_store("sftp:vault:/nowhere", {"HOME": str(home)})
    with pytest.raises(PermanentStoreError, match="no key was accepted"):
        store.load(FileKind.CONFIG, "config")


def inner_host(server: Sshd, place: Path, line: str) -> Path:
    """A home in which `inner` is reached by what the line says."""
    home = server.home(place)
    config = home / ".ssh/config"
    text = config.read_text()
    config.write_text(f"{text}{text.replace('Host vault', 'Host inner')}  {line}\n")
    return home


def test_sftp_through_another_host(sftp_server: Sshd, tmp_path: Path) -> None:
    """ProxyJump of ssh's configuration; both hosts prove who they are."""
    home = inner_host(sftp_server, tmp_path / "home", "ProxyJump vault")
    store = open_store(f"sftp:inner:{tmp_path}/repository", {"HOME": str(home)})
    store.create()
    store.close()
    (home / ".ssh/known_hosts").unlink()
    with pytest.raises(PermanentStoreError, match="known_hosts"):
        store.create()


def test_a_user_without_a_name_is_told_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As in a container; ssh cannot be used there either."""
    for name in ("LOGNAME", "USER", "LNAME", "USERNAME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setattr(os, "getuid", lambda: 54321)
    with pytest.raises(PermanentStoreError, match="without a name: number 54321"):
        open_store("sftp:127.0.0.1:/x", {"HOME": str(tmp_path)}).size(FileKind.CONFIG, "config")


def test_no_program_is_run_to_connect(sftp_server: Sshd, tmp_path: Path) -> None:
    """A ProxyCommand would have the repository's password in its environment."""
    home = inner_host(sftp_server, tmp_path / "home", f"ProxyCommand touch {tmp_path}/ran")
    store = open_store(f"sftp:inner:{tmp_path}/repository", {"HOME": str(home)})
    with pytest.raises(PermanentStoreError, match="ProxyCommand"):
        store.create()
    assert not (tmp_path / "ran").exists()


def test_a_full_sftp_server_says_so_for_good(sftp_server: Sshd, tmp_path: Path) -> None:
    """SFTP has no word for it; what is there is not, and what was sent of the rest is gone."""
    require_root()
    with small_disk(tmp_path / "disk", size="1m") as disk:
        ground = SftpGround(sftp_server, tmp_path)
        ground.root = disk / "repository"
        store = ground.open()
        store.create()
        with pytest.raises(PermanentStoreError, match="no space"):
            store.save(FileKind.PACK, NAME, BIG)
        assert [path for path in disk.rglob("*") if path.is_file()] == []
        store.close()


def test_https_is_verified(tmp_path: Path, rest_folder: Path) -> None:
    """A certificate of nobody's is refused for good; with RESTIC_CACERT it serves, for both protocols."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days",
         "2", "-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", str(tmp_path / "key"),
         "-out", str(tmp_path / "cert")],
        check=True, capture_output=True,
    )  # fmt: skip
    tls = ("--cert", str(tmp_path / "cert"), "--key", str(tmp_path / "key"))
    trusted = {"RESTIC_CACERT": str(tmp_path / "cert")}
    for protocol, options, location in (
        ("restic", ("--user", KEY, "--pass", SECRET), f"rest:https://{KEY}:{SECRET}@127.0.0.1:PORT/x/"),
        ("s3", ("--auth-key", f"{KEY},{SECRET}"), "s3:https://127.0.0.1:PORT/bucket/x"),
    ):
        environment = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
        with rclone(tmp_path, protocol, *tls, *options) as port:
            store = open_store(location.replace("PORT", str(port)), environment)
            for error in each_operation(store):
                assert error.permanent
                assert "certificate" in str(error)
            store.close()
            store = open_store(location.replace("PORT", str(port)), environment | trusted)
            store.create()
            store.save(FileKind.PACK, NAME, BIG)
            assert store.load(FileKind.PACK, NAME) == BIG
            store.close()
