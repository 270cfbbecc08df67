"""The rules for logs alone: commands of logs are quick to start, and heed no mistake in other tables."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path
from typing import Final

import msgspec

from agent.config.logs import LogOptions
from agent.config.places import files_and_folder, folder_beside
from agent.config.trust import distrust, own_or_roots
from kit.options.decode import nearest
from kit.options.load import MistakesError, load
from kit.options.tree import Mistake, Tree

TABLE: Final = "logs"


class _LogRules(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    logs: tuple[LogOptions, ...] = ()


def load_log_rules(file: Path, *, must_exist: bool = False) -> tuple[LogOptions, ...]:
    """The tables `[[logs]]` in their order. No file at all has none; `must_exist` is for one that somebody named.

    Raises ConfigurationError with a line for each mistake, for files that others could have written too.
    """
    if mistakes := distrust(files_and_folder(file), own_or_roots()):
        raise MistakesError(mistakes)
    folder = folder_beside(file)
    found = load(_LogRules, file, folder=folder, must_exist=must_exist, tables=(TABLE,), joined=(TABLE,))
    if mistakes := namesakes(found.value.logs, found.tree):
        raise MistakesError(mistakes)
    return found.value.logs


def namesakes(rules: tuple[LogOptions, ...], tree: Tree) -> list[Mistake]:
    """A mistake for each rule that is called as one before it."""
    first: dict[str, int] = {}
    mistakes = []
    for number, rule in enumerate(rules):
        known = first.setdefault(rule.name, number)
        if known != number:
            path = (TABLE, number, "name")
            text = f'there is a rule "{rule.name}" already, at {tree.place((TABLE, known, "name"))}'
            mistakes.append(Mistake(tree.place(path), path, text))
    return mistakes


def unknown_archives(rules: tuple[LogOptions, ...], jobs: Collection[str], tree: Tree) -> list[Mistake]:
    """A mistake for each rule whose `archive` is none of the backup jobs: its old logs would never go."""
    mistakes = []
    for number, rule in enumerate(rules):
        if rule.archive is not None and rule.archive not in jobs:
            path = (TABLE, number, "archive")
            text = f'there is no backup job "{rule.archive}"{nearest(rule.archive, list(jobs))}'
            mistakes.append(Mistake(tree.place(path), path, text))
    return mistakes
