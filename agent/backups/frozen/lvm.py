"""Snapshots of logical volumes. See lvcreate(8), lvs(8), lvmsnapshot in lvmthin(7).

A snapshot of an ordinary volume has room of its own for what is changed in the volume meanwhile. When that is full
the snapshot is lost: reading it fails, and so does the run. One of a thin volume takes its room from the pool.
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

import msgspec

from agent.backups.frozen.contract import FrozenError, Volume
from agent.backups.frozen.mounts import Mounted
from agent.backups.frozen.names import owner_of
from agent.backups.programs import collect

ROOM = 10
"""Percent of the volume that are set aside, where nothing else is said."""

_LVS = ["lvs", "--reportformat", "json", "--units", "b", "--nosuffix", "-o"]
_INVALID = "IS"
"""The fifth letter of lv_attr (lvs(8)): an invalid snapshot, also where it is suspended."""
_MOUNT_OPTIONS = {"xfs": "ro,nosuid,nodev,nouuid"}
"""By the kind of file system: xfs refuses to mount the same identity twice."""


class Reported(msgspec.Struct):
    """What lvs says of a volume."""

    vg_name: str = ""
    lv_name: str = ""
    lv_attr: str = ""
    segtype: str = ""
    data_percent: str = ""
    lv_health_status: str = ""


class _Reports(msgspec.Struct):
    lv: list[Reported]


class _Answer(msgspec.Struct):
    report: list[_Reports]


def volume(mounted: Mounted) -> Volume | None:
    """The logical volume that a file system is on; the kernel knows whether it is one."""
    if mounted.kind == "btrfs":
        return None
    about = Path("/sys/dev/block") / mounted.device / "dm"
    try:
        if not (about / "uuid").read_text().startswith("LVM-"):
            return None
        device = f"/dev/mapper/{(about / 'name').read_text().strip()}"
    except OSError:
        return None
    (found,) = _ask("vg_name,lv_name,segtype", device)
    inner = os.fsdecode(mounted.root.lstrip(b"/"))
    return Volume(f"{found.vg_name}/{found.lv_name}", mounted, inner, is_thin=found.segtype == "thin")


def nested(mounted: Mounted) -> list[Mounted]:
    """None: each is mounted where it is seen."""
    return []


def freeze(volumes: Sequence[Volume], names: Sequence[str], size: int | None) -> None:
    """One after the other. The kernel brings each file system to a consistent state first."""
    for each, name in zip(volumes, names, strict=True):
        collect(creation(each, name, size))


def creation(volume: Volume, name: str, size: int | None) -> list[str]:
    """The command that makes a snapshot. Pure."""
    words = ["lvcreate", "--yes", "--snapshot", "--name", name]
    if volume.is_thin:
        words += ["--setactivationskip", "n"]
    else:
        words += ["--size", f"{size}b"] if size is not None else ["--extents", f"{ROOM}%ORIGIN"]
    return [*words, volume.place]


def show(volume: Volume, name: str, folder: Path) -> Path:
    """Mounted read-only; a journal that is not empty is replayed in the snapshot first."""
    kind = volume.mounted.kind
    options = _MOUNT_OPTIONS.get(kind, "ro,nosuid,nodev")
    collect(["mount", "-t", kind, "-o", options, f"/dev/{_place(volume, name)}", str(folder)])
    return folder


def require_good(volume: Volume, name: str) -> None:
    """It is lost when its room is full."""
    (found,) = _ask("vg_name,lv_name,lv_attr,data_percent,lv_health_status", _place(volume, name))
    if why := spoiled(found):
        raise FrozenError(
            f"the snapshot of {volume.place} {why}, so what was read of it is not as it was; nothing is saved. "
            "snapshot_size sets more room aside"
        )


def spoiled(found: Reported) -> str:
    """Why a snapshot is not good any more; '' for one that is. Pure."""
    if len(found.lv_attr) > 4 and found.lv_attr[4] in _INVALID:
        return "had no room left for what was changed meanwhile"
    if found.lv_health_status:
        return f"is not whole ({found.lv_health_status})"
    return ""


def names(volume: Volume) -> list[str]:
    """In the whole group, of this volume alone."""
    group, _, name = volume.place.partition("/")
    listed = collect([*_LVS, "lv_name", "--select", f'origin="{name}"', group])
    return [each.lv_name for each in decode(listed) if owner_of(each.lv_name)]


def remove(volume: Volume, name: str) -> None:
    """Also one that is lost."""
    collect(["lvremove", "--yes", "--force", _place(volume, name)])


def decode(listed: bytes) -> list[Reported]:
    """What lvs prints. Raises FrozenError. Pure."""
    try:
        return [each for report in msgspec.json.decode(listed, type=_Answer).report for each in report.lv]
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise FrozenError(f"lvs answers what was not expected: {error}") from None


def _ask(columns: str, place: str) -> list[Reported]:
    found = decode(collect([*_LVS, columns, place]))
    if len(found) != 1:
        raise FrozenError(f"lvs knows {len(found)} logical volumes in {place}; expected one")
    return found


def _place(volume: Volume, name: str) -> str:
    return f"{volume.place.partition('/')[0]}/{name}"
