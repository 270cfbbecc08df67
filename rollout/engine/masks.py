"""Secrets that this process knows are covered in everything that it says and prints."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from pyinfra.api.inventory import Inventory

from deploys.kit.secret import known

COVER = "*****"
SHORTEST = 4
"""Characters. What is shorter is found in any text, and covering it would tell where it is."""
_ASSIGNED = re.compile(r"\s*(?:export\s+)?[A-Za-z_][A-Za-z0-9_]*=(?P<value>[^\n]*)")
_PLAIN = frozenset({"type", "host", "state", "outcome"})
"""Fields of messages whose values are words of ours."""


class Masks:
    """Passwords of an inventory, and whatever secrets deploys have read."""

    def __init__(self) -> None:
        self._given: set[str] = set()
        self._counted = -1
        self._words: list[str] = []

    def learn(self, inventory: Inventory) -> None:
        """Cover whatever the inventory's data calls a password."""
        sources: list[Mapping[str, Any]] = [inventory.data, inventory.override_data]
        sources += [*inventory.group_data.values(), *inventory.host_data.values()]
        for data in sources:
            self._given |= {value for key, value in data.items() if "password" in key and isinstance(value, str)}
        self._counted = -1

    def cover(self, text: str) -> str:
        """The text without secrets."""
        if self._counted != len(known()):
            self._collect()
        for word in self._words:
            text = text.replace(word, COVER)
        return text

    def covered(self, value: Any) -> Any:
        """The same for plain data; keys, and words that say what a message is, are left."""
        if isinstance(value, str):
            return self.cover(value)
        if isinstance(value, list | tuple):
            return [self.covered(item) for item in value]
        if isinstance(value, dict):
            return {key: item if key in _PLAIN else self.covered(item) for key, item in value.items()}
        return value

    def _collect(self) -> None:
        secrets = known()
        self._counted = len(secrets)
        words = self._given | {secret.decode(errors="replace") for secret in secrets}
        # Of a key of many lines, a difference or a complaint shows single ones.
        words |= {line for word in words for line in word.splitlines()}
        # Of a file with an environment, a program shows the value.
        words |= {match["value"].strip().strip("\"'") for word in words if (match := _ASSIGNED.fullmatch(word))}
        self._words = sorted((word for word in words if len(word) >= SHORTEST), key=len, reverse=True)
