"""Numbers as C reads them (strtoul(3)), and sizes (pure)."""

from __future__ import annotations

from agent.logs.rotate.language.text import SPACE, MistakeError, last_byte

LONG = 2**64
"""How many values an unsigned long has."""
_UNITS = {"k": 2**10, "K": 2**10, "M": 2**20, "G": 2**30}
_SHORT = 10
"""Digits that surely fit."""
_DIGITS = "0123456789"


def unsigned(text: str, base: int = 0) -> int | None:
    """The number that is all of `text`, wrapped at LONG where it is negative; None where it is none or too large.

    No text at all is 0, since C finds nothing behind it. With base 0 a number may be hexadecimal, octal or binary.
    """
    if not text:
        return 0
    if base == 0 and len(text) < _SHORT and text.isascii() and text.isdigit() and text[0] != "0":
        return int(text)
    digits = text.lstrip(SPACE)
    negative = digits.startswith("-")
    if digits[:1] in ("+", "-"):
        digits = digits[1:]
    if base == 0:
        base, digits = _based(digits)
    if not digits or not digits.isascii() or not digits.isalnum():
        return None
    try:
        value = int(digits, base)
    except ValueError:
        return None
    if value >= LONG:
        return LONG
    return -value % LONG if negative else value


def _based(digits: str) -> tuple[int, str]:
    prefix = digits[:2].lower()
    if prefix == "0x":
        return 16, digits[2:]
    if prefix == "0b":
        return 2, digits[2:]
    return (8, digits) if digits.startswith("0") else (10, digits)


def whole(text: str) -> int | None:
    """The number as it comes to be in an int of C; None where it is none."""
    value = unsigned(text)
    if value is None:
        return None
    value = min(value, LONG - 1) % 2**32
    return value - 2**32 if value >= 2**31 else value


def begun(text: str) -> int:
    """The number that `text` begins with, as it comes to be in an int of C; 0 where it begins with none."""
    return next((value for end in range(len(text), 0, -1) if (value := whole(text[:end])) is not None), 0)


def size(text: str) -> int:
    """Bytes, written with `k`, `M` or `G` behind them or nothing. Raises MistakeError."""
    unit, number = 1, text
    if text[-1:] not in _DIGITS:
        if text[-1] not in _UNITS:
            raise MistakeError(f"unknown unit '{last_byte(text)}'")
        unit, number = _UNITS[text[-1]], text[:-1]
    value = unsigned(number)
    if value is None or (number.startswith("-") and value) or value > LONG // unit or value == LONG:
        raise MistakeError(f"bad size '{number}'")
    return value * unit % LONG
