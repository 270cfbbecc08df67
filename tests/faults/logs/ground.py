"""Ways to rotate, folders of logs for them, and what must hold of these whatever happened."""

from __future__ import annotations

import gzip
import lzma
import os
import shutil
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import zstandard

NOW = 1704456000.0
"""2024-01-05 12:00 UTC."""
DAY = 86400.0
_PER_FILE = 100


def lines(start: int, end: int) -> bytes:
    """Those of these numbers."""
    return b"".join(b"line %06d of what must not be lost\n" % number for number in range(start, end))


def unpacked(path: Path) -> bytes:
    """What is in a file. Fails where one is named as if it were compressed, but is not, or not as a whole."""
    content = path.read_bytes()
    if path.suffix == ".gz":
        return gzip.decompress(content)
    if path.suffix == ".xz":
        return lzma.decompress(content)
    if path.suffix == ".zst":
        reader = zstandard.ZstdDecompressor().decompressobj()
        plain = reader.decompress(content)
        assert reader.eof, f"{path} is not whole"
        return plain
    return content


@dataclass(frozen=True)
class Way:
    """A way to rotate."""

    body: str
    """Lines of a section of logrotate's language; {top} stands for the folder of the trial, {far} for one on another
    device.
    """
    older: tuple[str, ...] = ("app.log.3", "app.log.2", "app.log.1")
    """Names of files that are there before, the oldest first."""
    logs: tuple[str, ...] = ("app.log",)
    outlives: int = 2
    """Rotations after which what is rotated now is still there."""
    doubles: bool = False
    """Whether the log keeps what was copied from it."""
    shreds: str = ""
    """The name under which the oldest is overwritten before it is removed."""
    olddir: str = ""
    """Where older ones lie, likewise."""
    old_days: int = 0
    """How old the oldest is."""


_SAID = 'echo "$1" "$2" >> {top}/ran; test -z "$2" || test -e "$2" || echo early >> {top}/ran'
_AFTER = f"postrotate\n{_SAID}\nendscript\n"
_ALL = "sharedscripts\n" + "".join(
    f"{name}\necho {name} $# >> {{top}}/ran\nendscript\n"
    for name in ("firstaction", "prerotate", "postrotate", "lastaction")
)

WAYS = {
    "numbers": Way(f"create 0640 root adm\n{_AFTER}"),
    "dates": Way(f"dateext\ncreate\n{_AFTER}", older=("app.log-20240102", "app.log-20240103", "app.log-20240104")),
    "compress": Way(
        f"compress\ncreate\n{_AFTER}preremove\necho remove $1 >> {{top}}/ran\nendscript\n",
        older=("app.log.3.gz", "app.log.2.gz", "app.log.1.gz"),
    ),
    "delaycompress": Way(
        f"compress\ndelaycompress\ncreate\n{_AFTER}", older=("app.log.3.gz", "app.log.2.gz", "app.log.1")
    ),
    "delaycompress by dates": Way(
        "compress\ndelaycompress\ndateext\nnocreate\n",
        older=("app.log-20240102.gz", "app.log-20240103.gz", "app.log-20240104"),
    ),
    "copytruncate": Way(f"copytruncate\n{_AFTER}"),
    "copytruncate and compress": Way("copytruncate\ncompress\n", older=("app.log.2.gz", "app.log.1.gz")),
    "renamecopy": Way(f"renamecopy\ncreate\n{_AFTER}"),
    "copy": Way(f"copy\n{_AFTER}", doubles=True),
    "olddir on another device": Way(
        "copytruncate\nolddir {far}/old\ncreateolddir 0750 root adm\ncompress\n", older=(), olddir="{far}/old"
    ),
    "olddir": Way(f"olddir old\ncreate\n{_AFTER}", olddir="{top}/logs/old"),
    "shared scripts": Way(f"compress\ncreate\n{_ALL}", logs=("a.log", "b.log"), older=("a.log.1.gz", "b.log.1.gz")),
    "maxage": Way(
        "dateext\nrotate -1\nmaxage 20\nnocreate\n",
        older=("app.log-20231101", "app.log-20240103", "app.log-20240104"),
        old_days=60,
    ),
    "shred": Way("shred\nshredcycles 1\nrotate 1\nnocreate\n", older=("app.log.1",), outlives=0, shreds="app.log.2"),
    "mail": Way("rotate 1\ncompress\nmail somebody\nnocreate\n", older=("app.log.1.gz",), outlives=0),
}


