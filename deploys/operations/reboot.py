"""A reboot that is known to have happened."""

from __future__ import annotations

import time
from contextlib import suppress

from pyinfra.api.host import Host

from deploys.kit.notes import Phase, note
from deploys.kit.permits import permit
from deploys.operations.connection import LOST, drop, reconnect
from deploys.operations.fail import StepError
from deploys.operations.run import ran, run

_BOOT = "cat /proc/sys/kernel/random/boot_id"


def reboot(host: Host, limit: float) -> None:
    """Reboot, once there is leave to, and return when the host is back with another boot id.

    Leave is held until then; where it was lost before the reboot was asked for, it is waited for again. Raises
    StepError (`broken`) when it is not back within `limit` seconds, and PyinfraError when leave is refused.
    """
    note(host, Phase("waits for leave to reboot"))
    while not _rebooted(host, limit):
        note(host, Phase("lost its leave before it rebooted, and waits for it again"))


def _rebooted(host: Host, limit: float) -> bool:
    """Reboot with leave. False where that was lost: nothing was done then. Raises as `reboot` does."""
    with permit(host, "reboot") as holds:
        note(host, Phase("reboot"))
        before = run(host, _BOOT, failing="which boot this is, is not known", outcome="broken")
        if not holds():
            return False
        # The answer comes before the host goes down.
        said = ran(host, "systemd-run --quiet --collect sh -c 'sleep 1; systemctl reboot'")
        if not said.ok:
            raise StepError(f"the reboot could not be asked for: {said.complaint}", "broken")
        end = time.monotonic() + limit
        drop(host)
        while time.monotonic() < end:
            time.sleep(1.0)
            with suppress(*LOST):
                if not reconnect(host, end - time.monotonic()):
                    continue
                said = ran(host, _BOOT, timeout=30)
                # While a host goes down or comes up, commands may fail: that says nothing.
                if said.ok and said.output and said.output != before:
                    return True
        raise StepError(f"the host did not come back from its reboot within {limit:.0f} s", "broken")
