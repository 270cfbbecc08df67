"""Old logs into the repository of a backup job, and the proof that they are there, as they are.

The repository is the business of `hostward backup`, which is run for it: nothing of backups is loaded here. What was
saved is read back from the repository as an archive, and each file in it compared with what was read from the disk,
by SHA-256. What is not proved stays.
"""

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys
import tarfile
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Final, NamedTuple

import msgspec

from kit.errors import HostwardError
from kit.terminal import bounded

AT_ONCE = 256
"""Files in one snapshot: what proves it is lost by a mistake is not more than that."""
PIECE = 2**20
_PARTLY = 3
"""The exit code of a backup that lacks something."""
_MAIN: Final = "import sys; from agent.cli.main import program; sys.exit(program())"


class ArchiveError(HostwardError):
    """Old logs could not be saved, or what was saved is not what there was."""


class Proof(NamedTuple):
    """A file as it was when it was saved."""

    device: int
    inode: int
    size: int
    modified: int
    """Nanoseconds."""
    digest: bytes


class Archive:
    """A backup job that takes old logs."""

    def __init__(self, job: str, *, config: Path | None, tags: Sequence[str]) -> None:
        """`config` is the file that has the job; None for the one by default."""
        self._job = job
        self._config = config
        self._tags = tags

    def save(self, paths: Sequence[str]) -> tuple[dict[str, Proof], list[str]]:
        """Save the files. What was proved to be in the repository, by path, and a sentence for each failure."""
        proved: dict[str, Proof] = {}
        errors: list[str] = []
        for start in range(0, len(paths), AT_ONCE):
            try:
                self._save(paths[start : start + AT_ONCE], proved, errors)
            except (OSError, tarfile.TarError, ArchiveError) as error:
                errors.append(f"the backup job {self._job}: {error}")
        return proved, errors

    def _save(self, paths: Sequence[str], proved: dict[str, Proof], errors: list[str]) -> None:
        wanted: dict[str, Proof] = {}
        for path in paths:
            try:
                wanted[path] = proof_of(path)
            except OSError as error:
                errors.append(f"{path}: {error.strerror}")
        if not wanted:
            return
        snapshot = self._snapshot(list(wanted))
        found = self._read_back(snapshot)
        for path, proof in wanted.items():
            if found.get(path) == proof.digest:
                proved[path] = proof
            elif path in found:
                errors.append(f"{path} is another in snapshot {snapshot[:8]} of the backup job {self._job}")
            else:
                errors.append(f"{path} is not in snapshot {snapshot[:8]} of the backup job {self._job}")

    def _snapshot(self, paths: list[str]) -> str:
        tags = [word for tag in self._tags for word in ("--tag", tag)]
        words = ["run", "--job", self._job, "--json", *tags, "--", *paths]
        # Each file is proved by itself, so that one which vanished keeps no other from being saved.
        with self._backup(words, fine=(0, _PARTLY)) as output:
            lines = output.read().splitlines()
        for line in reversed(lines):
            summary = msgspec.json.decode(line)
            if summary.get("message_type") == "summary" and summary.get("snapshot_id"):
                return str(summary["snapshot_id"])
        raise ArchiveError("it made no snapshot")

    def _read_back(self, snapshot: str) -> dict[str, bytes]:
        found = {}
        words = ["dump", "--job", self._job, "--no-cache", snapshot, "/"]
        with self._backup(words) as output, tarfile.open(fileobj=output, mode="r|") as archive:
            for member in archive:
                content = archive.extractfile(member) if member.isreg() else None
                if content is not None:
                    found["/" + member.name.lstrip("/")] = _digest(content)
        return found

    @contextmanager
    def _backup(self, words: Sequence[str], *, fine: tuple[int, ...] = (0,)) -> Iterator[IO[bytes]]:
        """What a command of backups prints. Raises ArchiveError where it fails."""
        named = ["--config", str(self._config)] if self._config is not None else []
        argv = [sys.executable, "-P", "-c", _MAIN, "backup", words[0], *named, *words[1:]]
        broken: tarfile.TarError | None = None
        with tempfile.TemporaryFile() as complaint:
            reading, writing = os.pipe()
            with open(reading, "rb") as output:
                try:
                    child = _spawn(argv, writing, complaint.fileno())
                finally:
                    os.close(writing)
                try:
                    yield output
                    while output.read(PIECE):  # what a reader of the archive left, so that the child can end
                        pass
                except tarfile.TarError as error:  # why it is none, the child knows better
                    broken = error
                finally:
                    output.close()
                    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
            if code not in fine:
                complaint.seek(0)
                raise ArchiveError(_last_words(complaint.read(2**16)) or f"it ended with {code}")
        if broken is not None:
            raise broken


def proof_of(path: str) -> Proof:
    """Read a file to its end. Raises OSError, for what is no regular file too."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file", path)
        with open(descriptor, "rb", buffering=0, closefd=False) as file:
            digest = _digest(file)
    finally:
        os.close(descriptor)
    return Proof(status.st_dev, status.st_ino, status.st_size, status.st_mtime_ns, digest)


def _digest(file: IO[bytes]) -> bytes:
    digest = hashlib.sha256()
    while piece := file.read(PIECE):
        digest.update(piece)
    return digest.digest()


def _spawn(argv: list[str], output: int, errors: int) -> int:
    null = (os.POSIX_SPAWN_OPEN, 0, os.devnull, os.O_RDONLY, 0)
    actions = [null, (os.POSIX_SPAWN_DUP2, output, 1), (os.POSIX_SPAWN_DUP2, errors, 2)]
    return os.posix_spawn(argv[0], argv, os.environ, file_actions=actions)


def _last_words(complaint: bytes) -> str:
    """The last line, without the JSON around it."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    try:
        return bounded(str(msgspec.json.decode(lines[-1])["message"]), 500)
    except (IndexError, KeyError, TypeError, msgspec.DecodeError):
        return bounded(lines[-1].removeprefix("hostward backup: "), 500) if lines else ""
