"""Which of the unit's credentials options name."""

from __future__ import annotations

from typing import Any

import msgspec

from kit.credentials import PREFIX


def named(options: msgspec.Struct) -> tuple[str, ...]:
    """The names behind `credential:`, wherever they stand in a table, sorted."""
    return tuple(sorted(set(_found(msgspec.structs.asdict(options)))))


def _found(value: Any) -> list[str]:
    if isinstance(value, str):
        return [value.removeprefix(PREFIX)] if value.startswith(PREFIX) else []
    if isinstance(value, msgspec.Struct):
        value = msgspec.structs.asdict(value)
    if isinstance(value, dict):
        value = tuple(value.values())
    return [name for one in value for name in _found(one)] if isinstance(value, tuple | list) else []
