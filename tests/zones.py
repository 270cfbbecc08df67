"""The zone of this process, which the C library and what remembers local times have until they are told."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator
from contextlib import contextmanager
from unittest.mock import patch

from backup import metadata


@contextmanager
def zone(name: str) -> Iterator[None]:
    """Within the block the zone is `name`; then it is what it was."""
    try:
        with patch.dict(os.environ, {"TZ": name}):
            take_zone()
            yield
    finally:
        take_zone()


def take_zone() -> None:
    """That of the environment."""
    time.tzset()
    metadata._local_minute.cache_clear()
