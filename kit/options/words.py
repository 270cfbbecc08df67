"""Types and values in people's words: what was expected, and what was found instead."""

from __future__ import annotations

import datetime
from types import NoneType, UnionType
from typing import Annotated, Any, Literal, Union, get_args, get_origin

import msgspec

from kit.options.tree import key, quoted
from kit.units import FromText


def unwrap(kind: Any) -> tuple[Any, list[msgspec.Meta]]:
    """A type without its annotations, and these."""
    metas: list[msgspec.Meta] = []
    while get_origin(kind) is Annotated:
        metas.extend(meta for meta in kind.__metadata__ if isinstance(meta, msgspec.Meta))
        kind = kind.__origin__
    return kind, metas


def members(kind: Any) -> tuple[Any, ...]:
    """The alternatives of a type, without None, which TOML cannot write."""
    if get_origin(kind) in (Union, UnionType):
        return tuple(member for member in get_args(kind) if member is not NoneType)
    return (kind,)


def extra(metas: list[msgspec.Meta], name: str) -> Any:
    """What the annotations carry under `name`, of what msgspec does not know:

    - `secret`: True for a value that is never shown;
    - `minimum`, `maximum`: bounds of a Duration or Size;
    - `words`: what is expected, where a pattern says it badly.
    """
    for meta in metas:
        if meta.extra and name in meta.extra:
            return meta.extra[name]
    return None


def expected(kind: Any, *, brief: bool = False) -> str:
    """`a whole number from 1 to 65535`, `a number or "off"`, `an array of text`

    `brief` leaves out the examples of a duration or a size, where they have been explained.
    """
    core, metas = unwrap(kind)
    if words := extra(metas, "words"):
        return str(words)
    alternatives = members(core)
    if len(alternatives) > 1:
        return " or ".join(expected(member, brief=brief) for member in alternatives)
    core, inner = unwrap(alternatives[0])
    if words := extra(inner, "words"):
        return str(words)
    return _name(core, brief=brief) + _limits(core, [*metas, *inner])


def found(value: object, *, secret: bool) -> str:
    """What stands in the file, cut short, or only its type where it is secret."""
    if isinstance(value, dict):
        return "a table"
    if isinstance(value, list):
        return "an array"
    names = {
        bool: "truth value",
        int: "number",
        float: "number",
        str: "text",
        datetime.datetime: "date and time",
        datetime.date: "date",
        datetime.time: "time of day",
    }
    name = names[type(value)]
    if secret:
        return f"a {name} (a secret, not shown)"
    unquoted = " without quotes" if isinstance(value, (datetime.date, datetime.time)) else ""
    return f"the {name} {shorten(literal(value))}{unquoted}"


def shorten(text: str, limit: int = 60) -> str:
    return text if len(text) <= limit else text[: limit - 1] + "…"


def literal(value: object) -> str:
    """A value as TOML writes it on one line; a struct as an inline table of what differs from its defaults.

    Raises TypeError for what TOML has no form for.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, FromText):
        return literal(str(value))
    if isinstance(value, str):
        return quoted(value)
    if isinstance(value, float):
        return repr(value).removesuffix(".0")
    if isinstance(value, int):
        # Python refuses to write more than 4,300 digits, which TOML can only give in a power of two.
        return str(value) if value.bit_length() < 10_000 else hex(value)
    if isinstance(value, (datetime.date, datetime.time)):
        return value.isoformat()
    if isinstance(value, (list, tuple)):
        return f"[{', '.join(literal(item) for item in value)}]"
    if isinstance(value, msgspec.Struct):
        return literal(given(value))
    if isinstance(value, dict):
        inside = ", ".join(f"{key(name)} = {literal(item)}" for name, item in value.items())
        return f"{{ {inside} }}" if inside else "{}"
    raise TypeError(f"TOML has no form for {type(value).__name__}")


def given(struct: msgspec.Struct) -> dict[str, Any]:
    """The options of a struct that differ from its type's own defaults, under the names that TOML has for them."""
    values = {}
    for option in msgspec.structs.fields(struct):
        value = getattr(struct, option.name)
        if value is not None and (option.required or value != default(option)):
            values[option.encode_name] = value
    return values


def default(option: msgspec.structs.FieldInfo) -> Any:
    """The value of an option that is not given; only for one that is not required."""
    if option.default is not msgspec.NODEFAULT:
        return option.default
    return option.default_factory()


def _name(core: Any, *, brief: bool) -> str:
    origin = get_origin(core)
    if origin is Literal:
        *others, last = (literal(value) for value in get_args(core))
        return f"{', '.join(others)} or {last}" if others else last
    if origin in (tuple, list):
        return f"an array of {_plural(get_args(core)[0], brief=brief)}"
    if origin is dict:
        return f"a table of {_plural(get_args(core)[1], brief=brief)}"
    if isinstance(core, type):
        if issubclass(core, msgspec.Struct):
            return "a table"
        if issubclass(core, FromText):
            return core.NAME if brief else core.EXPECTED
    return {bool: "true or false", int: "a whole number", float: "a number", str: "text"}[core]


def _plural(kind: Any, *, brief: bool) -> str:
    core, metas = unwrap(kind)
    if core is str and all(meta.pattern is None for meta in metas):
        return "text"
    if isinstance(core, type) and issubclass(core, msgspec.Struct):
        return "tables"
    return f"items, each {expected(kind, brief=brief)}"


def _limits(core: Any, metas: list[msgspec.Meta]) -> str:
    """What the annotations demand beyond the type. Of the bounds that msgspec knows, those that options use."""
    limits = []
    low, high = extra(metas, "minimum"), extra(metas, "maximum")
    for meta in metas:
        low = meta.ge if meta.ge is not None else low
        high = meta.le if meta.le is not None else high
        if meta.gt is not None:
            limits.append(f"above {literal(meta.gt)}")
        if meta.lt is not None:
            limits.append(f"below {literal(meta.lt)}")
        if meta.min_length:
            limits.append(
                "that is not empty" if meta.min_length == 1 else f"with at least {meta.min_length} {_parts(core)}"
            )
        if meta.max_length is not None:
            limits.append(f"with at most {meta.max_length} {_parts(core)}")
        if meta.pattern is not None:
            limits.append(f"that matches {meta.pattern}")
    if low is not None and high is not None:
        limits.append(f"from {_bound(low)} to {_bound(high)}")
    elif low is not None:
        limits.append(f"of at least {_bound(low)}")
    elif high is not None:
        limits.append(f"of at most {_bound(high)}")
    return "".join(f" {limit}" for limit in limits)


def _parts(core: Any) -> str:
    return "characters" if core is str else "items"


def _bound(value: Any) -> str:
    return str(value) if isinstance(value, FromText) else literal(value)
