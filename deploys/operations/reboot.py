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

    Leave is held until then. Raises StepError (`broken`) when it is not back within `limit` seconds, and
    PyinfraError when leave is refused.
    """
    note(host, Phase("waits for leave to reboot"))
    with permit(host, "reboot"):
        note(host, Phase("reboot"))
        before = run(host, _BOOT, failing="which boot this is, is not known", outcome="broken")
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
                    return
        raise StepError(f"the host did not come back from its reboot within {limit:.0f} s", "broken")
