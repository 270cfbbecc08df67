"""The reference of all options as Markdown, from the structs that decode them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, get_args, get_origin

import msgspec

from kit.options.words import default, expected, given, literal, members, unwrap


def rows(struct: type[msgspec.Struct], path: str = "", *, without: type[msgspec.Struct] | None = None) -> list[str]:
    """A Markdown table of the options of `struct`, their keys under `path`.

    Options that `without` has just so, default included, are left out; no rows at all make no table.
    """
    known = {option.name: _fingerprint(option) for option in msgspec.structs.fields(without)} if without else {}
    lines = [
        _row(option, path)
        for option in msgspec.structs.fields(struct)
        if known.get(option.name) != _fingerprint(option)
    ]
    head = ["| Option | What it does | Type | Default | Example |", "| --- | --- | --- | --- | --- |"]
    return head + lines if lines else []


def shared(
    tops: Sequence[tuple[type[msgspec.Struct], str]], *, base: type[msgspec.Struct] | None = None
) -> dict[type[msgspec.Struct], list[str]]:
    """The structs that the options of `tops` are made of, at any depth, and the key paths that each is used at.

    A top is a struct and the path of its options; inside a shared struct the path begins with its `anchor`. Options
    that a top has from `base`, which is a top itself, are told of there alone.
    """
    inherited = {option.name for option in msgspec.structs.fields(base)} if base is not None else set()
    users: dict[type[msgspec.Struct], list[str]] = {}
    waiting = list(tops)
    while waiting:
        struct, path = waiting.pop(0)
        for option in msgspec.structs.fields(struct):
            if option.name in inherited and base is not None and struct is not base and issubclass(struct, base):
                continue
            for found, suffix in _structs(option.type):
                if found not in users:
                    waiting.append((found, f"{anchor(found)}."))
                users.setdefault(found, []).append(f"{path}{option.encode_name}{suffix}")
    return users


def description(option: msgspec.structs.FieldInfo) -> str:
    """What an option does: each has that. Raises LookupError for one that has not."""
    for meta in unwrap(option.type)[1]:
        if meta.description:
            return meta.description
    raise LookupError(f"{option.name} has no description")


def examples(option: msgspec.structs.FieldInfo) -> list[Any]:
    """Values as TOML would give them: each option has one at least. Raises LookupError for one that has none.

    A table need not have its own, since its options have theirs: then it is one key of its default, else of theirs.
    """
    for meta in unwrap(option.type)[1]:
        if meta.examples:
            return meta.examples
    if isinstance(option.default, msgspec.Struct) and (values := given(option.default)):
        return [dict([*values.items()][:1])]
    for found, suffix in _structs(option.type):
        if not suffix:
            inside = msgspec.structs.fields(found)
            needed = [one for one in inside if one.required] or inside[:1]
            return [{one.encode_name: examples(one)[0] for one in needed}]
    raise LookupError(f"{option.name} has no example")


def anchor(struct: type[msgspec.Struct]) -> str:
    """The name under which a struct that several options share has its own part."""
    return struct.__name__.lower()


def _row(option: msgspec.structs.FieldInfo, path: str) -> str:
    kind = _cell(expected(option.type, brief=True))
    for found, _ in _structs(option.type):
        kind += f", see [{anchor(found)}](#{anchor(found)})"
    cells = [
        f"`{path}{option.encode_name}`",
        _cell(description(option)),
        kind,
        _default(option),
        _code(f"{option.encode_name} = {literal(examples(option)[0])}"),
    ]
    return f"| {' | '.join(cells)} |"


def _default(option: msgspec.structs.FieldInfo) -> str:
    if option.required:
        return "none: it must be given"
    value = default(option)
    if value is None or value == "" or literal(value) in ("{}", "[]"):
        return "not set"
    return _code(literal(value))


def _structs(kind: Any) -> Iterator[tuple[type[msgspec.Struct], str]]:
    """The structs in a type, each with what follows the key: `` for a table, `[]` for an array of them."""
    for member in members(unwrap(kind)[0]):
        core = unwrap(member)[0]
        if isinstance(core, type) and issubclass(core, msgspec.Struct):
            yield core, ""
        elif get_origin(core) in (tuple, list, dict):
            suffix = ".NAME" if get_origin(core) is dict else "[]"
            item = get_args(core)[1 if get_origin(core) is dict else 0]
            for found, further in _structs(item):
                yield found, suffix + further


def _fingerprint(option: msgspec.structs.FieldInfo) -> tuple[str, str]:
    return description(option), _default(option)


def _cell(text: str) -> str:
    return text.replace("|", "\\|").replace("\n", " ")


def _code(text: str) -> str:
    """In a table a bar ends the cell even inside code."""
    fence = "``" if "`" in text else "`"
    return f"{fence}{_cell(text)}{fence}"
