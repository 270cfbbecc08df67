"""How far a host is with its recovery, and what makes it one that is not blank."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase

FOLDER = "/var/lib/hostward-deploys/recover"
"""What a recovery keeps on the host, root's alone."""


class Progress(msgspec.Struct, kw_only=True):
    """What is done. `FOLDER/progress.json`."""

    name: str
    at: str
    """The moment that is restored, `YYYY-MM-DD HH:MM:SS` by the host's clock."""
    asked: str
    """What `at` was asked for; '' for the newest."""
    began: float
    """Seconds since the epoch, as all here."""
    done: dict[str, float] = {}
    """Step to when it ended."""
    begun: list[str] = []
    """Steps that leave something half done when they are cut down."""
    finished: float | None = None
    lost: str = ""
    """The id by which home knew the lost host; '' where home was not asked."""


class Found(msgspec.Struct, frozen=True):
    """What was seen."""

    progress: Progress | None = None
    used: tuple[str, ...] = ()
    """Why the host is not blank, each in words."""


def parse(lines: Iterable[str]) -> Found:
    """Of `progress JSON` and `used TEXT`. Raises msgspec.DecodeError."""
    progress, used = None, []
    for line in lines:
        word, _, rest = line.partition(" ")
        if word == "progress":
            progress = msgspec.json.decode(rest, type=Progress)
        elif word == "used":
            used.append(rest)
    return Found(progress, tuple(used))


class Recovery(FactBase[Found]):
    """Looked at before anything is done."""

    def command(self, paths: Sequence[str]) -> str:
        """`paths` are those that are to be restored."""
        looks = "".join(
            f'if [ -d {path} ]; then [ -z "$(ls -A {path})" ] || echo used {path} holds something; '
            f"elif [ -e {path} ]; then echo used {path} is there; fi; "
            for path in map(quote, paths)
            if path != "/"
        )
        return (
            f"if [ -e {FOLDER}/progress.json ]; then printf 'progress %s\\n' "
            f'"$(cat {FOLDER}/progress.json)"; fi; '
            "[ ! -e /opt/hostward/current ] || echo used Hostward is installed; "
            "[ ! -e /var/lib/hostward/identity.json ] || echo used it is enrolled at home; "
            f"{looks}true"
        )

    @staticmethod
    def default() -> Found:
        """Nothing."""
        return Found()

    def process(self, output: Iterable[str]) -> Found:
        """As parse."""
        return parse(output)
