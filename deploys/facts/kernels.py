"""Whether a kernel waits for a reboot. Packages ask for one only where another package of Debian's or Ubuntu's is."""

from __future__ import annotations

from kit.kernels import newer_kernel

KERNELS = (
    "uname -r; find /boot -maxdepth 1 -name 'vmlinuz-*' "
    "-newerct @$(sed -n 's/^btime //p' /proc/stat) -printf '%f\\n' 2>/dev/null"
)
"""Prints what `waits` reads: what runs, and what was installed since the boot. One from before it was not chosen."""


def waits(said: str) -> bool:
    """Whether a newer kernel than the one that runs was installed since the boot."""
    running, *images = said.split() or [""]
    return newer_kernel(running, (image.removeprefix("vmlinuz-") for image in images)) is not None
