"""PostgreSQL's own tools that distributions keep out of PATH."""

from __future__ import annotations

import os
import re
import shutil
from pathlib import Path

from agent.backups.programs import ProgramError, collect
from kit.files import read_regular
from kit.terminal import clean

_FOLDERS = ("/usr/lib/postgresql/*/bin", "/usr/pgsql-*/bin")


def find_tool(name: str, *, major: int = 0) -> Path | None:
    """Of this major version where there is one, else the newest; None where there is none."""
    found = [file for pattern in _FOLDERS for file in Path("/").glob(f"{pattern[1:]}/{name}")]
    found = [file for file in found if os.access(file, os.X_OK)]
    if same := [file for file in found if _version(file) == major]:
        return same[0]
    if on_path := shutil.which(name):
        return Path(on_path)
    return max(found, key=_version, default=None)


def verify_backup(data: Path, *, user: str) -> bool:
    """Compare a data folder with its manifest, and let pg_verifybackup read its WAL where it can.

    False where there is no pg_verifybackup. Raises ProgramError where something is not as the manifest says, or the
    folder holds no data; and OSError.
    """
    major = _major_of(data / "PG_VERSION")
    tool = find_tool("pg_verifybackup", major=major)
    if tool is None:
        return False
    words = [str(tool), "--quiet"]
    if not tool.with_name("pg_waldump").exists() or _version(tool) not in (0, major):
        words.append("--no-parse-wal")
    collect([*words, str(data)], user=user)
    return True


def _major_of(file: Path) -> int:
    """What else stands in it is not told: it is whatever the server's user put there."""
    found = re.match(rb"[0-9]{1,4}", read_regular(file, 64))
    if found is None:
        raise ProgramError(f"{clean(str(file))}: expected the version of PostgreSQL that the data is of")
    return int(found[0])


def _version(file: Path) -> int:
    match = re.search(r"(?:postgresql/|pgsql-)(\d+)/bin/", str(file))
    return int(match[1]) if match else 0
