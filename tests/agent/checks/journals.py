"""A real journal, written by systemd-journal-remote."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from pathlib import Path

from tests.require import require

REMOTE = Path("/lib/systemd/systemd-journal-remote")
BEGAN = 1_780_000_000


def write_journal(folder: Path, entries: Sequence[dict[str, str | bytes]], *, first: int = 0) -> None:
    """Add entries, a second apart from number `first` on, to the journal in `folder`.

    Format: https://systemd.io/JOURNAL_EXPORT_FORMATS/
    """
    require(REMOTE.exists(), "systemd-journal-remote (make test installs it when run as root on Debian)")
    text = b""
    for number, fields in enumerate(entries, start=first):
        entry: dict[str, str | bytes] = {
            "__REALTIME_TIMESTAMP": str((BEGAN + number) * 10**6),
            "__MONOTONIC_TIMESTAMP": str(1000 + number * 10**6),
            "_BOOT_ID": "0123456789abcdef0123456789abcdef",
            **fields,
        }
        for name, value in entry.items():
            if isinstance(value, bytes) or "\n" in value:
                data = value if isinstance(value, bytes) else value.encode()
                text += name.encode() + b"\n" + len(data).to_bytes(8, "little") + data + b"\n"
            else:
                text += f"{name}={value}\n".encode()
        text += b"\n"
    folder.mkdir(exist_ok=True)
    output = f"--output={folder / 'remote.journal'}"
    subprocess.run([REMOTE, output, "-"], input=text, check=True, capture_output=True, timeout=60)
