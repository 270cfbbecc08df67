"""Prometheus' text format, version 0.0.4, written. Pure.

https://github.com/prometheus/docs/blob/main/docs/instrumenting/exposition_formats.md
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator

from agent.metrics.family import Family, Sample

CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8"


def encode(families: Iterable[Family]) -> bytes:
    """The families, each with its help and type; those without samples are left out."""
    # What was read as bytes that are no text (a mount point, a file's name) may hold lone surrogates.
    return "".join(_lines(families)).encode("utf-8", "replace")


def number(value: float) -> str:
    """A value: shortest text that reads back as the same double."""
    if isinstance(value, int):
        return str(value)
    if math.isfinite(value):
        return str(int(value)) if value == int(value) and abs(value) < 1e15 else repr(value)
    return "NaN" if math.isnan(value) else "+Inf" if value > 0 else "-Inf"


def _lines(families: Iterable[Family]) -> Iterator[str]:
    for family in families:
        if family.samples:
            yield f"# HELP {family.name} {_escape_help(family.help)}\n# TYPE {family.name} {family.type}\n"
            for sample in family.samples:
                yield f"{family.name}{sample.suffix}{_labels(sample)} {number(sample.value)}\n"


def _labels(sample: Sample) -> str:
    if not sample.labels:
        return ""
    return "{" + ",".join(f'{name}="{_escape(value)}"' for name, value in sample.labels.items()) + "}"


def _escape(value: str) -> str:
    return value.replace("\\", r"\\").replace("\n", r"\n").replace('"', r"\"")


def _escape_help(text: str) -> str:
    return text.replace("\\", r"\\").replace("\n", r"\n")
