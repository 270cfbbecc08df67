"""Inventories, as pyinfra's command line reads them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from pyinfra.api.host import Host
from pyinfra.api.inventory import Inventory
from pyinfra_cli.inventory import make_inventory
from pyinfra_cli.util import parse_cli_arg

from rollout.engine import sentences
from rollout.protocol import Described, Order

STRICT = "ssh_strict_host_key_checking"
"""Whether a host's key must be known before."""


class OrderError(Exception):
    """The order cannot be carried out at all; the text says why."""


def load(order: Order) -> Inventory:
    """The order's inventory. Raises OrderError."""
    if order.inventory.endswith(".py") and "," not in order.inventory and not Path(order.inventory).exists():
        raise OrderError(f"the inventory {order.inventory} is not there")
    data: dict[str, Any] = {key: parse_cli_arg(value) for key, value in order.data.items()}
    try:
        inventory: Inventory = make_inventory(order.inventory, override_data=data, cwd=order.folder)
    except Exception as error:
        # An inventory is a program: whatever it raises is its mistake.
        raise OrderError(f"the inventory {order.inventory} cannot be read: {sentences.of(error)}") from None
    if not len(inventory):
        there = Path(order.inventory).exists()
        why = "has no hosts" if there else "is no file, and neither a host nor a connector that is known"
        raise OrderError(f"the inventory {order.inventory} {why}")
    # Below all that the inventory says. pyinfra's own default believes whoever answers first.
    inventory.data.setdefault(STRICT, "yes")
    return inventory


def chosen(inventory: Inventory, names: list[str]) -> list[Host]:
    """The hosts of these names, all when there are none. Raises OrderError."""
    missing = [name for name in names if name not in inventory.hosts]
    if missing:
        raise OrderError(f"the inventory has no host {', '.join(missing)}")
    return [inventory.hosts[name] for name in names] or list(inventory)


def described(host: Host) -> Described:
    """What the runner plans with. Raises OrderError."""
    texts = {}
    for key in ("zone", "hostward_name"):
        value = host.data.get(key)
        if not isinstance(value, str | None):
            raise OrderError(f"{host.name}: {key} is {value!r}; expected text")
        texts[key] = value
    return Described(
        host=host.name,
        groups=list(dict.fromkeys(host.groups)),
        zone=texts["zone"] or "",
        known_as=texts["hostward_name"] or host.name,
    )
