"""Software RAID: disks and their states, and how far a recovery is."""

from __future__ import annotations

import re
from dataclasses import dataclass

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, text
from agent.paths import System

STATES = ("active", "inactive", "recovering", "resync", "check")
_BLOCKS = re.compile(r"(\d+) blocks")
_DISKS = re.compile(r"\[(\d+)/(\d+)\] \[[U_]+\]")
_SYNCED = re.compile(r"\((\d+)/\d+\)")


@dataclass(frozen=True, slots=True)
class Array:
    """One device of /proc/mdstat."""

    name: str
    state: str
    active: int
    required: int
    failed: int
    spare: int
    blocks: int
    synced: int


def collect(system: System) -> list[Family]:
    """/proc/mdstat (md(4))."""
    try:
        arrays = parse(text(system.path("proc", "mdstat")))
    except FileNotFoundError:
        raise NoDataError from None
    disks = gauge("node_md_disks", "Number of active/failed/spare disks of device.")
    required = gauge("node_md_disks_required", "Total number of disks of device.")
    state = gauge("node_md_state", "Indicates the state of md-device.")
    blocks = gauge("node_md_blocks", "Total number of blocks on device.")
    synced = gauge("node_md_blocks_synced", "Number of blocks synced on device.")
    for array in arrays:
        for kind, count in (("active", array.active), ("failed", array.failed), ("spare", array.spare)):
            disks.add(count, device=array.name, state=kind)
        required.add(array.required, device=array.name)
        for name in STATES:
            state.add(int(array.state == name), device=array.name, state=name)
        blocks.add(array.blocks, device=array.name)
        synced.add(array.synced, device=array.name)
    return [disks, required, state, blocks, synced]


def parse(mdstat: str) -> list[Array]:
    """The arrays: a line that begins with the device's name, and the indented ones below it."""
    sections: list[list[str]] = []
    for line in mdstat.splitlines():
        if line.startswith((" ", "\t")) and sections:
            sections[-1].append(line)
        elif line and not line.startswith(("Personalities", "unused")):
            sections.append([line])
    return [_array(head.split(), "\n".join(below)) for head, *below in sections if " : " in head]


def _array(words: list[str], below: str) -> Array:
    members = [word for word in words if "[" in word]
    failed, spare = (sum(f"({flag})" in word for word in members) for flag in "FS")
    blocks = int(match[1]) if (match := _BLOCKS.search(below)) else 0
    state = "active" if words[2] == "active" else "inactive"
    if match := _DISKS.search(below):
        required, active = int(match[1]), int(match[2])
    else:  # without redundancy there is nothing to count: what is missing, is missing altogether
        active = required = len(members) - failed - spare if state == "active" else 0
    synced = blocks
    for word, name in (("recovery", "recovering"), ("resync", "resync"), ("check", "check")):
        if re.search(rf"\b{word}\s*=", below):
            state = name
            # `resync=PENDING` and `resync=DELAYED` have not begun.
            synced = int(match[1]) if (match := _SYNCED.search(below)) else 0
            break
    return Array(words[0], state, active, required, failed, spare, blocks, synced)
