"""Real database servers and queues on free ports, as the users that they run as, gone when the test is over."""

from __future__ import annotations

import os
import pwd
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, closing, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.ports import free_port
from tests.require import require, require_program

PATIENCE = 60
"""Seconds that a server may take to be there, on a machine that does other things too."""


def until(condition: Callable[[], Any], what: str, patience: float = PATIENCE) -> Any:
    """What `condition` gives once it is true."""
    deadline = time.monotonic() + patience
    while not (found := condition()):
        assert time.monotonic() < deadline, f"{what} did not come in time"
        time.sleep(0.05)
    return found


@contextmanager
def folder_of(user: str) -> Iterator[Path]:
    """A folder of this user's, short enough for the paths of sockets. Servers refuse to run as root."""
    folder = Path(tempfile.mkdtemp(prefix="hw-", dir="/tmp"))
    if os.geteuid() == 0:
        entry = pwd.getpwnam(user)
        os.chown(folder, entry.pw_uid, entry.pw_gid)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def become(user: str) -> dict[str, Any]:
    """Arguments of Popen with which root becomes another."""
    if os.geteuid() != 0:
        return {}
    entry = pwd.getpwnam(user)
    return {"user": entry.pw_uid, "group": entry.pw_gid, "extra_groups": []}


@contextmanager
def running(
    argv: Sequence[object],
    user: str,
    folder: Path,
    *,
    environment: Mapping[str, str] | None = None,
    end: signal.Signals = signal.SIGTERM,
) -> Iterator[subprocess.Popen[bytes]]:
    """A server in the foreground, ended with all its children."""
    log = folder / f"log-{time.monotonic_ns()}"
    with open(log, "wb") as output:
        process = subprocess.Popen(
            [str(word) for word in argv],
            stdout=output,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            cwd=folder,
            env={"PATH": os.environ["PATH"], "HOME": str(folder), "LANG": "C.UTF-8", **(environment or {})},
            start_new_session=True,
            **become(user),
        )
    try:
        yield process
    finally:
        children = psutil.Process(process.pid).children(recursive=True) if process.poll() is None else []
        with suppress(ProcessLookupError):
            os.kill(process.pid, signal.SIGCONT)
            process.send_signal(end)
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait(10)
        for child in children:
            with suppress(psutil.NoSuchProcess):
                child.kill()


def run(argv: Sequence[object], user: str, folder: Path, **more: Any) -> str:
    """A program to its end; what it printed."""
    done = subprocess.run(
        [str(word) for word in argv], cwd=folder, capture_output=True, text=True, **become(user), **more
    )
    assert done.returncode == 0, f"{argv[0]}: {done.stdout}{done.stderr}"
    return done.stdout


def answers(port: int) -> bool:
    """Whether somebody takes connections there."""
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), 1):
        return True
    return False


def postgres_program(name: str) -> Path:
    """Debian keeps them out of PATH: /usr/lib/postgresql/VERSION/bin."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    if found:
        return found[-1]
    return require_program(name)


@dataclass
class Postgres:
    """A server, and where it is."""

    folder: Path
    port: int
    data: Path
    process: subprocess.Popen[bytes] | None = None

    def sql(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """As the superuser, each statement a transaction of its own."""
        import psycopg

        with self.connect(database) as connection:
            cursor = connection.execute(statement.encode())
            rows = cursor.fetchall() if cursor.description else []
        assert isinstance(connection, psycopg.Connection)
        return rows

    def connect(self, database: str = "postgres", **more: Any) -> Any:
        """A session of the superuser."""
        import psycopg

        options = {"host": str(self.folder), "port": self.port, "user": "postgres", "dbname": database}
        return psycopg.connect(**(options | {"autocommit": True} | more))

    def is_up(self) -> bool:
        """Whether it takes sessions."""
        import psycopg

        with suppress(psycopg.OperationalError):
            self.sql("SELECT 1")
            return True
        return False


@contextmanager
def postgres(
    settings: str = "", *, of: Postgres | None = None, made_with: Sequence[str] = (), seeing_all: bool = False
) -> Iterator[Postgres]:
    """A PostgreSQL server, `made_with` options of initdb; `of` makes it a streaming replica of another.

    What runs in one that is `seeing_all` can run our own programs, which may be in root's home.
    """
    initdb, backup, server = (postgres_program(name) for name in ("initdb", "pg_basebackup", "postgres"))
    with ExitStack() as stack:
        folder = stack.enter_context(folder_of("postgres"))
        found = Postgres(folder, free_port(), folder / "data")
        if of is None:
            secret = folder / "superuser"
            secret.write_text("super-secret\n")
            secret.chmod(0o644)
            run(
                [initdb, "-D", found.data, "-U", "postgres", "-N", "--auth-local=trust", "--auth-host=scram-sha-256",
                 f"--pwfile={secret}", *made_with],
                "postgres",
                folder,
            )  # fmt: skip
        else:
            source = ["-h", of.folder, "-p", of.port, "-U", "postgres"]
            run([backup, "-D", found.data, "-R", "-c", "fast", "-X", "stream", *source], "postgres", folder)
        with open(found.data / "postgresql.conf", "a") as file:
            file.write(
                f"\nport = {found.port}\nlisten_addresses = '127.0.0.1'\nunix_socket_directories = '{folder}'\n"
                f"fsync = off\nshared_buffers = 16MB\nwal_level = replica\nmax_wal_senders = 5\n{settings}\n"
            )
        found.process = stack.enter_context(
            running(
                [*(seeing_all_as("postgres") if seeing_all else []), server, "-D", found.data],
                "root" if seeing_all and os.geteuid() == 0 else "postgres",
                folder,
                end=signal.SIGQUIT,
            )
        )
        until(found.is_up, "PostgreSQL")
        yield found


def seeing_all_as(user: str) -> list[str]:
    """What root starts a program with that is another's, and may read everything."""
    if os.geteuid() != 0:
        return []
    who = [f"--reuid={user}", f"--regid={user}", "--init-groups"]
    return ["setpriv", *who, "--inh-caps=+dac_read_search", "--ambient-caps=+dac_read_search", "--"]


