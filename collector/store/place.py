"""Which database is that of a data folder: the SQLite file in it, or what `database.toml` in it names."""

from __future__ import annotations

import json
from pathlib import Path

import msgspec

from collector.store.postgresql import Server, check_url
from kit.errors import HostwardError, UsageError
from kit.files import own_as_folder, read_regular, write_durably

SQLITE = "collector.db"
CHOICE = "database.toml"
"""For the data folder's owner alone: it holds the password."""
_MOST = 64 * 1024

Place = Path | Server


def place_of(folder: Path) -> Place:
    """Where the folder's database is. Raises HostwardError for a file that does not say it, OSError."""
    file = folder / CHOICE
    try:
        text = read_regular(file, _MOST)
    except FileNotFoundError:
        return folder / SQLITE
    try:
        found = msgspec.toml.decode(text, type=Server)
        check_url(found.url)
    except (msgspec.DecodeError, UnicodeDecodeError, UsageError) as error:
        raise HostwardError(f"{file}: {error}") from None
    return found


def choose(folder: Path, place: Place) -> None:
    """Have the folder's database be there from now on. Raises OSError."""
    file = folder / CHOICE
    if isinstance(place, Path):
        file.unlink(missing_ok=True)
        return
    # JSON's strings are TOML's too.
    lines = [f"url = {json.dumps(place.url)}\n", f"password = {json.dumps(place.password)}\n"]
    write_durably(file, "".join(lines).encode(), mode=0o600)
    own_as_folder(file)
