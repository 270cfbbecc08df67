"""What a source gives, frozen."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from agent.backups.frozen.view import frozen
from agent.backups.sources.contract import Contents


@contextmanager
def frozen_contents(
    contents: Contents, how: str, *, size: int | None, live: Sequence[Path], tell: Callable[[str], None]
) -> Iterator[Contents]:
    """The same paths, as they are now, for as long as this is open; see `frozen`. A snapshot that was lost meanwhile
    keeps the run from being saved.
    """
    with frozen(contents.paths, how, size=size, live=live, tell=tell) as view:

        def confirm() -> None:
            contents.confirm()
            for each in view.snapshots:
                each.require_good()

        yield replace(contents, devices=view.devices, confirm=confirm)
