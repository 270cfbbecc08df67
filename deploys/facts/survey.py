"""How a host stands before and while it is patched: its agent, its disk, what is recorded on it."""

from __future__ import annotations

from typing import Any

import msgspec

from deploys.facts.kernels import KERNELS, waits
from deploys.rules.backups import Backup
from wire.status import Status

FOLDER = "/var/lib/hostward-deploys/patch"
"""What is recorded of a patch, on the host."""
LEASE = "/run/hostward-deploys/lease.json"
"""Who is at work on the host; it does not outlive a boot."""
UNIT = "hostward-patch.service"
"""In which the package manager runs, so that it ends whatever becomes of who started it."""


SCRIPT = f"""\
unit={UNIT}
PATH=$PATH:/usr/sbin:/sbin:/usr/local/bin
manager=null systemd=false root=false going=false reboot=false installed=false status= backups=
if command -v apt-get && [ -e /var/lib/dpkg/status ]; then manager='"apt"'; elif command -v dnf; then manager='"dnf"'
fi >/dev/null
[ ! -d /run/systemd/system ] || systemd=true
[ "$(id -u)" != 0 ] || root=true
! systemctl is-active --quiet $unit || going=true
[ ! -e /run/reboot-required ] || reboot=true
kernels=$(set -f; echo $({KERNELS}) | tr -d '"\\\\')
if command -v hostward >/dev/null; then
    installed=true
    status=$(hostward status --json 2>/dev/null)
    backups=$(hostward backup status --json 2>/dev/null)
fi
record=$(cat {FOLDER}/record.json 2>/dev/null)
lease=$(cat {LEASE} 2>/dev/null)
free() {{ stat -f -c '{{"free":%f,"size":%S}}' "$1" 2>/dev/null || echo null; }}
cat <<END
{{"manager":$manager,"systemd":$systemd,"root":$root,"going":$going,"reboot":$reboot,"installed":$installed,
"boot":"$(cat /proc/sys/kernel/random/boot_id)","uptime":$(cut -d' ' -f1 /proc/uptime),
"space":{{"/":$(free /),"/boot":$(free /boot),"/var":$(free /var)}},
"kernels":"$kernels",
"status":${{status:-null}},"backups":${{backups:-null}},"record":${{record:-null}},"lease":${{lease:-null}}}}
END
"""
"""Prints a Survey as JSON; it changes nothing."""


class Backups(msgspec.Struct, frozen=True):
    """The jobs."""

    jobs: tuple[Backup, ...]


class Space(msgspec.Struct, frozen=True):
    """What is free on a file system."""

    free: int
    """Blocks that root can still write."""
    size: int
    """Bytes of a block."""


class Lease(msgspec.Struct, frozen=True):
    """Who is at work on the host, until when by its own uptime in seconds."""

    holder: str
    until: float
    boot: str


class Survey(msgspec.Struct, frozen=True):
    """All of it."""

    manager: str | None
    systemd: bool
    root: bool
    boot: str
    """The kernel's name for this boot."""
    uptime: float
    """Seconds."""
    space: dict[str, Space | None]
    """By folder; None where there is no such folder."""
    installed: bool
    """Whether the agent is."""
    status: Status | None
    backups: Backups | None
    reboot: bool
    """Whether packages ask for one."""
    kernels: str
    """As `facts.kernels` prints them, on a line."""
    record: dict[str, Any] | None
    """Of a patch that did not come to its end."""
    lease: Lease | None
    going: bool
    """Whether the package manager runs in our unit."""

    @property
    def needs_reboot(self) -> bool:
        """Whether packages ask for one, or a newer kernel is there."""
        return self.reboot or waits(self.kernels)

    @property
    def free(self) -> dict[str, int]:
        """Folder to the bytes that root can still write in it."""
        return {path: space.free * space.size for path, space in self.space.items() if space is not None}


def parse(output: str) -> Survey:
    """Raises ValueError."""
    return msgspec.json.decode(output.encode(), type=Survey)
