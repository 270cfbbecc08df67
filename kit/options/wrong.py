"""What is wrong with one option of a table."""

from __future__ import annotations


class OptionError(ValueError):
    """What a struct's `__post_init__` raises about `option`; `beside` are others of it that this follows from.

    The mistake is told where the option stands, and also where there are mistakes in others than these.
    """

    def __init__(self, option: str, text: str, *, beside: tuple[str, ...] = ()) -> None:
        super().__init__(f"{option}: {text}")
        self.option = option
        self.text = text
        self.beside = beside
