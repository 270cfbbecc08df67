"""How home stands on its host."""

from __future__ import annotations

from collections.abc import Iterable
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase

FOLDER = "/var/lib/hostward-deploys/home"
"""What a change of home keeps on the host while it goes on, root's alone."""
DATA = "/var/lib/hostward-collector"
_PROGRAM = """
import hashlib, json, os, sqlite3, sys, tomllib
folder, data = sys.argv[1:]
found = {
    "unfinished": os.path.exists(folder + "/before.json"),
    "pending": os.path.exists(folder + "/password.pending"),
}
try:
    with open(data + "/server.pem", "rb") as file:
        found["certificate"] = hashlib.sha256(file.read()).hexdigest()
except OSError:
    pass  # what is not there is not told
try:
    with open(data + "/database.toml", "rb") as file:
        text = file.read()
    found["database"] = tomllib.loads(text.decode())["url"]
    found["database_digest"] = hashlib.sha256(text).hexdigest()
except (OSError, ValueError, KeyError):
    pass
try:
    from pathlib import Path
    if "database" in found:
        from collector.store.database import connect, told
        from collector.store.place import place_of
        from collector.store.schema import revision
        from sqlalchemy import text
        place = place_of(Path(data))
        with told(place), connect(place).read() as connection:
            count = text("SELECT count(*) FROM users")
            found["initialised"] = revision(connection) is not None and connection.execute(count).scalar() > 0
    else:
        connection = sqlite3.connect("file:" + os.path.realpath(data) + "/collector.db?mode=ro", uri=True, timeout=30)
        found["initialised"] = connection.execute("SELECT count(*) FROM users").fetchone()[0] > 0
    from collector import tls
    found["names"] = tls.names(Path(data))
except Exception as error:
    if "database" in found:
        found["trouble"] = str(error)
print(json.dumps(found))
"""


class Home(msgspec.Struct, frozen=True):
    """What is there."""

    initialised: bool = False
    """Whether it has its first administrator."""
    unfinished: bool = False
    """Whether a change was cut down, and is to be undone."""
    pending: bool = False
    """Whether the administrator has not yet got the password that was to be given."""
    names: tuple[str, ...] = ()
    """Of the server's certificate."""
    certificate: str = ""
    """SHA-256 of the file with the server's certificate and key, in hexadecimal."""
    database: str = ""
    """The address of its database in PostgreSQL; '' where it has SQLite's file."""
    database_digest: str = ""
    """SHA-256 of the file that says so."""
    trouble: str = ""
    """Why that database cannot be asked."""


class HomeState(FactBase[Home]):
    """Read by home's own Python, or the system's where there is none yet."""

    def command(self, prefix: str) -> str:
        """Look, and change nothing."""
        program = f"{FOLDER} {DATA}"
        own = quote(f"{prefix}/current/bin/python")
        return (
            f"python={own}; test -x $python || python=python3; command -v $python >/dev/null || exit 0; "
            f"$python -I -c {quote(_PROGRAM)} {program}"
        )

    @staticmethod
    def default() -> Home:
        """Nothing."""
        return Home()

    def process(self, output: Iterable[str]) -> Home:
        """Raises msgspec.DecodeError."""
        return msgspec.json.decode("\n".join(output), type=Home)
