"""A home in this process with a clock that stands still, a real one in a process of its own, and a host to report."""

from __future__ import annotations

import io
import os
import secrets
import ssl
import stat
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from unittest.mock import patch

import httpx
import msgspec
from anyio.from_thread import BlockingPortal, start_blocking_portal
from sqlalchemy import func, select
from starlette.applications import Starlette

from collector.app import create_app
from collector.backups.places import Places
from collector.backups.settings import BackupOptions
from collector.cli import main
from collector.credentials import new_token
from collector.metrics.embedded import EmbeddedHistory
from collector.store import accounts, enrolment
from collector.store.accounts import Role
from collector.store.database import Database, open_database
from collector.store.place import Place
from collector.store.tables import metadata
from tests.zones import take_zone
from wire.codec import encode
from wire.report import CheckState, Enrolment, Reading, Report
from wire.signature import PrivateKey, generate_key, public_text, sign

NOW = 1_800_000_000.0
COMMAND = (sys.executable, "-c", "import sys; from collector.cli import main; sys.exit(main())")
REPORT_HEADERS = {"Content-Type": "application/vnd.hostward.report+json", "Content-Encoding": "zstd"}


@dataclass
class Clock:
    """Moves when told to."""

    now: float = NOW

    def __call__(self) -> float:
        return self.now


class Client:
    """httpx's interface to an application in this process, whose loop runs in a thread."""

    def __init__(self, portal: BlockingPortal, client: httpx.AsyncClient) -> None:
        self._portal = portal
        self._client = client

    def request(self, method: str, url: str, **options: Any) -> httpx.Response:
        """Send, and wait for the answer."""

        async def send() -> httpx.Response:
            return await self._client.request(method, url, **options)

        return self._portal.call(send)

    def get(self, url: str, **options: Any) -> httpx.Response:
        """GET."""
        return self.request("GET", url, **options)

    def post(self, url: str, **options: Any) -> httpx.Response:
        """POST."""
        return self.request("POST", url, **options)


@contextmanager
def running(app: Starlette) -> Iterator[Client]:
    """The application from start to end, with what goes on beside requests."""
    # Without uvicorn, what an application raises would come out of the request.
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(app.router.lifespan_context(app)):
        client = httpx.AsyncClient(transport=transport, base_url="https://home.test")
        yield Client(portal, client)
        portal.call(client.aclose)


@dataclass
class Home:
    """A whole application in this process."""

    app: Starlette
    database: Database
    client: Client
    clock: Clock
    ticks: Clock

    def token(self, expires: float = 3600) -> str:
        """A new enrolment token."""
        token, token_hash = new_token("hwe")
        with self.database.write() as connection:
            enrolment.add_token(connection, token_hash, now=self.clock(), expires=self.clock() + expires)
        return token

    def bearer(self, role: Role = "viewer") -> dict[str, str]:
        """The header of a new API token."""
        token, token_hash = new_token("hwa")
        with self.database.write() as connection:
            accounts.add_api_token(
                connection,
                secrets.token_hex(4),
                token_hash,
                role=role,
                description="",
                now=self.clock(),
                expires=None,
            )
        return {"Authorization": f"Bearer {token}"}

    def rows(self, table: str) -> int:
        """How many rows there are."""
        with self.database.read() as connection:
            return connection.execute(select(func.count()).select_from(metadata.tables[table])).scalar_one()

    def stored(self) -> dict[str, int]:
        """Rows of every table that reports fill."""
        names = ("streams", "changes", "events", "job_runs", "gaps", "history_journal", "history_series")
        return {name: self.rows(name) for name in names}

    def host(self, name: str = "web1") -> dict[str, Any]:
        """What the API says about a host."""
        answer = self.client.get(f"/api/v1/hosts/{name}", headers=self.bearer())
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found


@cache
def _new_database() -> bytes:
    """Made once: the migrations take longer than most tests."""
    with TemporaryDirectory() as folder:
        open_database(Path(folder, "db"), create=True).close()
        return Path(folder, "db").read_bytes()


def new_file(folder: Path) -> Path:
    """The database in `folder`, a new one if need be."""
    file = folder / "collector.db"
    if not file.exists():
        file.write_bytes(_new_database())
    return file


@contextmanager
def home(
    folder: Path,
    backups: BackupOptions | None = None,
    *,
    clock: Clock | None = None,
    place: Place | None = None,
) -> Iterator[Home]:
    """A home over the database in `folder`, a new one if need be, or at `place`; with repositories where `backups`
    says how."""
    database = open_database(place or new_file(folder), create=True)
    clock, ticks = clock or Clock(), Clock(100.0)
    places = None if backups is None else Places(backups, folder)
    app = create_app(database, EmbeddedHistory(), places=places, clock=clock, ticks=ticks)
    try:
        with running(app) as client:
            yield Home(app, database, client, clock, ticks)
    finally:
        database.close()


