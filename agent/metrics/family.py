"""A metric family: one name with its help, its type and its samples. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Type = Literal["counter", "gauge", "histogram", "summary", "untyped"]


@dataclass(frozen=True, slots=True)
class Sample:
    """One series' value. `suffix` follows the family's name: `_bucket`, `_sum` and `_count` of a histogram."""

    labels: Mapping[str, str]
    value: float
    suffix: str = ""


@dataclass(slots=True)
class Family:
    """What stands under one `# HELP` and one `# TYPE`."""

    name: str
    help: str
    type: Type
    samples: list[Sample] = field(default_factory=list)

    def add(self, value: float, **labels: str) -> None:
        """One more series, with these labels."""
        self.samples.append(Sample(labels, value))


def gauge(name: str, text: str, value: float | None = None) -> Family:
    """What goes up and down; with a value it has one series, without labels."""
    return _family(name, text, "gauge", value)


def counter(name: str, text: str, value: float | None = None) -> Family:
    """What only grows, until whoever counts starts anew."""
    return _family(name, text, "counter", value)


def untyped(name: str, text: str, value: float | None = None) -> Family:
    """What its source does not tell the nature of."""
    return _family(name, text, "untyped", value)


def _family(name: str, text: str, kind: Type, value: float | None) -> Family:
    family = Family(name, text, kind)
    if value is not None:
        family.add(value)
    return family
