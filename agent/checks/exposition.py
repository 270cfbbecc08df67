"""Prometheus's text format, version 0.0.4, as node_exporter's textfile collector takes it: text in, families out.

Format: https://prometheus.io/docs/instrumenting/exposition_formats/#text-based-format. Where that page is silent,
the parser of Prometheus's own Go library (expfmt) counts, which node_exporter uses. This one is stricter in what
cannot be exposed: a series that occurs twice, and a bucket without its `le`.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, cast, get_args

Type = Literal["counter", "gauge", "histogram", "summary", "untyped"]

_NAME = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_BEGINNING = re.compile(r"([a-zA-Z_:][a-zA-Z0-9_:]*)(?:[ \t]*(\{)|[ \t]+)")
_LABEL = re.compile(r'[ \t]*([a-zA-Z_][a-zA-Z0-9_]*)[ \t]*=[ \t]*"((?:[^"\\]|\\.)*+)"[ \t]*')
_CLOSING = re.compile(r"[ \t]*\}")
_BLANKS = re.compile(r"[ \t]+")
_NUMBER = re.compile(r"[-+]?(?:(?:[0-9]+(?:\.[0-9]*)?|\.[0-9]+)(?:e[-+]?[0-9]+)?|inf(?:inity)?|nan)", re.IGNORECASE)
_TIMESTAMP = re.compile(r"[-+]?[0-9]{1,18}")
_ESCAPE = re.compile(r"\\(.?)", re.DOTALL)
_ESCAPED = {"\\": "\\", "n": "\n", '"': '"'}
_PARTS: Mapping[str, tuple[str, ...]] = {
    "histogram": ("_bucket", "_sum", "_count"),
    "summary": ("", "_sum", "_count"),
}
"""What the samples of these families are called, after the family's name."""
_NEEDED: Mapping[tuple[str, str], str] = {("histogram", "_bucket"): "le", ("summary", ""): "quantile"}
"""The label, a number, without which such a sample says nothing."""


class ExpositionError(ValueError):
    """A line that is not of the format. The message names the line by its number, and what was expected there."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One line. The value may be NaN or infinite; the timestamp is in milliseconds since the epoch."""

    name: str
    labels: dict[str, str]
    value: float
    timestamp: int | None = None


@dataclass(slots=True)
class Family:
    """All samples under one name; those of a histogram or summary have names that begin with it."""

    name: str
    type: Type = "untyped"
    help: str = ""
    samples: list[Sample] = field(default_factory=list)


def parse_exposition(text: str) -> list[Family]:
    """The families of a text, in the order in which they are first named.

    A family without samples is left out, and so are comments. Raises ExpositionError at the first line that is wrong.
    """
    families: dict[str, Family] = {}
    described: dict[str, set[str]] = {"HELP": set(), "TYPE": set()}
    seen: dict[tuple[str, frozenset[tuple[str, str]]], int] = {}
    for number, raw in enumerate(text.split("\n"), 1):
        line = raw.strip(" \t")
        if not line:
            continue
        try:
            if line.startswith("#"):
                _describe(line, families, described)
                continue
            sample = _sample(line)
            family = _family(sample, families)
            key = (sample.name, frozenset(sample.labels.items()))
            if key in seen:
                raise ExpositionError(f"{sample.name} is there with the same labels as on line {seen[key]}")
            seen[key] = number
            family.samples.append(sample)
        except ExpositionError as error:
            raise ExpositionError(f"line {number}: {error}") from None
    return [family for family in families.values() if family.samples]


