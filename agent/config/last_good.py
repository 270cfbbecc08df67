"""The last configuration without mistakes, kept in the state folder for a start that finds some."""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec

from agent.checks.contract import CheckOptions
from agent.config.load import check_chooser
from agent.config.schema import Config
from agent.paths import System
from kit.files import own_as_folder, write_durably
from kit.options.decode import decode
from kit.options.tree import Tree

FILE = "configuration.json"


class LastGood(msgspec.Struct, frozen=True, kw_only=True):
    """What the files said, merged. Options that they left out have the defaults of whoever reads it."""

    time: float
    """When it took effect first, seconds since the epoch."""
    values: dict[str, Any]


def save(folder: Path, values: Mapping[str, Any], now: float) -> None:
    """Keep what the files said, for the agent's user alone, unless it is kept already. Raises OSError."""
    known = _load(folder)
    if known is not None and known.values == values:
        return
    path = folder / FILE
    write_durably(path, msgspec.json.encode(LastGood(time=now, values=dict(values))), mode=0o600)
    own_as_folder(path)


def load(folder: Path, system: System) -> tuple[Config, float] | None:
    """The configuration and when it took effect; None where there is none, or none that this version takes."""
    known = _load(folder)
    if known is None:
        return None
    config, mistakes = decode(Config, Tree(known.values), {CheckOptions: check_chooser(system)})
    return None if config is None or mistakes else (config, known.time)


def _load(folder: Path) -> LastGood | None:
    with suppress(OSError, ValueError):
        return msgspec.json.decode((folder / FILE).read_bytes(), type=LastGood)
    return None
