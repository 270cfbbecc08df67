"""Devices that stand for others. Pure.

A snapshot of a file system is a device of its own, with another number each time. In the repository its files keep
the number of the file system that it is of: otherwise every node would be another in every run, and every tree stored
anew.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Any, cast

Devices = Mapping[int, int]
"""st_dev of each snapshot, to that of what it is of."""


def of_origin(status: os.stat_result, devices: Devices) -> os.stat_result:
    """The same status, on the device that its own one stands for."""
    device = devices.get(status.st_dev)
    if device is None:
        return status
    _, (shown, more) = cast(tuple[type, tuple[Any, Any]], status.__reduce__())  # all fields, as pickle takes them
    return os.stat_result((*shown[:2], device, *shown[3:]), more)
