"""Root's half of the agent: answers one connection of `hostward-jobs.socket`, and ends.

It takes a kind and a name (agent.privileged.protocol), and from root's own configuration all else: what runs, as whom
and with which rights. systemd starts it as `python -I -m agent.privileged.serve UNIT` with the connection as standard
input; UNIT is its own name, to which what it starts is tied.
"""

from __future__ import annotations

import logging
import os
import pwd
import selectors
import socket
import struct
import sys
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import msgspec

from agent.backups.command import CACHES, WORK, Kind, command
from agent.checks.contract import Context
from agent.checks.runner import encode_call, plan
from agent.config.backups import BackupOptions
from agent.config.credentials import named
from agent.config.defaults import effective_checks
from agent.config.drills import DrillOptions
from agent.config.load import read
from agent.config.schema import Config, JobOptions
from agent.daemon import log as logs
from agent.jobs.limits import Limits
from agent.jobs.run import Ended
from agent.jobs.supervisor import Jobs
from agent.paths import CONFIGURATION, STATE, System
from agent.privileged.inside import Work
from agent.privileged.options import Privileged
from agent.privileged.protocol import (
    MAX_LINE,
    MAX_REPLY,
    ProtocolError,
    Reply,
    Request,
    decode_line,
    decode_reply,
    encode_reply,
)
from agent.privileged.sandbox import (
    BACKSTOP,
    FOR_SNAPSHOTS,
    STOP_GRACE,
    for_snapshots,
    properties,
    systemd_run,
    unit_name,
)
from kit import credentials
from kit.errors import ConfigurationError, HostwardError
from kit.units import format_duration

log = logging.getLogger(__name__)

ROOT_ALONE = frozenset({0})
ASKING = 5.0
"""Seconds for the whole request, and for taking the reply."""
STARTING = 10.0
"""Seconds for systemd to set up a unit, beyond the unit's own limit."""
USER = "hostward"
ENDED = 255
"""How systemd-run exits when the unit's program was ended by a signal."""
INSIDE = (sys.executable, "-I", "-m", "agent.privileged.inside")

_REASONS = {
    203: "its interpreter cannot be started",
    216: "its user's groups cannot be had",
    217: "there is no such user",
    218: "one of its capabilities is not known to this system",
    226: "a path in `writable` does not exist",
}
"""systemd's own exit codes for what keeps it from starting a unit's program: systemd.exec(5)."""


class RefusedError(HostwardError):
    """What was asked for is not what root's configuration lets the daemon have."""


def allowed_users() -> frozenset[int]:
    """Root, and the user of the daemon."""
    users = {0}
    with suppress(KeyError):
        users.add(pwd.getpwnam(USER).pw_uid)
    return frozenset(users)


def peer(connection: socket.socket) -> tuple[int, int]:
    """Process and user at the other end, as the kernel noted them when they connected (unix(7), SO_PEERCRED)."""
    credentials = connection.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, struct.calcsize("3i"))
    pid, uid, _ = struct.unpack("3i", credentials)
    return pid, uid


def receive(connection: socket.socket, seconds: float = ASKING) -> tuple[Request, bytes]:
    """The request, whole and within its time. Raises ProtocolError."""
    end = time.monotonic() + seconds
    head = b""
    while b"\n" not in head:
        if len(head) >= MAX_LINE:
            raise ProtocolError(f"expected a line of at most {MAX_LINE} bytes")
        head += _more(connection, MAX_LINE - len(head), end)
    line, _, body = head.partition(b"\n")
    request = decode_line(line + b"\n")
    while len(body) < request.length:
        body += _more(connection, request.length - len(body), end)
    if len(body) > request.length:
        raise ProtocolError("expected one request, and nothing behind it")
    return request, body


def _more(connection: socket.socket, room: int, end: float) -> bytes:
    connection.settimeout(max(0.001, end - time.monotonic()))
    try:
        found = connection.recv(room)
    except OSError as error:
        raise ProtocolError(f"the request did not come whole: {error}") from error
    if not found:
        raise ProtocolError("the request ended before it was whole")
    return found


@dataclass(frozen=True, slots=True)
class Found:
    """What root's configuration says of something that was asked for."""

    work: Work
    table: Privileged
    properties: dict[str, str]
    """Of its unit."""
    timeout: float
    """Seconds."""
    credentials: tuple[str, ...] = ()
    """Those that its options name."""


def find(request: Request, body: bytes, file: Path) -> Found:
    """What root's configuration says of it.

    Raises RefusedError for what is not defined there, or not `privileged`; ConfigurationError for a configuration
    with mistakes, or one that others than root could have written.
    """
    system = System()
    config = read(file, system=system, owners=ROOT_ALONE).value
    if request.kind == "check":
        return _check(request.name, body, config, system)
    if request.kind == "job":
        return _job(request.name, config)
    return _run(request.kind, request.name, config, file)


def _job(name: str, config: Config) -> Found:
    job = config.jobs.get(name)
    if job is None or not job.enabled or job.privileged is None:
        raise RefusedError(f'root\'s configuration defines no privileged job "{name}"')
    timeout = float(job.timeout)
    work = Work(command=job.command, environment=job.environment, timeout=timeout)
    return Found(work, job.privileged, _properties(job, job.privileged, timeout), timeout)


