"""Drills of databases: the dumps of a snapshot, loaded into a scratch server, which is asked whether all is there."""

from __future__ import annotations

import os
import threading
import time
from pathlib import Path

from agent.backups.drill.contract import DrillError, Restored, Tell
from agent.backups.scratch import registry
from agent.backups.scratch.contract import ScratchError, Server
from agent.config.drills import Assertion, DrillOptions
from backup.errors import RepositoryError
from backup.format.node import FILE, Node, shown
from backup.format.pack import BlobKind
from backup.maintain.walk import walk
from backup.repository.repository import Repository

GLOBALS = frozenset((b"globals.sql", b"users.sql"))
"""Names of the dumps that come before the databases' own: roles and accounts."""
_FALSE = frozenset(("", "0", "f", "false"))


def drill_database(
    repository: Repository,
    tree: bytes,
    folder: Path,
    source: str,
    options: DrillOptions,
    *,
    begun: float,
    tell: Tell,
) -> tuple[Restored, str]:
    """Load the dumps of the tree, which the source of this name made, into a server in `folder`, which is empty.

    `begun` is when the drill began (time.monotonic). Gives what came back, and what is wrong with the assertion's
    answer. Raises DrillError, ScratchError, RepositoryError, OSError.
    """
    dumps = dumps_of(repository, tree, source)
    if not dumps:
        raise DrillError(f"the snapshot holds no dump in /{source}")
    asked = os.fsencode(options.assertion.database) if options.assertion is not None else b""
    if asked:  # SQLite has one database at a time, and the last one is asked
        dumps.sort(key=lambda dump: dump[0].endswith(asked))
    total = sum(node.size for _, node in dumps)
    found = Restored(total_files=len(dumps), total_bytes=total)
    with registry.opened(source, folder, patience=float(options.timeout)) as server:
        for path, node in dumps:
            tell("data", found.bytes, total)
            _load(repository, server, path, node)
            found.files += 1
            found.bytes += node.size
        found.seconds = time.monotonic() - begun
        wrong = _ask(server, options.assertion) if options.assertion is not None else ""
    return found, wrong


def dumps_of(repository: Repository, tree: bytes, source: str) -> list[tuple[bytes, Node]]:
    """Path and node of each dump that a source saved, those for all databases first. Raises RepositoryError."""
    top = b"/" + source.encode()
    found = [
        (visited.path, visited.node)
        for visited in walk(repository, tree, enter=lambda visited: (visited.path + b"/").startswith(top + b"/"))
        if visited.node.type == FILE and visited.path.startswith(top + b"/")
    ]
    return sorted(found, key=lambda dump: (dump[1].name not in GLOBALS, dump[0]))


def _load(repository: Repository, server: Server, path: bytes, node: Node) -> None:
    """Through a pipe: the dump takes no room of its own. Each blob is verified by its digest as it is read."""
    reader, writer = os.pipe2(os.O_CLOEXEC)
    pump = _Pump(repository, node, writer)
    pump.start()
    try:
        server.load(os.fsdecode(path), reader)
    except ScratchError:
        pump.leave(reader)
        if pump.problem is not None:
            raise pump.problem from None
        raise
    except BaseException:
        pump.leave(reader)
        raise
    pump.leave(reader)
    if pump.problem is not None:
        raise pump.problem
    if not pump.whole:
        raise DrillError(f"{shown(path)} was not read to its end by the scratch server")


class _Pump(threading.Thread):
    """Writes a file of the snapshot into a pipe, while the server reads from it."""

    def __init__(self, repository: Repository, node: Node, writer: int) -> None:
        super().__init__(name="dump", daemon=True)
        self._repository = repository.clone(repository.store)
        self._node = node
        self._writer = writer
        self.whole = False
        self.problem: RepositoryError | None = None

    def run(self) -> None:
        try:
            with open(self._writer, "wb", buffering=0) as pipe:
                for id in self._node.content or ():
                    view = memoryview(self._repository.load_blob(BlobKind.DATA, id))
                    while view:
                        view = view[pipe.write(view) :]
            self.whole = True
        except BrokenPipeError:
            pass  # the server says why
        except RepositoryError as error:
            self.problem = error

    def leave(self, reader: int) -> None:
        """Nobody reads any more."""
        os.close(reader)
        self.join()


def _ask(server: Server, assertion: Assertion) -> str:
    rows = server.query(assertion.sql, assertion.database)
    value = rows[0][0] if rows and rows[0] else ""
    return judge_value(value, assertion.expect)


def judge_value(value: str, expect: str | None) -> str:
    """What is wrong with the answer to an assertion; empty where it is as expected (pure)."""
    if expect is None:
        return "" if value.strip().lower() not in _FALSE else f'the query answered "{value}"'
    return "" if value.strip() == expect else f'the query answered "{value}"; expected "{expect}"'
