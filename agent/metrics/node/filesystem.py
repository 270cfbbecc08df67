"""Space and inodes of mounted file systems.

Only file systems that answer by themselves are asked: one that depends on another machine or on a program may keep
its caller for ever, and a scrape with it. Those are shown with node_filesystem_device_error 1, and the check
`remote_disk`, whose runs can be killed, has their figures.
"""

from __future__ import annotations

import os
import re

from agent.checks.mounts import Mount, parse_mountinfo
from agent.metrics.family import Family, gauge
from agent.metrics.files import text
from agent.paths import System

EXCLUDED_POINTS = re.compile(r"^/(dev|proc|run|sys|mnt|media|var/lib/docker/.+|var/lib/containers/storage/.+)($|/)")
EXCLUDED_TYPES = frozenset(
    {"autofs", "binfmt_misc", "bpf", "cgroup", "cgroup2", "configfs", "debugfs", "devpts", "devtmpfs", "fusectl"}
    | {"hugetlbfs", "iso9660", "mqueue", "nsfs", "overlay", "proc", "procfs", "pstore", "rpc_pipefs"}
    | {"securityfs", "selinuxfs", "squashfs", "sysfs", "tracefs"}
)
"""What node_exporter of Debian leaves out by default, as the points above."""


def collect(system: System) -> list[Family]:
    """The mount table, and statvfs(3) of each mount."""
    avail = gauge("node_filesystem_avail_bytes", "Filesystem space available to non-root users in bytes.")
    error = gauge(
        "node_filesystem_device_error",
        "Whether an error occurred while getting statistics for the given device.",
    )
    files = gauge("node_filesystem_files", "Filesystem total file nodes.")
    files_free = gauge("node_filesystem_files_free", "Filesystem total free file nodes.")
    free = gauge("node_filesystem_free_bytes", "Filesystem free space in bytes.")
    read_only = gauge("node_filesystem_readonly", "Filesystem read-only status.")
    size = gauge("node_filesystem_size_bytes", "Filesystem size in bytes.")
    for mount in _mounts(system):
        labels = {"device": mount.device, "mountpoint": mount.point, "fstype": mount.fstype}
        answer = None if mount.is_remote else _ask(system, mount)
        error.add(int(answer is None), **labels)
        if answer is None:
            continue
        size.add(answer.f_blocks * answer.f_frsize, **labels)
        free.add(answer.f_bfree * answer.f_frsize, **labels)
        avail.add(answer.f_bavail * answer.f_frsize, **labels)
        files.add(answer.f_files, **labels)
        files_free.add(answer.f_ffree, **labels)
        read_only.add(int(mount.read_only), **labels)
    return [avail, error, files, files_free, free, read_only, size]


def chosen(mounts: list[Mount], *, own_view: bool) -> list[Mount]:
    """Those that are shown.

    `own_view`: the table is that of the agent's sandbox, where folders are mounted over themselves to be read-only;
    a part of a file system that is mounted as a whole as well is left out there.
    """
    wholes = {mount.number for mount in mounts if mount.root == "/"}
    return [
        mount
        for mount in mounts
        if mount.fstype not in EXCLUDED_TYPES
        and not EXCLUDED_POINTS.match(mount.point)
        and not (own_view and mount.root != "/" and mount.number in wholes)
    ]


def _mounts(system: System) -> list[Mount]:
    try:
        return chosen(parse_mountinfo(text(system.path("proc", "1", "mountinfo"))), own_view=False)
    except OSError:  # it belongs to root
        return chosen(parse_mountinfo(text(system.path("proc", "self", "mountinfo"))), own_view=True)


def _ask(system: System, mount: Mount) -> os.statvfs_result | None:
    try:
        return os.statvfs(system.path(mount.point.lstrip("/")))
    except OSError:
        return None
