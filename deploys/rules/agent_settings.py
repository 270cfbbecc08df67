"""Single settings of an agent, in a drop-in of their own. Pure."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Mapping
from typing import Any

from deploys.kit.options import merged
from deploys.rules.agent_files import document
from kit.options.tree import quoted


def parsed(setting: str) -> dict[str, Any]:
    """`checks.cpu.every=30s` as tables. A value that is none of TOML's is text. Raises ValueError."""
    key, equals, value = setting.partition("=")
    if not equals or not key.strip() or not value.strip():
        raise ValueError(f'"{setting}" is no setting; expected KEY=VALUE, as checks.cpu.every=30s')
    for text in (value, quoted(value.strip())):
        try:
            return tomllib.loads(f"{key} = {text}")
        except tomllib.TOMLDecodeError:
            continue
    raise ValueError(f'"{key.strip()}" is no key; expected names with dots between them, as checks.cpu.every')


def changed(text: str, given: Iterable[Mapping[str, Any]], unset: Iterable[str]) -> str | None:
    """The drop-in that was `text` with what is `given`, and without the keys `unset`; None when nothing is left.

    Raises ValueError, also for a drop-in that is no TOML.
    """
    try:
        tables = tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        raise ValueError(f"what is there is no TOML: {error}") from None
    for key in unset:
        _remove(tables, list(_path(parsed(f"{key}=0"))))
    tables = merged([tables, *given])
    return document(tables) if tables else None


def _path(tables: Mapping[str, Any]) -> Iterable[str]:
    for key, value in tables.items():
        yield key
        if isinstance(value, Mapping):
            yield from _path(value)


def _remove(tables: dict[str, Any], path: list[str]) -> None:
    """Take the key away, and the tables above that it leaves empty."""
    first, *rest = path
    below = tables.get(first)
    if not rest:
        tables.pop(first, None)
    elif isinstance(below, dict):
        _remove(below, rest)
        if not below:
            del tables[first]
