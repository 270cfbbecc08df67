"""How a deploy works by itself, and is a function too.

pyinfra's command line executes a deploy's file once for each host, in a namespace that is no module's. Types that are
defined there cannot be found again by what reads their annotations; so the file, when it notices, calls the function
of the module that it also is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

from pyinfra.context import host

from deploys.kit.output import bound
from deploys.kit.tables import refuse_unknown


def run_alone(namespace: Mapping[str, Any], function: Callable[..., Any]) -> None:
    """For the last line of `deploys/NAME.py`: `run_alone(globals(), NAME)`.

    Call `function` without arguments, which then come from the host's data, where pyinfra executes the file.
    Nothing happens where it is imported.
    """
    if namespace.get("__spec__") is None:
        name = str(namespace["__file__"]).replace("\\", "/").rpartition("/")[2].removesuffix(".py")
        bound()
        refuse_unknown(host.inventory)
        getattr(import_module(f"deploys.{name}"), function.__name__)()
