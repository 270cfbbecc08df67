"""A deploy's options, from the host's data: the host's over its groups' over everybody's, table by table.

pyinfra takes the first level that has a name, whole; here tables are merged, so that a host may say one thing
differently and leave the rest to its group. `--data NAME.KEY=VALUE` on the command line is above them all.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

import msgspec
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host

from kit.options.decode import decode
from kit.options.tree import Tree, quoted
from kit.options.wrong import OptionError
from kit.units import FromText

S = TypeVar("S", bound=msgspec.Struct)
T = TypeVar("T", bound=FromText)


class OptionsError(PyinfraError):
    """What the inventory says cannot be; the text says where, and what was expected."""


def options(host: Host, name: str, struct: type[S]) -> S:
    """The table `name` of the host's data as `struct`. Raises OptionsError."""
    given = table(host, name)
    try:
        return msgspec.convert(given, struct, strict=False)
    except msgspec.ValidationError as error:
        said = _mistakes(name, given, struct) or f"{name}: {_said(error)}"
    raise OptionsError(f"{host.name}: {said}")


def table(host: Host, name: str) -> dict[str, Any]:
    """The table `name` of the host's data, its levels merged; empty where there is none. Raises OptionsError."""
    levels: list[object] = []
    inventory = host.inventory
    sources: list[Mapping[str, Any]] = [
        inventory.data,
        *(inventory.group_data.get(group, {}) for group in host.groups),
    ]
    sources += [inventory.host_data.get(host.name, {}), inventory.override_data]
    for data in sources:
        if name in data:
            levels.append(data[name])
        levels += [_nested(key.split(".")[1:], value) for key, value in data.items() if key.startswith(f"{name}.")]
    for level in levels:
        if not isinstance(level, Mapping):
            raise OptionsError(f"{host.name}: {name} is {level!r}; expected a table")
    return merged(level for level in levels if isinstance(level, Mapping))


def merged(levels: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Tables laid over each other, the later ones on top. What is not a table replaces what it covers."""
    found: dict[str, Any] = {}
    for level in levels:
        for key, value in level.items():
            below = found.get(key)
            if isinstance(value, Mapping):
                found[key] = merged([below, value] if isinstance(below, Mapping) else [value])
            else:
                found[key] = value
    return found


def parsed(option: str, kind: type[T], text: str) -> T:
    """The duration or size that `text`, an option's value, is. Raises OptionError."""
    try:
        return kind.parse(text)
    except ValueError:
        raise OptionError(option, f"expected {kind.EXPECTED}, found {quoted(text)}") from None


def _nested(keys: list[str], value: object) -> dict[str, Any]:
    nested: Any = value
    for key in reversed(keys):
        nested = {key: nested}
    return dict(nested)


def _mistakes(name: str, given: Mapping[str, Any], struct: type[msgspec.Struct]) -> str:
    """What is wrong, in the words that the agent has for its own configuration; empty where it has none."""
    try:
        _, mistakes = decode(struct, Tree(msgspec.to_builtins(given)))
    except (KeyError, TypeError):  # types that no file can write, as a Secret
        return ""
    return "; ".join(f"{name}{'.' if mistake.path else ': '}{mistake}" for mistake in mistakes)


def _said(error: msgspec.ValidationError) -> str:
    """msgspec's sentence with the place first: `$.soak.samples: Expected int, got str`."""
    said, _, place = str(error).partition(" - at `$")
    return f"{place.strip('`').lstrip('.')}: {said}" if place.strip("`") else said