@dataclass
class Host:
    """Signs and sends, as an agent does, over any client with httpx's interface."""

    client: httpx.Client | Client
    clock: Any
    id: str = ""
    key: PrivateKey = field(default_factory=generate_key)
    sequence: int = 0

    def enroll(self, token: str, name: str = "web1") -> httpx.Response:
        """Ask to be enrolled; the id is kept when it is given."""
        public = public_text(self.key)
        body = msgspec.json.encode(Enrolment(token=token, name=name, public_key=public, agent="0.1.0"))
        answer = self.post("/api/v1/enroll", body, key_id=public, headers={"Content-Type": "application/json"})
        if answer.status_code == 200:
            self.id = answer.json()["host"]
        return answer

    def report(self, **fields: Any) -> Report:
        """The next report, with one check and one reading unless `fields` say otherwise."""
        self.sequence += 1
        now = self.clock()
        usual: dict[str, Any] = {
            "host": self.id,
            "epoch": "epoch-1",
            "sequence": self.sequence,
            "boot": "boot-1",
            "agent": "0.1.0",
            "time": now,
            "interval": 15.0,
            "checks": [check(time=now)],
            "readings": [Reading("cpu", "cpu_used_percent", 12.5, "percent", {}, now)],
        }
        return Report(**{**usual, **fields})

    def send(self, report: Report | None = None, **changes: Any) -> httpx.Response:
        """Send a report, the next one by default."""
        return self.post("/api/v1/reports", encode(report or self.report()), **changes)

    def post(
        self,
        path: str,
        body: bytes,
        *,
        key_id: str | None = None,
        key: PrivateKey | None = None,
        created: float | None = None,
        nonce: str | None = None,
        headers: dict[str, str] | None = None,
    ) -> httpx.Response:
        """Sign and send."""
        signed = sign(
            key or self.key,
            "POST",
            path,
            body,
            created=int(self.clock() if created is None else created),
            nonce=nonce or secrets.token_urlsafe(16),
            key_id=key_id or self.id,
        )
        return self.client.post(path, content=body, headers={**(headers or REPORT_HEADERS), **signed})


def check(name: str = "cpu", state: Any = "ok", *, time: float = NOW, since: float | None = None) -> CheckState:
    """A check's state."""
    since = time if since is None else since
    return CheckState(name=name, kind=name, state=state, message=f"{name} is {state}", since=since, time=time)


def initialise(folder: Path, name: str) -> None:
    """What `init --name NAME` makes, made once and then copied: it takes a second."""
    folder.mkdir(mode=0o700)
    for file, (mode, content) in _made_by_init(name).items():
        (folder / file).touch(mode)
        (folder / file).write_bytes(content)


@cache
def _made_by_init(name: str) -> dict[str, tuple[int, bytes]]:
    """Modes and contents of the files."""
    with TemporaryDirectory() as top:
        folder = Path(top, "home")
        done = run("init", "--name", name, "--data-dir", str(folder))
        assert done.returncode == 0, done.stderr
        return {path.name: (stat.S_IMODE(path.stat().st_mode), path.read_bytes()) for path in folder.iterdir()}


def enrolment_token(folder: Path) -> str:
    """What `token create` prints, in a tenth of the time."""
    token, token_hash = new_token("hwe")
    database = open_database(folder / "collector.db")
    with database.write() as connection:
        enrolment.add_token(connection, token_hash, now=time.time(), expires=time.time() + 3600)
    database.close()
    return token


def run(*arguments: str, input: str | None = None) -> subprocess.CompletedProcess[str]:
    """`hostward-collector` with `arguments`: within this process, which saves starting one, unless it is to serve."""
    if arguments[:1] == ("serve",):
        return subprocess.run(
            [*COMMAND, *arguments], input=input, capture_output=True, text=True, timeout=60, check=False
        )
    out, err = io.StringIO(), io.StringIO()
    take_zone()
    with patch("sys.stdin", io.StringIO(input or "")), redirect_stdout(out), redirect_stderr(err):
        try:
            code = main(arguments)
        except SystemExit as end:
            code = int(end.code or 0)
    return subprocess.CompletedProcess(arguments, code, out.getvalue(), err.getvalue())


@dataclass
class RealHome:
    """`hostward-collector serve`, in a process of its own."""

    folder: Path
    process: subprocess.Popen[str]
    url: str

    @property
    def context(self) -> ssl.SSLContext:
        """Trusts this home's authority and nothing else."""
        return ssl.create_default_context(cafile=str(self.folder / "ca.pem"))

    def client(self) -> httpx.Client:
        """Verifies the certificate as an agent does."""
        return httpx.Client(base_url=self.url, verify=self.context, timeout=30)

    def made(self, *words: str) -> str:
        """What a command prints, such as a token."""
        done = run(*words, "--data-dir", str(self.folder))
        assert done.returncode == 0, done.stderr
        return done.stdout.strip()


@contextmanager
def serving(folder: Path, *options: str) -> Iterator[RealHome]:
    """Serve the folder that `init` made, until the block ends."""
    process = subprocess.Popen(
        [*COMMAND, "serve", "--data-dir", str(folder), "--port", "0", *options],
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, "PYTHONDONTWRITEBYTECODE": "1"},
    )
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Hostward collector ready at https://"), line
        yield RealHome(folder, process, line.split()[-1])
    finally:
        process.terminate()
        try:
            process.wait(30)
        finally:
            process.kill()
            process.wait()
            process.stdout.close()
