"""Files and folders of this host, read as they are."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from agent.backups.sources.contract import Contents, Run


@contextmanager
def opened(paths: Sequence[str], run: Run) -> Iterator[Contents]:
    """The paths."""
    yield Contents(paths=tuple(map(os.fsencode, paths)))
