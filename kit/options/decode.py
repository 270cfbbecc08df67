"""A raw TOML tree into typed structs, with every mistake in it at once."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Final, TypeVar, get_args, get_origin

import msgspec

from kit.options.positions import KeyPath
from kit.options.tree import Mistake, Tree
from kit.options.words import default, expected, extra, found, literal, members, unwrap
from kit.options.wrong import OptionError
from kit.units import FromText

S = TypeVar("S", bound=msgspec.Struct)


@dataclass(frozen=True, slots=True)
class Choice:
    """The struct that one table is decoded as, and the instance that fills in what the table leaves out."""

    struct: type[msgspec.Struct]
    base: msgspec.Struct | None = None


class UnfitError(Exception):
    """What a Chooser raises: the table is of no known kind. `key` is the key to blame, None for the table."""

    def __init__(self, message: str, key: str | None = None) -> None:
        super().__init__(message)
        self.key = key


Chooser = Callable[[str, Mapping[str, Any]], Choice]
"""Given a table's name and content, says what it is decoded as. Raises UnfitError."""


class _Bad:
    """Stands for a value whose mistake is noted."""


_BAD: Final = _Bad()


def decode(
    struct: type[S], tree: Tree, choosers: Mapping[type, Chooser] | None = None
) -> tuple[S | None, list[Mistake]]:
    """The struct that `tree` describes, None where there are mistakes.

    - A key that no option has is a mistake, which names the nearest option.
    - Where an option's default is a struct, a table given for it fills in what it leaves out from that default.
    - A whole number is taken for a number; true and false never are; nor are inf and nan.
    - What `__post_init__` says in a ValueError is a mistake of the table, in an OptionError one of that option.
    - A type that is a key of `choosers` stands for any struct that its chooser names (see Chooser).
    """
    decoder = _Decoder(tree, choosers or {})
    value = decoder.struct(Choice(struct), tree.values, (), secret=False)
    return (None if isinstance(value, _Bad) else value), decoder.mistakes  # type: ignore[return-value]


def nearest(name: str, known: list[str]) -> str:
    """`; did you mean "warning"?`, or all there are where none is near."""
    if near := get_close_matches(name, known, n=1):
        return f"; did you mean {literal(near[0])}?"
    return f"; there are {', '.join(known)}" if known else ""


def from_text(kind: type, value: object) -> object:
    """msgspec's `dec_hook` for the types that are written as text."""
    if issubclass(kind, FromText) and isinstance(value, str):
        return kind.parse(value)
    raise ValueError


