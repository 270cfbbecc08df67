"""Files in Prometheus's text format, that programs leave in a folder as for node_exporter's textfile collector."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Annotated

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Measurement,
    Rule,
    Sample,
    Threshold,
    Worse,
)
from agent.checks.patterns import is_chosen
from agent.checks.prom_files import PromFile, PromFolder, read_folders
from agent.paths import System
from kit.units import Duration

FOLDER = "/var/lib/prometheus/node-exporter"
"""Where Debian's node_exporter looks, and the collectors packaged for it write."""


class MetricBounds(Threshold, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Bounds of all series of one metric."""

    name: Annotated[
        str,
        msgspec.Meta(
            description="The metric's name.",
            pattern=r"\A[a-zA-Z_:][a-zA-Z0-9_:]*\Z",
            max_length=128,
            examples=["backup_age_seconds"],
            extra={"words": "the name of a metric: letters, digits, _ and :"},
        ),
    ]
    worse: Annotated[Worse, msgspec.Meta(description="Which way is bad.", examples=["below"])] = "above"


class TextfileOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Metrics that programs of yours write to files."""

    every: Every = Duration(60)
    folders: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"\A/", extra={"words": "the full path of a folder"})], ...],
        msgspec.Meta(description="Where the files, called `*.prom`, are.", min_length=1, examples=[["/srv/metrics"]]),
    ] = (FOLDER,)
    metrics: Annotated[
        tuple[str, ...],
        msgspec.Meta(description="Which metrics become readings (* and ? as in names).", examples=[["backup_*"]]),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Metrics to leave out.", examples=[["apt_*", "go_*"]])
    ] = ()
    series_max: Annotated[
        int,
        msgspec.Meta(
            description="How many series become readings, in the order of the files' names; more is a warning.",
            ge=1,
            le=900,
            examples=[100],
        ),
    ] = 500
    age: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the seconds since a file was written; its label is `file`."),
    ] = Threshold(warning=2 * 86400)
    values: Annotated[
        tuple[MetricBounds, ...],
        msgspec.Meta(
            description="Bounds of metrics, which must be there.",
            max_length=100,
            examples=[[{"name": "backup_age_seconds", "warning": 90000, "critical": 180000}]],
        ),
    ] = ()

    def __post_init__(self) -> None:
        names = [value.name for value in self.values]
        for name in names:
            if names.count(name) > 1:
                raise ValueError(f"values: {name} has bounds twice")


class Textfile(Check[TextfileOptions]):
    """Metrics in files."""

    Options = TextfileOptions

    @classmethod
    def default(cls, system: System) -> TextfileOptions | None:
        """Where the folder is."""
        return TextfileOptions() if system.path(FOLDER.lstrip("/")).is_dir() else None

    def rules(self) -> list[Rule]:
        """The files' age, and each metric by its own bounds."""
        return [
            Rule("textfile_age_seconds", self.options.age, "{file} was written {value} ago"),
            *(Rule(value.name, value) for value in self.options.values),
        ]

    def collect(self, context: Context) -> Sample:
        """Read all files."""
        try:
            found = read_folders(context.system.path(folder.lstrip("/")) for folder in self.options.folders)
        except OSError as error:
            raise CheckError(f"{error.filename} cannot be listed: {error.strerror}") from None
        return derive(self.options, found, context.now)


def derive(options: TextfileOptions, found: PromFolder, now: float) -> Sample:
    """Readings of the files and of what is in them. Values that are no finite numbers are left out."""
    measurements: list[Measurement] = []
    findings: list[Finding] = []
    for file in found.files:
        if file.mtime:
            labels = {"file": file.path.name}
            measurements.append(Measurement("textfile_age_seconds", max(0.0, now - file.mtime), "seconds", labels))
        if file.error:
            findings.append(Finding("warning", f"{file.path.name} cannot be used: {file.error}"))
    if found.left_out:
        findings.append(Finding("warning", f"{found.left_out} files more than can be read were left out"))
    bounded = {value.name for value in options.values}
    series = [
        Measurement(sample.name, sample.value, unit_of(sample.name), sample.labels)
        for family in found.families
        for sample in family.samples
        if math.isfinite(sample.value)
        and (sample.name in bounded or is_chosen(sample.name, options.metrics, options.exclude))
    ]
    # What is judged must not be what is left out.
    series.sort(key=lambda measurement: measurement.name not in bounded)
    if len(series) > options.series_max:
        findings.append(
            Finding("warning", f"{len(series)} series, of which {options.series_max} are taken (series_max)")
        )
    missing = sorted(bounded - {measurement.name for measurement in series})
    findings += [Finding("unknown", f"no file has the metric {name}") for name in missing]
    measurements.append(Measurement("textfile_series", len(series)))
    measurements.append(Measurement("textfile_files", len(found.files)))
    return Sample([*measurements, *series[: options.series_max]], findings, _summary(found.files, len(series)))


def unit_of(name: str) -> str:
    """The unit that a metric's name ends in, where people can read a value by it; points in time they cannot."""
    if name.endswith("_bytes"):
        return "bytes"
    if name.endswith("_seconds") and not name.endswith(("_time_seconds", "timestamp_seconds")):
        return "seconds"
    return "percent" if name.endswith("_percent") else ""


def _summary(files: Sequence[PromFile], series: int) -> str:
    return f"{series} series in {len(files)} file{'s' if len(files) != 1 else ''}"