@dataclass
class Mariadb:
    """A server, and where it is."""

    folder: Path
    port: int
    socket: Path

    def connect(self, **more: Any) -> Any:
        """A session of root."""
        import pymysql

        return pymysql.connect(unix_socket=str(self.socket), user="root", autocommit=True, **more)

    def sql(self, *statements: str) -> list[Any]:
        """As root; the rows of the last one."""
        rows: list[Any] = []
        with self.connect() as connection, connection.cursor() as cursor:
            for statement in statements:
                cursor.execute(statement)
                rows = list(cursor.fetchall())
        return rows

    def is_up(self) -> bool:
        """Whether it takes connections. The driver would leave a socket behind when it does not."""
        with suppress(OSError), closing(socket.socket(socket.AF_UNIX)) as probe:
            probe.connect(str(self.socket))
            return True
        return False


@contextmanager
def mariadb(*settings: str) -> Iterator[Mariadb]:
    """A MariaDB server whose root needs no password."""
    install, server = require_program("mariadb-install-db"), require_program("mariadbd")
    with folder_of("mysql") as folder:
        data = folder / "data"
        run(
            [
                install,
                "--no-defaults",
                f"--datadir={data}",
                "--skip-test-db",
                "--auth-root-authentication-method=normal",
            ],
            "mysql",
            folder,
        )
        found = Mariadb(folder, free_port(), folder / "socket")
        argv = [
            server, "--no-defaults", f"--datadir={data}", f"--socket={found.socket}", f"--port={found.port}",
            "--bind-address=127.0.0.1", f"--pid-file={folder}/pid", "--innodb-flush-log-at-trx-commit=0",
            "--innodb-buffer-pool-size=16M", "--skip-name-resolve", *settings,
        ]  # fmt: skip
        with running(argv, "mysql", folder):
            until(found.is_up, "MariaDB")
            yield found


@contextmanager
def redis_server(*settings: object) -> Iterator[int]:
    """A Redis server that saves nothing by itself; gives its port."""
    program = require_program("redis-server")
    with folder_of("redis") as folder:
        port = free_port()
        argv = [program, "--port", port, "--bind", "127.0.0.1", "--dir", folder, "--save", "", *settings]
        with running(argv, "redis", folder):
            until(lambda: answers(port), "Redis")
            yield port


@contextmanager
def rabbitmq() -> Iterator[tuple[str, int]]:
    """A RabbitMQ node with its management plugin; gives the address of that, the port for messages.

    It has an epmd of its own, which would otherwise stay when all nodes are gone.
    """
    server = Path("/usr/lib/rabbitmq/bin/rabbitmq-server")
    require(server.exists(), "RabbitMQ (make test installs it when run as root on Debian)")
    epmd = require_program("epmd")
    with folder_of("rabbitmq") as folder:
        names, messages, management, distribution = (free_port() for _ in range(4))
        (folder / "rabbitmq.conf").write_text(
            f"listeners.tcp.1 = 127.0.0.1:{messages}\nmanagement.tcp.ip = 127.0.0.1\n"
            f"management.tcp.port = {management}\ncollect_statistics_interval = 1000\n"
        )
        (folder / "plugins").write_text("[rabbitmq_management].\n")
        environment = {
            "ERL_EPMD_PORT": str(names),
            "RABBITMQ_NODENAME": f"hostward{names}@localhost",
            "RABBITMQ_MNESIA_BASE": str(folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(folder / "log"),
            "RABBITMQ_CONFIG_FILE": str(folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(folder / "plugins"),
            "RABBITMQ_DIST_PORT": str(distribution),
            "RABBITMQ_PID_FILE": str(folder / "pid"),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +sbwt none",
        }
        address = f"http://127.0.0.1:{management}"
        with (
            running([epmd, "-port", names, "-address", "127.0.0.1"], "rabbitmq", folder),
            running([server], "rabbitmq", folder, environment=environment),
        ):
            until(lambda: answers(messages) and answers(management), "RabbitMQ", 100)
            yield address, messages
