"""Logical volumes of a real kernel: one in user space, as that which runs the tests may have no device mapper."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from functools import reduce
from pathlib import Path
from typing import Any

import pytest

from agent.backups.frozen.lvm import decode, spoiled
from agent.privileged.options import Privileged
from agent.privileged.sandbox import for_snapshots
from tests.agent.backups.frozen.test_mounts import RECORDED
from tests.require import require_program, require_root

# Root of the kernel is the file system of the host, read-only; what is written is in memory, or on the disk ubda. The
# scenario has the capabilities that root's half gives a job with snapshots, and no other.
INIT = """#!/bin/sh
export PATH=/usr/sbin:/usr/bin:/sbin:/bin PYTHONDONTWRITEBYTECODE=1 LVM_SUPPRESS_FD_WARNINGS=1
mount -t proc proc /proc; mount -t sysfs sys /sys; mount -t tmpfs run /run; mount -t tmpfs mnt /mnt
mkdir -p /run/lvm /run/lock/lvm /run/tmp /mnt/thick
export TMPDIR=/run/tmp
cat > /run/lvm/lvm.conf <<END
devices { use_devicesfile=0 global_filter=["a|/dev/ubda|","r|.*|"] obtain_device_list_from_udev=0 }
activation { udev_sync=0 udev_rules=0 monitoring=0 reserved_memory=0 reserved_stack=0 }
backup { backup=0 archive=0 }
END
mount --bind /run/lvm /etc/lvm
for module in dm-mod dm-bufio dm-snapshot; do
    busybox insmod /usr/lib/uml/modules/$(uname -r)/kernel/drivers/md/$module.ko
done
cd CHECKOUT
pvcreate -q -y /dev/ubda && vgcreate -q vg /dev/ubda && lvcreate -q -y -L 48M -n thick vg
mkfs.ext4 -q /dev/vg/thick && mount /dev/vg/thick /mnt/thick
lvcreate -q -y -s -n hostward-00000000-1-1-0 -L 4M vg/thick
setpriv --no-new-privs --bounding-set=-all,CAPABILITIES \\
    INTERPRETER -m tests.agent.backups.frozen.scenario /mnt/thick=4194304
lvcreate -q -y -s -n good -L 16M vg/thick; lvcreate -q -y -s -n full -L 4M vg/thick
head -c 9000000 /dev/zero > /mnt/thick/more; sync
lvs --reportformat json --units b --nosuffix -o vg_name,lv_name,lv_attr,segtype,data_percent,lv_health_status vg
echo o > /proc/sysrq-trigger
sleep 60
"""


@pytest.fixture(scope="module")
def said(tmp_path_factory: pytest.TempPathFactory, repository: Path) -> str:
    """What was printed by the kernel in user space, and in it."""
    require_root()
    for program in ("linux.uml", "lvcreate", "busybox", "mkfs.ext4"):
        require_program(program)
    folder = tmp_path_factory.mktemp("uml")
    with open(folder / "disk", "wb") as disk:
        os.truncate(disk.fileno(), 200 * 2**20)
    init = folder / "init"
    given = [name.removeprefix("CAP_").lower() for name in for_snapshots(Privileged()).capabilities]
    words = {"CHECKOUT": str(repository), "INTERPRETER": sys.executable, "CAPABILITIES": "+" + ",+".join(given)}
    init.write_text(reduce(lambda text, word: text.replace(*word), words.items(), INIT))
    init.chmod(0o755)
    command = ["linux.uml", "mem=300M", "rootfstype=hostfs", "rootflags=/", "ro", f"ubd0={folder / 'disk'}"]
    command += [f"init={init}", "con=null", "con0=null,fd:1", "quiet", f"uml_dir={folder}", "umid=kernel"]
    done = subprocess.run(
        command, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, timeout=110
    )
    return done.stdout.decode(errors="replace").replace("\r", "")


@pytest.fixture
def found(said: str) -> dict[str, Any]:
    """What the scenario saw."""
    match = re.search(r"^SEEN (.*)$", said, re.MULTILINE)
    assert match, said
    return dict(json.loads(match[1]))


def test_a_logical_volume_is_read_as_of_one_moment(found: dict[str, Any]) -> None:
    """What is written while the view is open is not in it, and is there afterwards; a dead run's snapshot goes with
    the next run, and its own with itself."""
    assert found["in the view"] == ["before", False] and found["outside"] == ["after", True]
    assert found["same inode"] and found["read-only"] and found["kind"] == ["lvm"]
    assert found["left before"] == 1 and found["afterwards"] == [] and found["told"] == []


def test_a_full_snapshot_is_noticed(found: dict[str, Any]) -> None:
    """Where more is changed than the snapshot has room for, it is lost; the run does not go on, and it is removed."""
    assert "had no room left for what was changed meanwhile" in found["full"]


def test_what_lvs_prints_is_what_is_on_record(said: str) -> None:
    """The answers of lvs by which test_mounts.py judges snapshots are those of a real one."""
    begin = said.index('{\n      "report"')
    printed = decode(said[begin : said.index("\n  }\n", begin) + 5].encode())
    assert {each.lv_name: bool(spoiled(each)) for each in printed} == {"good": False, "full": True, "thick": False}
    assert all(each.lv_attr == RECORDED[each.lv_name] for each in printed)
