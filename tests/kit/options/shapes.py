"""Options of every type that the library knows, for the tests of this folder."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from kit.units import Duration, Size


def meta(example: object, **more: object) -> msgspec.Meta:
    """What each option carries."""
    return msgspec.Meta(description="What it is.", examples=[example], **more)  # type: ignore[arg-type]


class Level(msgspec.Struct, frozen=True, kw_only=True):
    """A pair of bounds."""

    warning: Annotated[float | Literal["off"], meta(80)] = "off"
    critical: Annotated[float | Literal["off"], meta(95)] = "off"
    for_: Annotated[Duration, meta("5m")] = msgspec.field(default=Duration(0), name="for")

    def __post_init__(self) -> None:
        if self.warning != "off" and self.critical != "off" and self.warning > self.critical:
            raise ValueError("warning must not be above critical")


class Target(msgspec.Struct, frozen=True, kw_only=True):
    """Something to reach."""

    url: Annotated[str, meta("https://example.com", min_length=1)]
    port: Annotated[int, meta(8080, ge=1, le=65535)] = 443


class Animal(msgspec.Struct, frozen=True, kw_only=True):
    """What a chooser stands for."""

    type: Annotated[str, meta("cat")] = ""


class Cat(Animal, frozen=True, kw_only=True):
    """One kind."""

    lives: Annotated[int, meta(9)] = 9
    naps: Annotated[Level, meta({"warning": 3})] = Level(warning=1, critical=2)


class Dog(Animal, frozen=True, kw_only=True):
    """Another kind."""

    barks: Annotated[bool, meta(True)]


class Everything(msgspec.Struct, frozen=True, kw_only=True):
    """One option of each type."""

    flag: Annotated[bool, meta(True)] = False
    count: Annotated[int, meta(3, ge=0)] = 0
    share: Annotated[float, meta(0.5, gt=0, lt=1)] = 0.25
    text: Annotated[str, meta("x", max_length=5)] = ""
    code: Annotated[str, meta("ab", pattern="^[a-z]+$")] = "a"
    mode: Annotated[Literal["fast", "slow"], meta("slow")] = "fast"
    wait: Annotated[Duration, meta("1m", extra={"minimum": Duration(1), "maximum": Duration(60)})] = Duration(5)
    room: Annotated[Size | None, meta("1MiB")] = None
    level: Annotated[Level, meta({"warning": 1})] = Level(warning=70, critical=85, for_=Duration(60))
    maybe: Annotated[Level | None, meta({"warning": 1})] = None
    argv: Annotated[tuple[str, ...], meta(["ls", "-l"], min_length=1)] = ("true",)
    either: Annotated[str | tuple[str, ...], meta(["a", "b"])] = ""
    targets: Annotated[tuple[Target, ...], meta([{"url": "x"}])] = ()
    headers: Annotated[dict[str, str], meta({"Accept": "text/html"})] = {}
    password: Annotated[str, meta("…", min_length=8, extra={"secret": True})] = "changeme"
    tokens: Annotated[dict[str, int], meta({"a": 1}, extra={"secret": True})] = {}
    animals: Annotated[dict[Annotated[str, msgspec.Meta(pattern="^[a-z]+$")], Animal], meta({"cat": {}})] = {}
