"""Folders of `*.prom` files, as programs leave them for node_exporter's textfile collector.

One reader for the check that watches them and for the metrics page that shows them on, so that both say the same.
A file is taken wholly or not at all, as node_exporter does it.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from agent.checks.exposition import ExpositionError, Family, Sample, parse_exposition

SUFFIX = ".prom"
MAX_FILE = 1 << 20
"""Bytes of one file."""
MAX_TOTAL = 4 << 20
"""Bytes of all files together: what is larger takes too long to read for a daemon's loop."""
MAX_FILES = 500


@dataclass(frozen=True, slots=True)
class PromFile:
    """One file. `error` says why nothing of it is taken, and is empty where all of it is."""

    path: Path
    mtime: float
    """Seconds since the epoch; 0 where it is not known."""
    series: int = 0
    error: str = ""


@dataclass(frozen=True, slots=True)
class PromFolder:
    """What all files say together."""

    files: Sequence[PromFile]
    families: Sequence[Family]
    """In the order of the files' names; a family that several files share is there once."""
    left_out: int = 0
    """Files that were not looked at, because there are more than MAX_FILES."""


def read_folders(folders: Iterable[Path]) -> PromFolder:
    """The `*.prom` files in `folders`. Raises OSError for a folder that cannot be listed."""
    paths = sorted(
        path for folder in folders for path in folder.iterdir() if path.suffix == SUFFIX and path.name != SUFFIX
    )
    files: list[PromFile] = []
    merged: dict[str, Family] = {}
    sources: dict[tuple[str, frozenset[tuple[str, str]]], Path] = {}
    left = MAX_TOTAL
    for path in paths[:MAX_FILES]:
        mtime = 0.0
        try:
            data, mtime = _read(path, left)
            left -= len(data)
            families = parse_exposition(data.decode())
            _refuse(families, merged, sources)
        except UnicodeDecodeError:
            files.append(PromFile(path, mtime, error="it is not UTF-8"))
        except ExpositionError as error:
            files.append(PromFile(path, mtime, error=str(error)))
        except OSError as error:
            files.append(PromFile(path, mtime, error=error.strerror or str(error)))
        else:
            for family in families:
                known = merged.setdefault(family.name, Family(family.name, family.type, family.help))
                known.samples += family.samples
                sources |= {_key(sample): path for sample in family.samples}
            files.append(PromFile(path, mtime, sum(len(family.samples) for family in families)))
    return PromFolder(files, list(merged.values()), max(0, len(paths) - MAX_FILES))


def _read(path: Path, left: int) -> tuple[bytes, float]:
    """The bytes of a regular file and when it was changed. Raises OSError, and ExpositionError for one too large."""
    # Should it be a pipe, opening it must not wait for a writer.
    descriptor = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    with open(descriptor, "rb") as file:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode):
            raise ExpositionError("it is not a regular file")
        data = file.read(MAX_FILE + 1)
        if len(data) > MAX_FILE:
            raise ExpositionError(f"it is larger than the {MAX_FILE} bytes that one file may have")
        if len(data) > left:
            raise ExpositionError(f"all files together are larger than the {MAX_TOTAL} bytes that they may have")
        return data, status.st_mtime


def _refuse(
    families: Iterable[Family],
    merged: Mapping[str, Family],
    sources: Mapping[tuple[str, frozenset[tuple[str, str]]], Path],
) -> None:
    """Raises ExpositionError for what cannot be exposed together with the files before."""
    for family in families:
        known = merged.get(family.name)
        if known and known.type != family.type:
            raise ExpositionError(f"{family.name} is of type {family.type} here, and {known.type} in another file")
        for sample in family.samples:
            if sample.timestamp is not None:
                raise ExpositionError(f"{sample.name} has a timestamp, which such a file must not have")
            if (other := sources.get(_key(sample))) is not None:
                raise ExpositionError(f"{sample.name} is there with the same labels as in {other.name}")


def _key(sample: Sample) -> tuple[str, frozenset[tuple[str, str]]]:
    return sample.name, frozenset(sample.labels.items())