@dataclass
class Place:
    """A folder in which one way is tried."""

    top: Path
    far: Path
    """A folder on another device."""
    way: Way

    @property
    def logs(self) -> Path:
        return self.top / "logs"

    @property
    def state(self) -> Path:
        return self.top / "state/status"

    @property
    def conf(self) -> Path:
        return self.top / "conf"

    @property
    def old(self) -> Path:
        return Path(self._meant(self.way.olddir)) if self.way.olddir else self.logs

    def fill(self) -> None:
        """Make what is there before."""
        self.logs.mkdir(parents=True)
        self.state.parent.mkdir()
        self.far.mkdir()
        if self.way.olddir.startswith("{top}"):
            self.old.mkdir()
        for position, name in enumerate(self.way.older):
            path = self.old / name
            content = lines(position * _PER_FILE, (position + 1) * _PER_FILE)
            path.write_bytes(gzip.compress(content, 1) if name.endswith(".gz") else content)
            age = max(self.way.old_days - position * 100, 2)
            os.utime(path, (NOW - age * DAY, NOW - age * DAY))
        for position, name in enumerate(self.way.logs, len(self.way.older)):
            path = self.logs / name
            path.write_bytes(lines(position * _PER_FILE, (position + 1) * _PER_FILE))
            path.chmod(0o640)
            os.utime(path, (NOW - 100, NOW - 100))
        self.configure()

    def configure(self, pattern: str = "") -> None:
        """Write the configuration, for the logs of the way or those that the pattern means."""
        logs = pattern or " ".join(f'"{self.logs}/{name}"' for name in self.way.logs)
        self.conf.write_text(f"{logs} {{\ndaily\nmissingok\nrotate 3\n{self._meant(self.way.body)}}}\n")
        self.conf.chmod(0o644)
        yesterday = "".join(f'"{self.logs}/{name}" 2024-1-4-12:0:0\n' for name in self.way.logs)
        self.state.write_text(f"logrotate state -- version 2\n{yesterday}")
        self.state.chmod(0o640)

    def _meant(self, text: str) -> str:
        return text.format(top=self.top, far=self.far)

    def copied(self, to: Path, far: Path) -> Place:
        """The same in another folder."""
        shutil.copytree(self.top, to)
        far.mkdir()
        other = Place(to, far, self.way)
        other.configure()
        return other

    # What must hold

    def files(self) -> list[Path]:
        """All logs and older ones, but not what is being made."""
        folders = {self.logs, self.old}
        return sorted(
            path
            for folder in folders
            if folder.is_dir()
            for path in folder.iterdir()
            if path.is_file() and not path.name.startswith(".")
        )

    def left_over(self) -> list[str]:
        """What was being made, and what is to be done by the next run."""
        hidden = [
            path
            for folder in (self.logs, self.old, self.state.parent)
            if folder.is_dir()
            for path in folder.iterdir()
            if path.name.startswith(".") or path.name.endswith((".tmp", ".journal"))
        ]
        return sorted(path.name for path in hidden)

    def counted(self) -> Counter[bytes]:
        """How often each line is there. Fails where one is torn."""
        found = Counter[bytes]()
        for path in self.files():
            if path.name == self.way.shreds:
                continue
            content = unpacked(path)
            assert not content or content.endswith(b"\n"), f"{path} ends within a line"
            found.update(content.splitlines())
        return found

    def tree(self) -> dict[str, tuple[int, int, int, bytes]]:
        """Of each file its mode, owners and content."""
        return {
            str(path).replace(str(self.top), "").replace(str(self.far), "far"): (
                path.stat().st_mode,
                path.stat().st_uid,
                path.stat().st_gid,
                unpacked(path),
            )
            for path in self.files()
        }

    def ran(self) -> Counter[str]:
        """What the scripts say of themselves."""
        file = self.top / "ran"
        return Counter(file.read_text().replace(str(self.top), "").splitlines()) if file.exists() else Counter()

    def rotated_at(self) -> str:
        """The entries of the state file, sorted."""
        entries = self.state.read_text().replace(str(self.top), "").splitlines()[1:]
        return "\n".join(sorted(entries))


def wait_until(holds: Callable[[], bool]) -> None:
    """For a minute."""
    deadline = time.monotonic() + 60
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.002)