class _Decoder:
    def __init__(self, tree: Tree, choosers: Mapping[type, Chooser]) -> None:
        self.tree = tree
        self.choosers = choosers
        self.mistakes: list[Mistake] = []

    def wrong(self, path: KeyPath, text: str, *, lacking: bool = False) -> _Bad:
        self.mistakes.append(Mistake(self.tree.place(path), path, text, lacking))
        return _BAD

    def value(self, kind: Any, value: object, path: KeyPath, base: object, *, secret: bool) -> object:
        core, metas = unwrap(kind)
        secret = secret or bool(extra(metas, "secret"))
        for member in members(core):
            member_core, member_metas = unwrap(member)
            origin = get_origin(member_core)
            if isinstance(value, dict) and _is_struct(member_core):
                return self.chosen(member_core, value, path, base, secret=secret)
            if isinstance(value, dict) and origin is dict:
                return self.table(member_core, value, path, secret=secret)
            if isinstance(value, list) and origin in (tuple, list):
                return self.array(member_core, [*metas, *member_metas], kind, value, path, secret=secret)
        return self.leaf(kind, metas, value, path, secret=secret)

    def chosen(
        self, struct: type[msgspec.Struct], value: dict[str, Any], path: KeyPath, base: object, *, secret: bool
    ) -> object:
        if chooser := self.choosers.get(struct):
            try:
                choice = chooser(str(path[-1]), value)
            except UnfitError as error:
                return self.wrong((*path, error.key) if error.key else path, str(error))
        elif isinstance(base, struct):
            choice = Choice(type(base), base)
        else:
            choice = Choice(struct)
        return self.struct(choice, value, path, secret=secret)

    def struct(self, choice: Choice, values: Mapping[str, Any], path: KeyPath, *, secret: bool) -> object:
        options = {option.encode_name: option for option in msgspec.structs.fields(choice.struct)}
        decoded: dict[str, Any] = {}
        sound = True
        for name in values:
            if name not in options:
                self.wrong((*path, name), f"there is no such key here{nearest(name, list(options))}")
                sound = False
        for name, option in options.items():
            base = getattr(choice.base, option.name) if choice.base is not None else None
            if choice.base is None and not option.required:
                base = default(option)
            if name in values:
                result = self.value(option.type, values[name], (*path, name), base, secret=secret)
                sound = sound and result is not _BAD
                decoded[option.name] = result
            elif choice.base is not None:
                decoded[option.name] = base
            elif option.required:
                self.wrong(path, f"needs the key {literal(name)}, {expected(option.type)}", lacking=True)
                sound = False
        good = {name: value for name, value in decoded.items() if value is not _BAD}
        if not sound and any(option.required and option.name not in good for option in options.values()):
            return _BAD
        while True:
            try:
                made = choice.struct(**good)
            except OptionError as error:
                if error.option not in values or any(decoded.get(name) is _BAD for name in error.beside):
                    return self.wrong(path, str(error)) if sound else _BAD
                self.wrong((*path, error.option), error.text)
                if error.option not in good or options[error.option].required:
                    return _BAD
                # Without it more mistakes may show.
                del good[error.option]
                decoded[error.option] = _BAD
                sound = False
            except ValueError as error:
                return self.wrong(path, str(error)) if sound else _BAD
            else:
                return made if sound else _BAD

    def table(self, core: Any, values: Mapping[str, Any], path: KeyPath, *, secret: bool) -> object:
        key_kind, value_kind = get_args(core)
        decoded = {}
        sound = True
        for name, value in values.items():
            here: KeyPath = (*path, name)
            key = self.leaf(key_kind, unwrap(key_kind)[1], name, here, secret=False)
            result = self.value(value_kind, value, here, None, secret=secret)
            sound = sound and key is not _BAD and result is not _BAD
            decoded[key] = result
        return decoded if sound else _BAD

    def array(
        self, core: Any, metas: list[msgspec.Meta], kind: Any, values: list[Any], path: KeyPath, *, secret: bool
    ) -> object:
        item = get_args(core)[0]
        results = [self.value(item, value, (*path, i), None, secret=secret) for i, value in enumerate(values)]
        if _BAD in results:
            return _BAD
        for meta in metas:
            if len(results) < (meta.min_length or 0) or len(results) > (meta.max_length or math.inf):
                return self.wrong(path, f"expected {expected(kind)}, found {len(results) or 'none'}")
        return get_origin(core)(results)

    def leaf(self, kind: Any, metas: list[msgspec.Meta], value: object, path: KeyPath, *, secret: bool) -> object:
        def refused() -> _Bad:
            # What somebody writes in the place of a table that says where a secret is may be the secret itself.
            kinds = [unwrap(one)[0] for one in members(unwrap(kind)[0])]
            hidden = secret or (isinstance(value, str) and any(map(_is_struct, kinds)))
            return self.wrong(path, f"expected {expected(kind)}, found {found(value, secret=hidden)}")

        if isinstance(value, float) and not math.isfinite(value):
            return refused()
        try:
            result = msgspec.convert(value, kind, dec_hook=from_text)
        except msgspec.ValidationError:
            return refused()
        minimum, maximum = extra(metas, "minimum"), extra(metas, "maximum")
        if (minimum is not None and result < minimum) or (maximum is not None and result > maximum):
            return refused()
        return result


def _is_struct(kind: Any) -> bool:
    return isinstance(kind, type) and issubclass(kind, msgspec.Struct)