def _describe(line: str, families: dict[str, Family], described: Mapping[str, set[str]]) -> None:
    """`# HELP NAME TEXT` and `# TYPE NAME TYPE`; anything else is a comment."""
    words = _BLANKS.split(line[1:].lstrip(" \t"), maxsplit=2)
    if words[0] not in described:
        return
    keyword, name = words[0], words[1] if len(words) > 1 else ""
    if not _NAME.fullmatch(name):
        raise ExpositionError(f"the name of a metric was expected after {keyword}, not {_shown(name)}")
    if name in described[keyword]:
        raise ExpositionError(f"{name} has a second {keyword}")
    described[keyword].add(name)
    family = families.setdefault(name, Family(name))
    text = words[2] if len(words) > 2 else ""
    if keyword == "HELP":
        family.help = _unescaped(text)
    elif text not in get_args(Type):
        raise ExpositionError(f"{name} has the type {_shown(text)}, expected one of {', '.join(get_args(Type))}")
    elif family.samples:
        raise ExpositionError(f"the TYPE of {name} must stand before its samples")
    else:
        family.type = cast(Type, text)


def _sample(line: str) -> Sample:
    """`NAME{LABEL="VALUE",…} VALUE [TIMESTAMP]`."""
    match = _BEGINNING.match(line)
    if match is None:
        raise ExpositionError(f"a metric's name, its labels and its value were expected, not {_shown(line)}")
    name, brace = match[1], match[2]
    labels, at = _labels(line, match.end()) if brace else ({}, match.end())
    rest = line[at:].strip(" \t")
    value, *more = _BLANKS.split(rest)
    if len(more) > 1 or not _NUMBER.fullmatch(value):
        raise ExpositionError(f"{name} needs a number, and a timestamp at most, not {_shown(rest)}")
    if more and not _TIMESTAMP.fullmatch(more[0]):
        raise ExpositionError(f"{name} has the timestamp {_shown(more[0])}, expected whole milliseconds")
    return Sample(name, labels, float(value), int(more[0]) if more else None)


def _labels(line: str, at: int) -> tuple[dict[str, str], int]:
    """The labels from `at`, behind the opening brace, and where the closing one ends."""
    labels: dict[str, str] = {}
    while (end := _CLOSING.match(line, at)) is None:
        match = _LABEL.match(line, at)
        if match is None:
            raise ExpositionError(f'a label as in name="value" was expected, not {_shown(line[at:])}')
        if match[1] in labels:
            raise ExpositionError(f"the label {match[1]} is there twice")
        labels[match[1]] = _unescaped(match[2])
        at = match.end()
        if line[at : at + 1] == ",":
            at += 1
        elif line[at : at + 1] != "}":
            raise ExpositionError(f"a comma or }} was expected after the label {match[1]}, not {_shown(line[at:])}")
    return labels, end.end()


def _family(sample: Sample, families: dict[str, Family]) -> Family:
    """Where the sample belongs; a family of its own where nothing was said of it."""
    for suffix in ("_bucket", "_sum", "_count"):
        base = sample.name.removesuffix(suffix)
        known = families.get(base)
        if base != sample.name and known and suffix in _PARTS.get(known.type, ()):
            return _complete(sample, known, suffix)
    family = families.setdefault(sample.name, Family(sample.name))
    return _complete(sample, family, "")


def _complete(sample: Sample, family: Family, suffix: str) -> Family:
    parts = _PARTS.get(family.type, ("",))
    if suffix not in parts:
        names = ", ".join(family.name + part for part in parts)
        raise ExpositionError(f"{family.name} is a {family.type}, whose samples are called {names}")
    needed = _NEEDED.get((family.type, suffix))
    if needed and not _NUMBER.fullmatch(sample.labels.get(needed, "")):
        raise ExpositionError(f"{sample.name} of a {family.type} needs the label {needed}, a number")
    return family


def _unescaped(text: str) -> str:
    r"""With `\\`, `\n` and `\"` as what they stand for."""

    def plain(match: re.Match[str]) -> str:
        if match[1] not in _ESCAPED:
            raise ExpositionError(rf"{_shown(match[0])} is none of the escapes \\, \n and \"")
        return _ESCAPED[match[1]]

    return _ESCAPE.sub(plain, text) if "\\" in text else text


def _shown(text: str) -> str:
    """For a message: the beginning, quoted."""
    return repr(text[:40] + "…" if len(text) > 40 else text) if text else "nothing"
