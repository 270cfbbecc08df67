"""Puts what programs said of a host, its logs and its metrics into one archive, without secrets and within a size.

`python3 -m deploys.onhost.collect`, in a folder that nobody else can read, with a plan as JSON on standard input:
`size` (bytes of the archive at most), `since` (seconds since the epoch), `logs` (patterns of files) and `said` (names
of files in the folder `said`). It writes `bundle.tar.gz`, and prints JSON: `size`, `digest` (SHA-256), `files` and
`left_out`.

What is named first comes first; of a text that is too long the beginning is left out.
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import stat
import sys
import tarfile
import time
import urllib.request
from pathlib import Path
from typing import Any

from deploys.rules.redact import known_secrets, redact

BUNDLE = "bundle.tar.gz"
SHOWN = "configuration.json"
"""Among what was said: the agent's configuration in force."""
METRICS = "127.0.0.1:9843"
"""Where `metrics.listen = "auto"` serves them."""
PATIENCE = 30
"""Seconds for the agent to answer."""
OVERHEAD = 2**18
"""Bytes of the archive for what the compressor holds back, headers, and the end."""
MOST = 32 * 2**20
"""Bytes of one text."""
COMPRESSED = (".gz", ".xz", ".zst", ".bz2", ".lz4")


class Archive:
    """The archive, and what was left out of it."""

    def __init__(self, path: Path, size: int, secrets: set[str]) -> None:
        self._file = path.open("wb")
        self._tar = tarfile.open(fileobj=self._file, mode="w:gz")  # noqa: SIM115 -- `close` closes it
        self._end = size
        self._secrets = secrets
        self.files: list[str] = []
        self.left_out: list[str] = []

    @property
    def room(self) -> int:
        """Bytes of a text for which there is surely room, however badly it can be compressed."""
        return min(MOST, (self._end - self._file.tell() - OVERHEAD) * 99 // 100)

    def add(self, name: str, contents: bytes, when: float) -> None:
        """Add a text without its secrets; what no longer fits is left out from its beginning."""
        text = redact(contents.decode(errors="replace"), self._secrets).encode()
        room = self.room
        if room <= 0:
            self.left_out.append(f"{name}: there is no room left")
            return
        if len(text) > room:
            text = text[-room:].partition(b"\n")[2]
            self.left_out.append(f"{name}: its beginning")
        entry = tarfile.TarInfo(name.lstrip("/"))
        entry.size, entry.mode, entry.mtime = len(text), 0o600, int(when)
        self._tar.addfile(entry, io.BytesIO(text))
        self.files.append(name)

    def close(self) -> None:
        """Nothing can be added any more."""
        self._tar.close()
        self._file.close()


def collect(plan: dict[str, Any], folder: Path, root: Path) -> dict[str, Any]:
    """What the module says, with the host's files below `root`. Raises OSError."""
    archive = Archive(folder / BUNDLE, int(plan["size"]), secrets(root))
    for name in plan["said"]:
        contents, when = tail(folder / "said" / name, MOST)
        archive.add(name, contents, when)
        if name == SHOWN and (found := metrics(contents)) is not None:
            archive.add("metrics.txt", found, time.time())
    for path in logs(root, plan["logs"], plan["since"]):
        # Whoever owns a folder of logs names the files in it, also by what is no text.
        name = os.fsencode(f"logs/{path.relative_to(root)}").decode(errors="backslashreplace")
        try:
            contents, when = tail(path, min(MOST, 4 * max(0, archive.room)))
        except OSError as error:
            archive.left_out.append(f"{name}: {error.strerror}")
            continue
        archive.add(name, contents, when)
    archive.close()
    whole = (folder / BUNDLE).read_bytes()
    digest = hashlib.sha256(whole).hexdigest()
    return {"size": len(whole), "digest": digest, "files": archive.files, "left_out": archive.left_out}


def secrets(root: Path) -> set[str]:
    """What the agent's configuration keeps from others, and what it names as a file with secrets."""
    paths = set()
    for path in (root / "etc/hostward").rglob("*"):
        with contextlib.suppress(OSError):
            if path.suffix == ".toml":
                named = re.findall(r"""_file\s*=\s*(["'])/([^"'\n]+)\1""", path.read_text(errors="replace"))
                paths |= {root / name for _, name in named}
            elif not path.stat().st_mode & stat.S_IROTH:
                paths.add(path)
    found = set()
    for path in paths:
        with contextlib.suppress(OSError):
            found |= known_secrets(tail(path, 2**16)[0].decode(errors="replace"))
    return found


def metrics(shown: bytes) -> bytes | None:
    """What the agent shows Prometheus; None where it shows nothing."""
    with contextlib.suppress(OSError, ValueError, KeyError, TypeError):
        listen = next(one["value"] for one in json.loads(shown)["options"] if one["key"] == "metrics.listen")
        address = METRICS if listen == "auto" else listen
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        with opener.open(f"http://{address}/metrics", timeout=PATIENCE) as answer:
            return bytes(answer.read(MOST))
    return None


def logs(root: Path, patterns: list[str], since: float) -> list[Path]:
    """Files that were written to since then, the newest first. Links and compressed files are not among them, nor is
    what a link in its way leads to, unless root made that.
    """
    found = {}
    for pattern in patterns:
        for path in root.glob(pattern.lstrip("/")):
            with contextlib.suppress(OSError):
                status = path.lstat()
                if not stat.S_ISREG(status.st_mode) or status.st_mtime < since or path.suffix in COMPRESSED:
                    continue
                way = [place.lstat() for place in path.parents if place.is_relative_to(root)]
                if all(each.st_uid == 0 for each in way if stat.S_ISLNK(each.st_mode)):
                    found[path] = status.st_mtime
    return sorted(found, key=lambda path: (-found[path], path))


def tail(path: Path, most: int) -> tuple[bytes, float]:
    """The end of a regular file, from the beginning of a line on, and when it was written to. Raises OSError."""
    with open(os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
        status = os.fstat(file.fileno())
        if not stat.S_ISREG(status.st_mode):
            raise OSError(errno.EINVAL, "it is no regular file")
        file.seek(max(0, status.st_size - most))
        contents = file.read(most)
        return (contents.partition(b"\n")[2] if status.st_size > most else contents), status.st_mtime


if __name__ == "__main__":
    json.dump(collect(json.load(sys.stdin), Path.cwd(), Path("/")), sys.stdout)
