"""What a collector can be told in /etc/hostward/collector.toml. Without the file, everything has its default."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import msgspec

from collector.metrics.contract import Bounds
from kit.options.load import load
from kit.units import Duration, Size

DEFAULT_FILE = Path("/etc/hostward/collector.toml")


class HistoryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How much of the readings is kept."""

    retention: Annotated[
        Duration,
        msgspec.Meta(description="How long readings are kept.", examples=["90d"], extra={"minimum": Duration(3600)}),
    ] = Duration(Bounds().retention)
    max_size: Annotated[
        Size,
        msgspec.Meta(
            description="What readings may take on disk; beyond it the oldest go first.",
            examples=["5GiB"],
            extra={"minimum": Size(2**20)},
        ),
    ] = Size(Bounds().size)


class Settings(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The file."""

    history: Annotated[HistoryOptions, msgspec.Meta(description="How much of the readings is kept.")] = (
        HistoryOptions()
    )

    def bounds(self) -> Bounds:
        """The history's."""
        return Bounds(retention=float(self.history.retention), size=int(self.history.max_size))


def load_settings(file: Path | None) -> Settings:
    """--config `file`, else HOSTWARD_CONFIG, else the default file if there is one. Raises ConfigurationError."""
    given = file or (Path(os.environ["HOSTWARD_CONFIG"]) if os.environ.get("HOSTWARD_CONFIG") else None)
    return load(Settings, given or DEFAULT_FILE, must_exist=given is not None).value
