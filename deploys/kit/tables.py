"""The tables of host data that are known, one for each deploy, looked at before anything is done."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from functools import cache
from importlib import import_module
from pathlib import Path
from types import ModuleType

import msgspec
from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory

from deploys.kit.options import OptionsError, options

FOLDER = Path(__file__).resolve().parents[1]
"""Where the deploys are."""


@cache  # asked for each host
def names() -> list[str]:
    """Of our deploys, and so of their tables."""
    return sorted(path.stem for path in FOLDER.glob("[a-z]*.py"))


def module_of(deploy: str) -> ModuleType | None:
    """The module of one of our deploys by its file, None for a deploy of somebody else's."""
    file = Path(deploy)
    ours = file.suffix == ".py" and file.resolve().parent == FOLDER
    return import_module(f"deploys.{file.stem}") if ours else None


def check(inventory: Inventory, hosts: Iterable[Host], deploy: str) -> None:
    """Look at what a deploy would take from each host's data. Raises OptionsError."""
    module = module_of(deploy)
    if module is None:
        return
    refuse_unknown(inventory)
    name = module.__name__.rpartition(".")[2]
    struct: type[msgspec.Struct] = getattr(module, "".join(map(str.capitalize, name.split("_"))) + "Options")
    for host in hosts:
        options(host, name, struct)


def refuse_unknown(inventory: Inventory) -> None:
    """Raises OptionsError for a TABLE.KEY of the command line whose table is nearly one of ours: a slip.

    What is like none of them is for some other deploy.
    """
    known = names()
    for key in inventory.override_data or {}:
        name, dot, _ = key.partition(".")
        if dot and name not in known and (near := get_close_matches(name, known, n=1, cutoff=0.8)):
            raise OptionsError(f"--data {key}: there is no table {name}; did you mean {near[0]}?")