def _run(kind: Kind, name: str, config: Config, file: Path) -> Found:
    """A backup job or a drill, in a process that prints what goes on record."""
    options = config.backups.get(name) if kind == "backup" else config.drills.get(name)
    if options is None or not options.enabled or options.privileged is None:
        raise RefusedError(f'root\'s configuration defines no privileged {kind} "{name}"')
    job = options if isinstance(options, BackupOptions) else config.backups[options.backup]
    # Both names are folders of one level: /var/cache/hostward-backup/NAME.
    folder = f"{WORK.name}/{name}"
    words = command(kind, name, config=file, state=STATE, caches=CACHES / name, isolated=True)
    table = options.privileged
    freezes = isinstance(options, BackupOptions) and options.snapshot != "none"
    if freezes:
        table = for_snapshots(table)
    found = _properties(options, table, options.patience)
    if freezes:
        found |= FOR_SNAPSHOTS
    # It hides /usr/lib/modules, of which an empty folder would be saved. To load one takes more than seeing it.
    found["ProtectKernelModules"] = "no"
    found |= {"CacheDirectory": folder, "CacheDirectoryMode": "0700"}
    found |= {"StateDirectory": folder, "StateDirectoryMode": "0700"}
    work = Work(command=tuple(words), timeout=options.patience)
    return Found(work, table, found, options.patience, named(options) + named(job))


def _check(name: str, body: bytes, config: Config, system: System) -> Found:
    options = effective_checks(config, system).get(name)
    if options is None or options.privileged is None:
        raise RefusedError(f'root\'s configuration defines no privileged check "{name}"')
    table, timeout = options.privileged, float(options.timeout)
    # Inside of the sandbox it is a check like any other.
    planned = plan({name: msgspec.structs.replace(options, privileged=None)})[0]
    call = encode_call(planned, Context(system=system, now=time.time()))
    work = Work(call=call, before=body)
    return Found(work, table, properties(table, timeout=timeout), timeout, named(options))


def _properties(
    options: JobOptions | BackupOptions | DrillOptions, table: Privileged, timeout: float
) -> dict[str, str]:
    memory = None if options.memory_max is None else int(options.memory_max)
    return properties(table, timeout=timeout, nice=options.nice, idle_io=options.idle_io, memory_max=memory)


def _given(names: Sequence[str]) -> dict[str, Path]:
    """Of the credentials that options name those that this unit has, and hands on. The others are missed in time."""
    folder = os.environ.get(credentials.FOLDER)
    files = {name: Path(folder, name) for name in names} if folder else {}
    return {name: file for name, file in files.items() if file.is_file()}


def run(
    connection: socket.socket, caller: str, request: Request, body: bytes, file: Path, inside: Sequence[str] = INSIDE
) -> Reply | None:
    """Run what was asked for and give its reply, or None where the daemon has hung up: then nothing of it is left."""
    try:
        found = find(request, body, file)
    except ConfigurationError as error:
        first, *others = str(error).splitlines()
        more = f" (and {len(others)} more, see hostward config check)" if others else ""
        return Reply(outcome="failed", message=f"root's half of the agent refuses the configuration: {first}{more}")
    except RefusedError as error:
        return Reply(outcome="failed", message=str(error))
    unit = unit_name(request.kind, request.name)
    ends: list[Ended] = []
    hung_up = []
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        selector.register(connection, selectors.EVENT_READ, lambda: hung_up.append(True))
        jobs.start_command(
            "unit",
            systemd_run(unit, caller, found.properties, found.table.devices, inside, _given(found.credentials)),
            limits=Limits(time=found.timeout + BACKSTOP + STOP_GRACE + STARTING, output=MAX_REPLY),
            given=msgspec.msgpack.encode(found.work),
            on_end=ends.append,
        )
        while not ends and not hung_up:
            jobs.wait(None)
        if hung_up:
            # systemd-run would leave the unit alone; the unit's end is also the end of systemd-run.
            selector.unregister(connection)
            limits = Limits(time=2 * STOP_GRACE + STARTING)
            jobs.start_command("stop", ["systemctl", "stop", unit], limits=limits, on_end=ends.append)
            while jobs.running:
                jobs.wait(None)
            return None
    return _reply(request, found.timeout, ends[0])


def _reply(request: Request, timeout: float, ended: Ended) -> Reply:
    """What came of the unit. What ran inside tells of itself, also where systemd had to end what it left behind."""
    with suppress(ProtocolError):
        return decode_reply(ended.output)
    error = ended.error.decode("utf-8", "replace")
    if ended.outcome == "timed_out":
        return Reply(outcome="timed_out", message=f"stopped at its time limit of {format_duration(timeout)}")
    if "already loaded" in error or "already exists" in error:
        message = f"the {request.kind} is running already (systemctl status {unit_name(request.kind, request.name)})"
    elif ended.exit_code in _REASONS:
        message = f"its sandbox cannot be set up: {_REASONS[ended.exit_code]}"
    elif ended.exit_code in (0, ENDED):
        return Reply(outcome="killed", message="it was ended from outside, or for want of memory")
    else:
        message = f"systemd could not run it: {ended.message}"
    return Reply(outcome="failed", message=message)


def main() -> None:
    """Answer the connection on standard input."""
    logs.set_up()
    connection = socket.socket(fileno=os.dup(0))
    pid, uid = peer(connection)
    if uid not in allowed_users():
        log.warning("user %d (process %d) was refused: only root and %s may ask", uid, pid, USER)
        return
    try:
        request, body = receive(connection)
    except ProtocolError as error:
        log.warning("user %d (process %d) was refused: %s", uid, pid, error)
        reply: Reply | None = Reply(outcome="failed", message=str(error))
    else:
        connection.setblocking(False)
        reply = run(connection, sys.argv[1], request, body, CONFIGURATION)
        said = "ended, since nobody waits for it any more" if reply is None else f"{reply.outcome} {reply.message}"
        log.info("%s %s for user %d: %s", request.kind, request.name, uid, said.strip())
    if reply is not None:
        connection.settimeout(ASKING)
        with suppress(OSError):  # Nobody is there to take it.
            connection.sendall(encode_reply(reply))


if __name__ == "__main__":
    main()
