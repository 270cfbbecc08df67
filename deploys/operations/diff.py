"""What `--diff` shows of files that are written by other means than pyinfra's own."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Protocol

from pyinfra import logger
from pyinfra.api.host import Host
from pyinfra.facts.files import FileContents
from pyinfra.operations.util.files import generate_color_diff


class Planned(Protocol):
    """A file as it is to be."""

    @property
    def path(self) -> str:
        """Where."""

    @property
    def text(self) -> str | None:
        """What it is to hold; None where it is to be gone."""


def show(host: Host, files: Iterable[Planned], *, secret: tuple[str, ...]) -> None:
    """Show how the files change; of those whose path begins with one of `secret`, only that they do."""
    for file in files:
        hidden = file.path.startswith(secret)
        # Asked before anything is said: other hosts have their turn meanwhile, and must not talk in between.
        before = [] if hidden else host.get_fact(FileContents, path=file.path) or []
        host.log(f"Will {'remove' if file.text is None else 'write'} {file.path}")
        if hidden:
            continue
        after = (file.text or "").splitlines()
        for line in generate_color_diff([f"{line}\n" for line in before], [f"{line}\n" for line in after]):
            logger.info("  %s", line)
