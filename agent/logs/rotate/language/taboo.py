"""Which files of a folder are not configuration (`tabooext`, `taboopat`)."""

from __future__ import annotations

from agent.logs.rotate.language.globs import matcher
from agent.logs.rotate.language.text import SPACE

EXTENSIONS = (
    *(",v", ".bak", ".cfsaved", ".disabled", ".dpkg-bak", ".dpkg-del", ".dpkg-dist", ".dpkg-new", ".dpkg-old"),
    *(".dpkg-tmp", ".new", ".old", ".orig", ".rhn-cfg-tmp-*", ".rpmnew", ".rpmorig", ".rpmsave", ".swp", ".ucf-dist"),
    *(".ucf-new", ".ucf-old", "~"),
)
"""At startup (logrotate(8), `tabooext`)."""


class Taboo:
    """Extensions and patterns are one list: either directive without a `+` replaces all of it."""

    def __init__(self) -> None:
        self._patterns = {f"*{extension}": matcher(f"*{extension}") for extension in EXTENSIONS}

    def change(self, text: str, *, extensions: bool) -> None:
        """Take what stands behind a directive."""
        if text.startswith("+"):
            text = text[1:]
        else:
            self._patterns = {}
        star = "*" if extensions else ""
        for space in SPACE:
            text = text.replace(space, ",")
        for name in filter(None, text.split(",")):
            self._patterns.setdefault(star + name, matcher(star + name))

    def match(self, name: str) -> str | None:
        """The first pattern that a file's name matches."""
        return next((pattern for pattern, matches in self._patterns.items() if matches(name)), None)
