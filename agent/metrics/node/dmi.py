"""What the firmware says of the machine."""

from __future__ import annotations

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, word
from agent.paths import System

FILES = (
    *("bios_date", "bios_release", "bios_vendor", "bios_version"),
    *("board_asset_tag", "board_name", "board_serial", "board_vendor", "board_version"),
    *("chassis_asset_tag", "chassis_serial", "chassis_vendor", "chassis_version"),
    *("product_family", "product_name", "product_serial", "product_sku", "product_uuid", "product_version"),
    "sys_vendor",
)
LABELS = {"sys_vendor": "system_vendor"}
"""Labels that are not called as the file."""


def collect(system: System) -> list[Family]:
    """/sys/class/dmi/id; serial numbers are there where the agent may read them."""
    folder = system.path("sys", "class", "dmi", "id")
    if not folder.is_dir():
        raise NoDataError
    found = {LABELS.get(name, name): word(folder / name) for name in FILES}
    labels = {label: value for label, value in found.items() if value is not None}
    names = ", ".join(sorted(LABELS.get(name, name) for name in FILES))
    family = gauge("node_dmi_info", f"A metric with a constant '1' value labeled by {names} if provided by DMI.")
    family.add(1, **labels)
    return [family]
