"""Reads, writes, discards and flushes of block devices."""

from __future__ import annotations

import re

from agent.metrics.family import Family, counter, gauge
from agent.metrics.files import text
from agent.paths import System

EXCLUDED = re.compile(r"(ram|loop|fd|(h|s|v|xv)d[a-z]|nvme\d+n\d+p)\d+")
"""Devices that are left out: partitions, and what is no disk."""
SECTOR = 512
"""Bytes; whatever the device's own sectors are (Documentation/admin-guide/iostats.rst)."""
TICK = 1 / 1000

COLUMNS: tuple[tuple[str, str, float], ...] = (
    ("reads_completed_total", "The total number of reads completed successfully.", 1),
    ("reads_merged_total", "The total number of reads merged.", 1),
    ("read_bytes_total", "The total number of bytes read successfully.", SECTOR),
    ("read_time_seconds_total", "The total number of seconds spent by all reads.", TICK),
    ("writes_completed_total", "The total number of writes completed successfully.", 1),
    ("writes_merged_total", "The number of writes merged.", 1),
    ("written_bytes_total", "The total number of bytes written successfully.", SECTOR),
    ("write_time_seconds_total", "This is the total number of seconds spent by all writes.", TICK),
    ("io_now", "The number of I/Os currently in progress.", 1),
    ("io_time_seconds_total", "Total seconds spent doing I/Os.", TICK),
    ("io_time_weighted_seconds_total", "The weighted # of seconds spent doing I/Os.", TICK),
    ("discards_completed_total", "The total number of discards completed successfully.", 1),
    ("discards_merged_total", "The total number of discards merged.", 1),
    ("discarded_sectors_total", "The total number of sectors discarded successfully.", 1),
    ("discard_time_seconds_total", "This is the total number of seconds spent by all discards.", TICK),
    ("flush_requests_total", "The total number of flush requests completed successfully", 1),
    (
        "flush_requests_time_seconds_total",
        "This is the total number of seconds spent by all flush requests.",
        TICK,
    ),
)
"""What follows a device's name in /proc/diskstats; older kernels end earlier."""
INFO = {
    "path": "ID_PATH",
    "wwn": "ID_WWN",
    "model": "ID_MODEL",
    "revision": "ID_REVISION",
}
"""Label of node_disk_info to udev's property."""
SERIALS = ("SCSI_IDENT_SERIAL", "ID_SERIAL_SHORT")
ATA = {
    "ID_ATA_WRITE_CACHE": ("node_disk_ata_write_cache", "ATA disk has a write cache."),
    "ID_ATA_WRITE_CACHE_ENABLED": (
        "node_disk_ata_write_cache_enabled",
        "ATA disk has its write cache enabled.",
    ),
    "ID_ATA_ROTATION_RATE_RPM": (
        "node_disk_ata_rotation_rate_rpm",
        "ATA disk rotation rate in RPMs (0 for SSDs).",
    ),
}


def collect(system: System) -> list[Family]:
    """/proc/diskstats, and what udev knows of each device (/run/udev/data)."""
    info = gauge("node_disk_info", "Info of /sys/block/<block_device>.")
    filesystem = gauge("node_disk_filesystem_info", "Info about disk filesystem.")
    mapper = gauge("node_disk_device_mapper_info", "Info about disk device mapper.")
    ata = {key: gauge(name, about) for key, (name, about) in ATA.items()}
    families = [(gauge if name == "io_now" else counter)(f"node_disk_{name}", about) for name, about, _ in COLUMNS]
    for line in text(system.path("proc", "diskstats")).splitlines():
        major, minor, device, *fields = line.split()
        if EXCLUDED.fullmatch(device):
            continue
        for family, (_, _, unit), field in zip(families, COLUMNS, fields, strict=False):
            family.add(int(field) * unit, device=device)
        known = _udev(system, major, minor)
        info.add(
            1,
            device=device,
            major=major,
            minor=minor,
            **{label: known.get(key, "") for label, key in INFO.items()},
            serial=next((known[key] for key in SERIALS if known.get(key)), ""),
        )
        if kind := known.get("ID_FS_TYPE"):
            details = {name: known.get(f"ID_FS_{name.upper()}", "") for name in ("usage", "uuid", "version")}
            filesystem.add(1, device=device, type=kind, **details)
        if name := known.get("DM_NAME"):
            details = {key: known.get(f"DM_{key.upper()}", "") for key in ("uuid", "vg_name", "lv_name", "lv_layer")}
            mapper.add(1, device=device, name=name, **details)
        for key in ata if known.get("ID_ATA") else ():
            if known.get(key, "").isdecimal():
                ata[key].add(int(known[key]), device=device)
    return [info, *families, filesystem, mapper, *ata.values()]


def _udev(system: System, major: str, minor: str) -> dict[str, str]:
    """udev's properties of a block device; none where there is no udev."""
    try:
        database = text(system.path("run", "udev", "data", f"b{major}:{minor}"))
    except OSError:
        return {}
    lines = (line[2:].partition("=") for line in database.splitlines() if line.startswith("E:"))
    return {key: value for key, _, value in lines}
