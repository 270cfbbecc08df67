"""What is mounted, and what should be."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.mounts import Mount, Wanted, once_each, parse_fstab, parse_mountinfo

MOUNTINFO = """\
21 1 8:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw,errors=remount-ro
22 21 0:20 / /proc rw,nosuid - proc proc rw
23 21 0:21 / /dev rw - devtmpfs udev rw,size=1k
24 21 0:22 / /run rw - tmpfs tmpfs rw
25 21 8:2 / /var rw,relatime shared:2 master:1 - xfs /dev/sda2 ro
26 21 7:0 / /snap/core/1 ro - squashfs /dev/loop0 ro
27 21 0:30 / /srv/nfs rw - nfs4 home:/export rw,vers=4.2
28 21 0:31 / /mnt/my\\040disk ro,relatime - ext4 /dev/sdb1 rw
29 21 8:1 /srv/www /var/www rw - ext4 /dev/sda1 rw
30 21 0:40 / /var/lib/docker/overlay2/x/merged rw - overlay overlay rw
31 21 0:50 / /pool rw - zfs tank/data rw
32 21 0:51 /@home /home rw - btrfs /dev/sdc1 rw
33 21 0:51 /@ /btrfs rw - btrfs /dev/sdc1 rw
34 21 0:60 / /auto rw - autofs systemd-1 rw
35 21 0:61 / /mnt/far rw - fuse.sshfs me@far:/ rw
36 21 0:70 / /twice rw - tmpfs tmpfs rw
37 36 8:3 / /twice rw - ext4 /dev/sda3 rw
"""


def points(mounts: list[Mount]) -> list[str]:
    return [mount.point for mount in mounts]


def test_mountinfo_tells_each_mount() -> None:
    """With escapes undone, any number of optional fields, and read-only only where the file system itself is."""
    mounts = {mount.point: mount for mount in parse_mountinfo(MOUNTINFO)}
    assert mounts["/"] == Mount("/", "/dev/sda1", "ext4", "8:1", "/", read_only=False)
    assert mounts["/var"].read_only
    assert mounts["/mnt/my disk"].read_only is False
    assert mounts["/var/www"].root == "/srv/www"


def test_of_several_mounts_at_one_point_the_last_is_seen() -> None:
    """It hides the others."""
    (mount,) = [mount for mount in parse_mountinfo(MOUNTINFO) if mount.point == "/twice"]
    assert mount.fstype == "ext4"


def test_storage_is_told_from_kernel_interfaces_memory_and_images() -> None:
    """What df shows by default is more than what can fill up."""
    mounts = parse_mountinfo(MOUNTINFO)
    local = [mount for mount in mounts if mount.is_storage and not mount.is_remote]
    assert points(local) == ["/", "/var", "/mnt/my disk", "/var/www", "/pool", "/home", "/btrfs", "/twice"]
    assert points([mount for mount in mounts if mount.is_storage and mount.is_remote]) == ["/srv/nfs", "/mnt/far"]


def test_a_root_of_any_type_is_storage_and_asked_in_the_loop() -> None:
    """A container's root is an overlay, that of a diskless host on the network."""
    for fstype in ("overlay", "nfs", "tmpfs", "9p"):
        mount = Mount("/", "none", fstype, "0:1", "/", read_only=False)
        assert mount.is_storage
        assert not mount.is_remote


def test_each_file_system_is_shown_once_where_most_of_it_is_seen() -> None:
    """A bind mount and a subvolume say nothing new; a mount that was asked for by name stays."""
    mounts = [mount for mount in parse_mountinfo(MOUNTINFO) if mount.is_storage]
    shown = points(once_each(mounts))
    assert "/" in shown
    assert "/var/www" not in shown
    assert [point for point in shown if point in ("/home", "/btrfs")] == ["/home"]
    named = points(once_each(mounts, keep={"/var/www", "/btrfs"}))
    assert "/var/www" in named
    assert [point for point in named if point in ("/home", "/btrfs")] == ["/btrfs"]


def test_fstab_tells_what_is_wanted() -> None:
    """Comments, short and broken lines are passed over; of ro and rw the last counts."""
    text = """
    # /dev/sdx /x ext4 ro 0 0
    UUID=1 / ext4 errors=remount-ro 0 1
    LABEL=media /mnt/my\\040disk vfat noatime,ro 0 0
    /dev/sdb /y xfs ro,rw
    /dev/sdc /z
    """
    assert parse_fstab(text) == {
        "/": Wanted("ext4", read_only=False),
        "/mnt/my disk": Wanted("vfat", read_only=True),
        "/y": Wanted("xfs", read_only=False),
    }


@pytest.mark.parametrize("parse", [parse_mountinfo, parse_fstab])
@given(text=st.text() | st.text(alphabet="ab/\\0 137-,:#\n", max_size=200))
def test_any_text_is_read(parse: object, text: str) -> None:
    """Lines that make no sense are none."""
    assert callable(parse)
    parse(text)
