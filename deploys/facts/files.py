"""How small files on a host are, without what they contain."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from hashlib import sha256
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase


class Seen(msgspec.Struct, frozen=True):
    """A file."""

    owner: str
    """`USER:GROUP`."""
    mode: int
    digest: str
    """SHA-256 of its contents, in hexadecimal."""

    def is_as(self, text: str, owner: str, mode: int) -> bool:
        """Whether deploys.operations.write would change nothing."""
        return (self.owner, self.mode) == (owner, mode) and self.has(text)

    def has(self, text: str) -> bool:
        """Whether it contains this, with the end of the last line."""
        whole = text if not text or text.endswith("\n") else text + "\n"
        return self.digest == sha256(whole.encode()).hexdigest()


def parse_files(lines: Iterable[str]) -> dict[str, Seen]:
    """Of `OWNER MODE DIGEST PATH`; other lines are left out."""
    found = {}
    for line in lines:
        owner, _, rest = line.partition(" ")
        mode, _, rest = rest.partition(" ")
        digest, _, path = rest.partition(" ")
        if path and len(digest) == 64 and mode.isascii() and mode.isdigit() and not set(mode) & {"8", "9"}:
            found[path] = Seen(owner, int(mode, 8), digest)
    return found


class SmallFiles(FactBase[dict[str, Seen]]):
    """Those of the paths that are files."""

    def command(self, paths: Sequence[str]) -> str:
        """Look, and change nothing."""
        listed = " ".join(map(quote, paths)) or "/nonexistent"
        return (
            f'for file in {listed}; do test ! -f "$file" || '
            'echo "$(stat -c %U:%G\\ %a "$file") $(sha256sum <"$file" | cut -d " " -f 1) $file"; done'
        )

    @staticmethod
    def default() -> dict[str, Seen]:
        """None."""
        return {}

    def process(self, output: Iterable[str]) -> dict[str, Seen]:
        """As parse_files."""
        return parse_files(output)
