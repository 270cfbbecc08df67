"""Repositories that commands are tried on: cheap to open, and filled by the real restic."""

from __future__ import annotations

import io
import json
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stderr, redirect_stdout
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from unittest.mock import patch

from agent.cli.main import main
from backup.format.keyfile import Cost
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.local import LocalStore
from tests.agent.daemon.daemons import HOSTWARD
from tests.zones import take_zone

PASSWORD = "correct horse battery"
CHEAP = Cost(1024, 8, 1)
"""Of scrypt, so that opening takes no time."""
PREFIXES = ("HOSTWARD_", "RESTIC_")


@dataclass(frozen=True)
class Place:
    """A repository in a folder."""

    folder: Path
    restic: Path | None = None

    @classmethod
    def make(cls, folder: Path, restic: Path | None = None) -> Place:
        """A new one."""
        Repository.create(LocalStore(str(folder)), PASSWORD.encode(), cost=CHEAP)
        return cls(folder, restic)

    def environment(self, **more: str) -> dict[str, str]:
        """What names it and its password; no variables of whoever runs the tests."""
        base = {name: value for name, value in os.environ.items() if not name.startswith(PREFIXES)}
        return {
            **base,
            "HOSTWARD_REPOSITORY": str(self.folder),
            "HOSTWARD_PASSWORD": PASSWORD,
            "TZ": "Asia/Kolkata",
            **more,
        }

    def hostward(self, *words: object, code: int = 0, **more: str) -> str:
        """What `hostward backup …` prints, which must end with `code`."""
        done = call(["backup", *map(str, words)], self.environment(**more))
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout

    def json(self, *words: object) -> Any:
        """The JSON, or a list of its lines."""
        return parse(self.hostward(*words, "--json"))

    def peer(self, *words: object, code: int = 0, password: str = PASSWORD) -> str:
        """What `restic …` prints."""
        assert self.restic is not None
        environment = self.environment(RESTIC_PASSWORD=password, RESTIC_REPOSITORY=str(self.folder))
        done = subprocess.run(
            [str(self.restic), "--no-cache", *map(str, words)],
            env=environment,
            capture_output=True,
            text=True,
            timeout=100,
        )
        assert done.returncode == code, done.stderr + done.stdout
        return done.stdout

    def peer_json(self, *words: object) -> Any:
        """The JSON of restic, or a list of its lines."""
        return parse(self.peer(*words, "--json"))

    def opened(self, password: str = PASSWORD) -> Repository:
        """By our own code."""
        return open_repository(LocalStore(str(self.folder)), password.encode())


def run(
    words: Sequence[str], environment: Mapping[str, str], *, stdin: bytes | None = None, cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """`hostward …` in a process of its own."""
    done = subprocess.run(
        [str(HOSTWARD), *words],
        env=dict(environment),
        capture_output=True,
        input=stdin if stdin is not None else b"",
        cwd=cwd,
        timeout=100,
    )
    return subprocess.CompletedProcess(
        done.args,
        done.returncode,
        done.stdout.decode("utf-8", "surrogateescape"),
        done.stderr.decode("utf-8", "replace"),
    )


class Terminal(io.TextIOWrapper):
    """Somebody looks at it."""

    def isatty(self) -> bool:
        return True


@contextmanager
def zone_after() -> Iterator[None]:
    """The zone of the environment holds again, whatever happened in the block."""
    try:
        yield
    finally:
        take_zone()


def call(
    words: Sequence[str], environment: Mapping[str, str], *, terminal: bool = False
) -> subprocess.CompletedProcess[str]:
    """The same within this process, which saves starting one; with standard output on a terminal where asked for."""
    out, err = (
        kind(io.BytesIO(), encoding="utf-8", errors="surrogateescape", write_through=True)
        for kind in (Terminal if terminal else io.TextIOWrapper, io.TextIOWrapper)
    )
    with (
        zone_after(),
        patch.dict(os.environ, environment, clear=True),
        patch("agent.cli.backup.frame.dump_no_core"),  # which would hold for all tests that follow
        patch("agent.backups.job.limits.take"),  # so would these
        patch("backup.repository.keys.calibrated_cost", return_value=CHEAP),
        patch("sys.stdin", io.TextIOWrapper(io.BytesIO())),
        redirect_stdout(out),
        redirect_stderr(err),
    ):
        take_zone()
        try:
            code = main(words)
        except SystemExit as end:
            code = int(end.code or 0)
    said = [pipe.buffer.getvalue().decode("utf-8", "surrogateescape") for pipe in (out, err)]  # type: ignore[attr-defined]
    return subprocess.CompletedProcess(words, code, *said)


def parse(text: str) -> Any:
    """A document, or several lines of them."""
    try:
        return json.loads(text)
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines()]
