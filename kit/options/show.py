"""A configuration as it stands: every value, and the file and line it comes from; secrets hidden."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Final, get_args, get_origin

import msgspec

from kit.options.positions import KeyPath
from kit.options.tree import Place, Tree
from kit.options.words import extra, members, unwrap
from kit.units import FromText

HIDDEN: Final = "(hidden)"


@dataclass(frozen=True, slots=True)
class Entry:
    """One value; `place` is None for a default. A secret's value is HIDDEN."""

    path: KeyPath
    value: Any
    place: Place | None
    secret: bool


def entries(struct: msgspec.Struct, tree: Tree) -> Iterator[Entry]:
    """Every option of `struct` that has a value, in the order of their declaration."""
    return _options(struct, tree, (), secret=False)


def _options(struct: msgspec.Struct, tree: Tree, path: KeyPath, *, secret: bool) -> Iterator[Entry]:
    for option in msgspec.structs.fields(struct):
        value = getattr(struct, option.name)
        if value is not None:
            hidden = secret or bool(extra(unwrap(option.type)[1], "secret"))
            yield from _value(value, option.type, tree, (*path, option.encode_name), secret=hidden)


def _value(value: Any, kind: Any, tree: Tree, path: KeyPath, *, secret: bool) -> Iterator[Entry]:
    if isinstance(value, msgspec.Struct):
        yield from _options(value, tree, path, secret=secret)
    elif isinstance(value, dict) and value:
        item = _item(kind, dict)
        for name, inside in value.items():
            yield from _value(inside, item, tree, (*path, name), secret=secret)
    else:
        yield Entry(path, HIDDEN if secret else _plain(value), tree.places.get(path), secret)


def _item(kind: Any, container: type) -> Any:
    """The type of what is in the alternative of `kind` that is a `container`."""
    for member in members(unwrap(kind)[0]):
        core = unwrap(member)[0]
        if get_origin(core) is container:
            return get_args(core)[-1]
    return Any


def _plain(value: Any) -> Any:
    """What JSON and TOML can write; secrets inside an array of tables are hidden too."""
    if isinstance(value, FromText):
        return str(value)
    if isinstance(value, (tuple, list)):
        return [_plain(item) for item in value]
    if isinstance(value, dict):
        return {name: _plain(item) for name, item in value.items()}
    if isinstance(value, msgspec.Struct):
        plain: dict[str, Any] = {}
        for entry in entries(value, Tree()):
            inside = plain
            for part in entry.path[:-1]:
                inside = inside.setdefault(str(part), {})
            inside[str(entry.path[-1])] = entry.value
        return plain
    return value
