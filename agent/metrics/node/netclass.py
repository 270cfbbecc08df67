"""Properties of network interfaces."""

from __future__ import annotations

from agent.metrics.family import Family, counter, gauge
from agent.metrics.files import entries, whole, word
from agent.paths import System

GAUGES = {
    "address_assign_type": "addr_assign_type",
    "carrier": "carrier",
    "device_id": "dev_id",
    "dormant": "dormant",
    "flags": "flags",
    "iface_id": "ifindex",
    "iface_link": "iflink",
    "iface_link_mode": "link_mode",
    "mtu_bytes": "mtu",
    "name_assign_type": "name_assign_type",
    "net_dev_group": "netdev_group",
    "protocol_type": "type",
    "transmit_queue_length": "tx_queue_len",
}
COUNTERS = {
    "carrier_changes_total": "carrier_changes",
    "carrier_down_changes_total": "carrier_down_count",
    "carrier_up_changes_total": "carrier_up_count",
}
"""Property to its file (Documentation/ABI/testing/sysfs-class-net). The kernel answers some only while it is up."""
TEXTS = ("address", "broadcast", "duplex", "ifalias", "operstate")


def collect(system: System) -> list[Family]:
    """/sys/class/net."""
    up = gauge("node_network_up", "Value is 1 if operstate is 'up', 0 otherwise.")
    info = gauge("node_network_info", "Non-numeric data from /sys/class/net/<iface>, value is always 1.")
    speed = gauge("node_network_speed_bytes", "Network device property: speed_bytes")
    properties = {
        file: make(f"node_network_{name}", f"Network device property: {name}")
        for make, files in ((gauge, GAUGES), (counter, COUNTERS))
        for name, file in files.items()
    }
    for folder in entries(system.path("sys", "class", "net")):
        device = folder.name
        if not folder.is_dir():  # bonding_masters
            continue
        texts = {name: word(folder / name) or "" for name in TEXTS}
        up.add(int(texts["operstate"] == "up"), device=device)
        info.add(1, device=device, **texts)
        for file, family in properties.items():
            if (value := whole(folder / file)) is not None:
                family.add(value, device=device)
        if (megabits := whole(folder / "speed")) is not None:  # -1 where it is not known
            speed.add(megabits * 1_000_000 // 8, device=device)
    return [up, info, *properties.values(), speed]
