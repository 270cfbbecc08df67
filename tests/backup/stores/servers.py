"""Servers that stores are tried on, each on a free port of this machine, and a proxy that cuts connections."""

from __future__ import annotations

import contextlib
import getpass
import hashlib
import os
import socket
import struct
import subprocess
import threading
import time
from base64 import b64encode
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.peers import newest_rclone, rest_server
from tests.ports import free_port
from tests.require import require

PATIENCE = 60.0
KEY, SECRET = "tester", "a-secret-of-the-test"


@contextlib.contextmanager
def running(command: list[str], port: int, log: Path, environment: dict[str, str] | None = None) -> Iterator[None]:
    """A program until it listens, and no longer than the block."""
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=output, env=environment, start_new_session=True
        )
    try:
        end = time.monotonic() + PATIENCE
        while True:
            if process.poll() is not None or time.monotonic() > end:
                raise AssertionError(f"{command[0]} does not serve:\n{log.read_text(errors='replace')[-2000:]}")
            with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
                break
            time.sleep(0.02)
        yield
    finally:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Sshd:
    """A real sshd for the user who runs the tests, with a second key that may only read."""

    port: int
    folder: Path

    def home(self, place: Path, *, port: int | None = None, read_only: bool = False, known: bool = True) -> Path:
        """A home whose ssh configuration knows this server as `vault`, at `port` where something is in between."""
        port = port or self.port
        ssh = place / ".ssh"
        ssh.mkdir(parents=True)
        key = self.folder / ("reader" if read_only else "writer")
        (ssh / "config").write_text(
            f"Host vault\n  HostName 127.0.0.1\n  Port {port}\n  User {getpass.getuser()}\n"
            f"  IdentityFile {key}\n  IdentitiesOnly yes\n"
        )
        if known:
            public = (self.folder / "host.pub").read_text().split()
            (ssh / "known_hosts").write_text(f"[127.0.0.1]:{port} {public[0]} {public[1]}\n")
        return place


@contextlib.contextmanager
def sshd(folder: Path) -> Iterator[Sshd]:
    program = Path("/usr/sbin/sshd")  # on no PATH but root's
    require(program.exists(), "sshd (make test installs it when run as root on Debian)")
    for name in ("host", "writer", "reader"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)], check=True)
    (folder / "authorized").write_text(
        (folder / "writer.pub").read_text() + 'command="internal-sftp -R" ' + (folder / "reader.pub").read_text()
    )
    if os.geteuid() == 0:
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    port = free_port()
    configuration = folder / "sshd_config"
    configuration.write_text(
        f"Port {port}\nListenAddress 127.0.0.1\nHostKey {folder}/host\nAuthorizedKeysFile {folder}/authorized\n"
        f"PidFile none\nStrictModes no\nPermitRootLogin yes\nPasswordAuthentication no\n"
        f"KbdInteractiveAuthentication no\nUsePAM no\nMaxStartups 100\nSubsystem sftp internal-sftp\n"
    )
    with running([str(program), "-D", "-e", "-f", str(configuration)], port, folder / "log"):
        yield Sshd(port, folder)


@contextlib.contextmanager
def rclone(folder: Path, protocol: str, *options: str) -> Iterator[int]:
    """The port on which the real rclone serves `folder`/root by `restic` or `s3`."""
    root = folder / "root"
    root.mkdir(exist_ok=True)
    port = free_port()
    command = [
        str(newest_rclone()), "serve", protocol, str(root), "--addr", f"127.0.0.1:{port}", "--config", os.devnull,
        "--cache-dir", str(folder / "cache"), *options,
    ]  # fmt: skip
    with running(command, port, folder / "log", {"PATH": os.environ["PATH"], "HOME": str(folder)}):
        yield port


@contextlib.contextmanager
def restics_server(folder: Path, *options: str) -> Iterator[int]:
    """The port on which the real rest-server serves `folder`/root: to each user only what is in `root/USER`."""
    (folder / "root").mkdir(exist_ok=True)
    digest = b64encode(hashlib.sha1(SECRET.encode(), usedforsecurity=False).digest()).decode()
    (folder / "htpasswd").write_text(f"{KEY}:{{SHA}}{digest}\n")
    port = free_port()
    command = [
        str(rest_server()), "--path", str(folder / "root"), "--listen", f"127.0.0.1:{port}",
        "--htpasswd-file", str(folder / "htpasswd"), "--private-repos", *options,
    ]  # fmt: skip
    with running(command, port, folder / "log", {"PATH": os.environ["PATH"], "HOME": str(folder)}):
        yield port


class Proxy:
    """Stands before a port, and cuts what goes through when it is told to."""

    def __init__(self, target: int) -> None:
        self._target = target
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self._left: dict[str, int | None] = {"up": None, "down": None}
        self.cuts = 0
        self._held = threading.Event()
        self._lock = threading.Lock()
        self._open: set[socket.socket] = set()
        threading.Thread(target=self._accept, daemon=True).start()

    def __enter__(self) -> Proxy:
        return self

    def __exit__(self, *_: object) -> None:
        self._listener.close()
        self.cut()

    def cut_after(self, count: int, direction: str = "up") -> None:
        """Reset every connection, once, when so many bytes more have gone `up` to the server or `down` from it."""
        with self._lock:
            self._left[direction] = count

    def hold(self) -> None:
        """Let nothing through any more, without a word to either side."""
        self._held.set()

    def cut(self) -> None:
        """Reset all connections."""
        with self._lock:
            doomed, self._open = self._open, set()
            self._left = {"up": None, "down": None}
        for one in doomed:
            with contextlib.suppress(OSError):
                one.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                one.shutdown(socket.SHUT_RDWR)
            one.close()

    def _accept(self) -> None:
        while True:
            try:
                near, _ = self._listener.accept()
            except OSError:
                return
            try:
                far = socket.create_connection(("127.0.0.1", self._target), 10)
                far.settimeout(None)
            except OSError:
                near.close()
                continue
            with self._lock:
                self._open |= {near, far}
            for source, target, direction in ((near, far, "up"), (far, near, "down")):
                threading.Thread(target=self._copy, args=(source, target, direction), daemon=True).start()

    def _copy(self, source: socket.socket, target: socket.socket, direction: str) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(16384):
                if self._held.is_set():
                    continue
                with self._lock:
                    left = self._left[direction]
                    if left is not None:
                        self._left[direction] = left - len(data)
                if left is not None and left < len(data):
                    target.sendall(data[:left])
                    self.cuts += 1
                    self.cut()
                    return
                target.sendall(data)
        with contextlib.suppress(OSError):
            target.shutdown(socket.SHUT_WR)
