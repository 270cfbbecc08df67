"""How Hostward stands on a host: its Python, what is installed, and what its files hold, by their digests."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase

from deploys.kit.wheels import OLDEST, Target

FOLDER = "/var/lib/hostward-deploys/release"
"""What a change of the release keeps on the host while it goes on, root's alone."""
WHEELS = "/var/cache/hostward-wheels"
"""What was uploaded, so that the next release uploads only what differs."""
FILES = (
    "/etc/hostward/agent.toml /etc/hostward/agent.d/*.toml /etc/hostward/credentials/* "
    "/etc/systemd/system/hostward-* /etc/systemd/system/hostward-*.d/*.conf"
)
UNITS = "hostward-agent.service hostward-jobs.socket hostward-logs.service hostward-collector.service"


class Python(msgspec.Struct, frozen=True):
    """One of a host's."""

    path: str
    version: tuple[int, int]


class File(msgspec.Struct, frozen=True):
    """A file of ours, as it is on the host."""

    digest: str
    """SHA-256, in hex."""
    mode: str
    """In octal."""
    owner: str
    """`user:group`."""

    def is_as(self, text: str, mode: str, owner: str) -> bool:
        """Whether there is nothing to change."""
        digest = hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()
        return (self.digest, self.mode, self.owner) == (digest, mode, owner)


class Installed(msgspec.Struct, frozen=True, kw_only=True):
    """All of it."""

    system: str = ""
    """Debian 12, Ubuntu 24.04, as /etc/os-release calls it: ID and VERSION_ID."""
    family: str = ""
    """ID_LIKE, or ID: by it people are told how to install a newer Python."""
    machine: str = ""
    libc: str = ""
    libc_version: tuple[int, int] = (0, 0)
    systemd: bool = False
    root: bool = False
    pythons: tuple[Python, ...] = ()
    """Those that have `venv`, in the order in which they were asked for."""
    current: str | None = None
    """The version in use."""
    releases: dict[str, str] = {}
    """Version to digest; empty where it was installed by hand."""
    extras: tuple[str, ...] = ()
    collector: bool = False
    """Whether home runs here too."""
    unfinished: bool = False
    """Whether a change was cut down, and is to be undone."""
    wheels: dict[str, str] = {}
    """Name to SHA-256 of what was uploaded before."""
    files: dict[str, File] = {}
    active: frozenset[str] = frozenset()
    enabled: frozenset[str] = frozenset()
    accounts: bool = False
    enrolled: str | None = None
    """The URL of home."""
    links: dict[str, str] = {}

    def python(self) -> Python | None:
        """The first that is new enough."""
        return next((found for found in self.pythons if found.version >= OLDEST), None)

    def target(self, python: Python) -> Target:
        """For whom wheels are fetched."""
        return Target(python.version, self.machine, self.libc, self.libc_version)


def script(python: str | None, prefix: str) -> str:
    """Lines of sh that tell all of it. `python` is the only one that is asked for, where one is named."""
    names = quote(python) if python else "python3 python3.14 python3.13 python3.12 python3.11"
    return f"""export LC_ALL=C.UTF-8
( . /etc/os-release 2>/dev/null; echo "os $ID $VERSION_ID"; echo "family $ID $ID_LIKE" )
echo "machine $(uname -m)"
if libc=$(getconf GNU_LIBC_VERSION 2>/dev/null); then echo "libc $libc"
else for file in /lib/ld-musl-*; do
    [ ! -e "$file" ] || echo "libc musl $("$file" 2>&1 | sed -n 's/^Version //p')"
done; fi
[ ! -d /run/systemd/system ] || echo systemd
[ "$(id -u)" != 0 ] || echo root
for name in {names}; do
    path=$(command -v "$name") || continue
    "$path" -c 'import sys, venv, sqlite3; print("python", *sys.version_info[:2], sys.executable)
sys.exit(sys.version_info < (3, 11))' 2>/dev/null && break
done
cd {quote(prefix)} 2>/dev/null && {{
    echo "current $(readlink current)"
    for file in */bin/hostward; do
        name=${{file%%/*}}
        [ ! -e "$file" ] || [ "$name" = current ] || echo "release $name $(cat "$name/release" 2>/dev/null)"
    done
    echo "extras $(tr '\\n' ' ' <current/extras 2>/dev/null)"
    [ ! -e current/bin/hostward-collector ] || echo collector
}}
[ ! -e {FOLDER}/before.json ] || echo unfinished
cd {WHEELS} 2>/dev/null && for file in *.whl; do [ ! -e "$file" ] || echo "wheel $(sha256sum "$file")"; done
for file in {FILES}; do
    [ ! -f "$file" ] || echo "file $(sha256sum <"$file" | cut -c1-64) $(stat -c '%a %U:%G' "$file") $file"
done
for unit in {UNITS}; do
    ! systemctl is-active --quiet $unit 2>/dev/null || echo "active $unit"
    ! systemctl is-enabled --quiet $unit 2>/dev/null || echo "enabled $unit"
done
[ ! -d /var/lib/hostward ] || ! getent passwd hostward hostward-scratch >/dev/null || echo accounts
for name in hostward hostward-collector; do
    [ ! -L /usr/local/bin/$name ] || echo "link /usr/local/bin/$name $(readlink /usr/local/bin/$name)"
done
sed -n 's/.*"collector": *"\\([^"]*\\)".*/home \\1/p' /var/lib/hostward/identity.json 2>/dev/null
true"""


def parse(lines: Iterable[str]) -> Installed:
    """Of what `script` prints: a word, and what it tells. Lines that it does not know are passed over."""
    said: dict[str, list[list[str]]] = {}
    for line in lines:
        if words := line.split():
            said.setdefault(words[0], []).append(words[1:])

    def one(word: str) -> str:
        return " ".join(said.get(word, [[]])[0])

    pythons: dict[str, Python] = {}
    for words in said.get("python", []):
        if len(words) == 3 and words[0].isdigit() and words[1].isdigit():
            pythons.setdefault(words[2], Python(words[2], (int(words[0]), int(words[1]))))
    libc = re.fullmatch(r"(glibc|musl) (\d+)\.(\d+).*", one("libc"))
    return Installed(
        system=one("os"),
        family=one("family"),
        machine=one("machine"),
        libc=libc[1] if libc else "",
        libc_version=(int(libc[2]), int(libc[3])) if libc else (0, 0),
        systemd="systemd" in said,
        root="root" in said,
        pythons=tuple(pythons.values()),
        current=one("current") or None,
        releases={words[0]: " ".join(words[1:]) for words in said.get("release", []) if words},
        extras=tuple(one("extras").split()),
        collector="collector" in said,
        unfinished="unfinished" in said,
        wheels={words[1]: words[0] for words in said.get("wheel", []) if len(words) == 2},
        files={words[3]: File(words[0], words[1], words[2]) for words in said.get("file", []) if len(words) == 4},
        active=frozenset(words[0] for words in said.get("active", []) if words),
        enabled=frozenset(words[0] for words in said.get("enabled", []) if words),
        accounts="accounts" in said,
        enrolled=one("home") or None,
        links={words[0]: words[1] for words in said.get("link", []) if len(words) == 2},
    )


class HostwardInstalled(FactBase[Installed]):
    """How Hostward stands on the host."""

    def command(self, python: str | None = None, prefix: str = "/opt/hostward") -> str:
        """Ask for all of it at once."""
        return script(python, prefix)

    def process(self, output: list[str]) -> Installed:
        """All of it."""
        return parse(output)
