"""The places that the conformance suite holds every store to, and how each is opened."""

from __future__ import annotations

import itertools
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from urllib.parse import quote

from backup.stores.cache import CachedStore
from backup.stores.contract import Store
from backup.stores.limit import LimitedStore
from backup.stores.memory import MemoryStore
from backup.stores.registry import open_store
from backup.stores.retry import RetryingStore
from tests.backup.stores.servers import KEY, SECRET, Sshd
from tests.collector.backups.support import Guest

_numbers = itertools.count()


class Ground(ABC):
    """Where a test keeps its repository: its own, and empty."""

    tells_missing = True
    """Whether removing what is not there is told."""

    @abstractmethod
    def open(self, *, missing: bool = False) -> Store:
        """A store on it, with connections of its own; `missing` for a place next to it that is not there."""


class PlacedGround(Ground):
    root: Path
    """Where the files are, to look at behind the store's back."""


class NetworkGround(PlacedGround):
    port: int
    """Of the server."""

    @abstractmethod
    def open(self, *, missing: bool = False, port: int | None = None, read_only: bool = False) -> Store:
        """By another port, where something is in between."""

    @abstractmethod
    def restic(self) -> tuple[str, dict[str, str]]:
        """The location and what the environment needs for the real restic."""


class LocalGround(PlacedGround):
    def __init__(self, folder: Path) -> None:
        self.root = folder / "repository"

    def open(self, *, missing: bool = False) -> Store:
        return open_store(f"{self.root}-missing" if missing else str(self.root), {})


class MemoryGround(Ground):
    """Around memory, in the wrapper that is asked for."""

    def __init__(self, folder: Path, wrapper: str | None) -> None:
        self._folder = folder
        self._wrapper = wrapper
        self._store = MemoryStore()

    def open(self, *, missing: bool = False) -> Store:
        match self._wrapper:
            case "retry":
                return RetryingStore(self._store)
            case "limit":
                return LimitedStore(self._store, upload=1 << 30, download=1 << 30)
            case "cache":
                return CachedStore(self._store, self._folder / "cache", "ab" * 32)
        return self._store


class SftpGround(NetworkGround):
    def __init__(self, server: Sshd, folder: Path) -> None:
        self.port = server.port
        self.root = folder / "repository"
        self._server = server
        self._folder = folder

    def open(self, *, missing: bool = False, port: int | None = None, read_only: bool = False) -> Store:
        home = self._server.home(self._folder / f"home{next(_numbers)}", port=port, read_only=read_only)
        return open_store(f"sftp:vault:{self.root}" + ("-missing" if missing else ""), {"HOME": str(home)})

    def restic(self) -> tuple[str, dict[str, str]]:
        home = self._server.home(self._folder / f"home{next(_numbers)}")
        # ssh itself takes the home from the password database, so it is told by a program of its own.
        wrapper = self._folder / "bin" / "ssh"
        wrapper.parent.mkdir(exist_ok=True)
        wrapper.write_text(
            f'#!/bin/sh\nexec /usr/bin/ssh -F {home}/.ssh/config -o UserKnownHostsFile={home}/.ssh/known_hosts "$@"\n'
        )
        wrapper.chmod(0o755)
        return f"sftp:vault:{self.root}", {"PATH": f"{wrapper.parent}:/usr/bin:/bin"}


class RestGround(NetworkGround):
    def __init__(self, port: int, folder: Path, *, user: str = "") -> None:
        """Of `user`, where the server keeps users apart, as rest-server does."""
        self.port = port
        self.tells_missing = not user
        self._name = f"{user}/r{next(_numbers)}".lstrip("/")
        self.root = folder / "root" / self._name

    def open(self, *, missing: bool = False, port: int | None = None, read_only: bool = False) -> Store:
        name = f"{self._name}-missing" if missing else self._name
        place = f"127.0.0.1:{port or self.port}/{name}/"
        return open_store(f"rest:http://{quote(KEY)}:{quote(SECRET)}@{place}", {})

    def restic(self) -> tuple[str, dict[str, str]]:
        return f"rest:http://{KEY}:{SECRET}@127.0.0.1:{self.port}/{self._name}/", {}


class HomeGround(PlacedGround):
    """A host's repository at a collector, which lets it remove what is in it."""

    def __init__(self, arrive: Callable[[], Guest], url: str, folder: Path) -> None:
        """`arrive` makes a new host there; `folder` is the collector's."""
        self._arrive = arrive
        self._url = url
        self._ca = folder / "ca.pem"
        self._guest = arrive()
        self.root = folder / "backups" / self._guest.repository

    def open(self, *, missing: bool = False) -> Store:
        guest = self._arrive() if missing else self._guest
        environment = {
            "RESTIC_REST_USERNAME": guest.user,
            "RESTIC_REST_PASSWORD": guest.password,
            "RESTIC_CACERT": str(self._ca),
        }
        return open_store(f"rest:{self._url}/backup/{guest.repository}/", environment)


class S3Ground(NetworkGround):
    tells_missing = False

    def __init__(self, port: int, folder: Path) -> None:
        self.port = port
        self._bucket = f"bucket{next(_numbers)}"
        self.root = folder / "root" / self._bucket / "some" / "prefix"

    def open(self, *, missing: bool = False, port: int | None = None, read_only: bool = False) -> Store:
        bucket = f"{self._bucket}-missing" if missing else self._bucket
        return open_store(f"s3:http://127.0.0.1:{port or self.port}/{bucket}/some/prefix", self._credentials())

    def restic(self) -> tuple[str, dict[str, str]]:
        return f"s3:http://127.0.0.1:{self.port}/{self._bucket}/some/prefix", self._credentials()

    def _credentials(self) -> dict[str, str]:
        return {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": SECRET}
