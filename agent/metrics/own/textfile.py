"""The series of the files that the check `textfile` watches, as they are, with node_exporter's own about them."""

from __future__ import annotations

from pathlib import Path

from agent.checks.prom_files import PromFolder, read_folders
from agent.metrics.family import Family, Sample, gauge
from agent.metrics.told import Told


def collect(told: Told) -> list[Family]:
    """The `*.prom` files, read at the scrape. Timestamps in them are left out, as node_exporter refuses them."""
    error = gauge("node_textfile_scrape_error", "1 if there was an error opening or reading a file, 0 otherwise")
    try:
        found = read_folders(map(Path, told.textfiles))
    except OSError:  # a folder that nobody has made yet is no error of a file
        error.add(int(any(Path(folder).exists() for folder in told.textfiles)))
        return [error]
    error.add(int(any(file.error for file in found.files)))
    return [error, *_described(found), *_series(found)]


def _described(found: PromFolder) -> list[Family]:
    changed = gauge("node_textfile_mtime_seconds", "Unixtime mtime of textfiles successfully read.")
    for file in found.files:
        if not file.error:
            changed.add(file.mtime, file=str(file.path))
    return [changed]


def _series(found: PromFolder) -> list[Family]:
    return [
        Family(
            family.name,
            family.help,
            family.type,
            [Sample(each.labels, each.value, each.name.removeprefix(family.name)) for each in family.samples],
        )
        for family in found.families
    ]
