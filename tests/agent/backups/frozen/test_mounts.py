"""Which places a view of snapshots covers."""

from __future__ import annotations

import json

from agent.backups.frozen import btrfs, lvm, zfs
from agent.backups.frozen.contract import Volume
from agent.backups.frozen.mounts import Mounted, covers, parse
from agent.backups.frozen.names import Owner, is_alive, name_of, owner_of, this_owner

MOUNTINFO = rb"""22 1 253:1 / / rw,relatime shared:1 - ext4 /dev/mapper/vg-root rw
23 22 0:5 / /proc rw - proc proc rw
24 22 253:2 / /srv rw - xfs /dev/mapper/vg-srv rw
25 24 253:3 / /srv/old rw - ext4 /dev/sda1 rw
26 24 0:40 /@data /srv/my\040data rw - btrfs /dev/sdb rw,subvol=/@data
27 24 0:41 / /srv/old rw - zfs tank/old rw
"""


def names(places: list[bytes]) -> list[str]:
    return [place.decode() for place in places]


def test_the_last_mount_at_a_place_counts() -> None:
    """Mounts are read with their roots, kinds and devices; what is mounted over is not seen."""
    mounts = {mount.point: mount for mount in parse(MOUNTINFO)}
    assert mounts[b"/srv/old"] == Mounted(b"/srv/old", b"/", "zfs", "tank/old", "0:41")
    assert mounts[b"/srv/my data"] == Mounted(b"/srv/my data", b"/@data", "btrfs", "/dev/sdb", "0:40")


def test_a_view_covers_paths_and_the_mounts_below_them() -> None:
    """A path is covered by its file system's snapshot, a mount below it by its own; what has none stays."""
    mounts = parse(MOUNTINFO)
    shown, hidden = covers([b"/srv", b"/etc/app"], mounts, lambda mount: mount.kind in ("xfs", "btrfs", "ext4"))
    assert [(cover.path, cover.mounted.point, cover.inner) for cover in shown] == [
        (b"/srv", b"/srv", b""),
        (b"/etc/app", b"/", b"etc/app"),
        (b"/srv/my data", b"/srv/my data", b""),
    ]
    assert names(hidden) == ["/srv/old"]
    shown, hidden = covers([b"/srv"], mounts, lambda mount: mount.kind == "zfs")
    assert [(cover.path, cover.inner) for cover in shown] == [(b"/srv/old", b"")] and hidden == []
    shown, _ = covers([b"/"], mounts, lambda mount: mount.kind == "ext4")
    assert [(cover.path, cover.inner) for cover in shown] == [(b"/", b"")]


def test_names_tell_whose_snapshots_they_are() -> None:
    """A name leads to the process that made it; one of another boot, or of a number that was given anew, is dead."""
    ours = this_owner()
    assert owner_of(name_of(ours, 3)) == ours and is_alive(ours)
    assert not is_alive(ours._replace(started=ours.started + 1))
    assert not is_alive(ours._replace(boot="00000000")) and not is_alive(Owner(ours.boot, 2**22 + 1, 5))
    assert owner_of("hostward-by-hand") is None and owner_of("daily-1") is None


def test_subvolumes_are_found_by_where_they_are_seen() -> None:
    """Of btrfs's list those below the mount count, but neither those elsewhere nor snapshots of runs."""
    mounted = next(mount for mount in parse(MOUNTINFO) if mount.kind == "btrfs")
    own = f".{name_of(this_owner(), 0)}".encode()
    listed = b"\n".join(
        b"ID %d gen 9 top level 5 path %s" % (number, path)
        for number, path in enumerate(
            [b"@data", b"@data/in ner", b"@data/a/b", b"@other", b"@database", b"@data/" + own]
        )
    )
    assert names([each.point for each in btrfs.parse_list(listed, mounted)]) == [
        "/srv/my data/in ner",
        "/srv/my data/a/b",
    ]


RECORDED = {"good": "swi-a-s---", "full": "swi-I-s---", "thick": "owi-aos---", "thin": "Vwi-aot---"}
"""lv_attr as lvs 2.03.16 prints it of a snapshot, of one that was full, of what they are of, and of a thin volume."""


def lvs() -> bytes:
    """Its answer."""
    return json.dumps(
        {"report": [{"lv": [{"lv_name": name, "lv_attr": attr} for name, attr in RECORDED.items()]}]}
    ).encode()


def test_a_full_snapshot_of_lvm_is_not_good() -> None:
    """By the state in its attributes, or by a health that is told."""
    good = {each.lv_name: lvm.spoiled(each) for each in lvm.decode(lvs())}
    assert good == {"thick": "", "good": "", "full": "had no room left for what was changed meanwhile", "thin": ""}
    assert "out_of_data" in lvm.spoiled(lvm.Reported(lv_attr="Vwi-aotzD-", lv_health_status="out_of_data"))


def test_lvm_sets_room_aside_but_for_thin_volumes() -> None:
    """An ordinary snapshot is given its room, by percent or as it was said; a thin one takes it from its pool."""
    mounted = parse(MOUNTINFO)[0]
    thick, thin = Volume("vg/srv", mounted), Volume("vg/srv", mounted, is_thin=True)
    assert lvm.creation(thick, "n", None)[-3:] == ["--extents", "10%ORIGIN", "vg/srv"]
    assert lvm.creation(thick, "n", 2**30)[-3:] == ["--size", f"{2**30}b", "vg/srv"]
    assert "--size" not in lvm.creation(thin, "n", 2**30) and lvm.creation(thin, "n", None)[-3:-1] == [
        "--setactivationskip",
        "n",
    ]


def test_zfs_is_known_by_its_mounts() -> None:
    """A data set is a volume; a snapshot that is mounted itself is none."""
    (mounted,) = [mount for mount in parse(MOUNTINFO) if mount.kind == "zfs"]
    found = zfs.volume(mounted)
    assert found is not None and found.place == "tank/old"
    assert zfs.volume(mounted._replace(source="tank/old@daily")) is None
