"""Memory errors that were corrected, and those that were not."""

from __future__ import annotations

import re

from agent.metrics.family import Family, counter
from agent.metrics.files import entries, whole
from agent.paths import System

_CONTROLLER = re.compile(r"mc(\d+)")
_ROW = re.compile(r"csrow(\d+)")


def collect(system: System) -> list[Family]:
    """/sys/devices/system/edac/mc (Documentation/admin-guide/ras.rst)."""
    kinds = {"correctable": "ce", "uncorrectable": "ue"}
    wholes = {kind: counter(f"node_edac_{kind}_errors_total", f"Total {kind} memory errors.") for kind in kinds}
    rows = {
        kind: counter(f"node_edac_csrow_{kind}_errors_total", f"Total {kind} memory errors for this csrow.")
        for kind in kinds
    }
    for controller in entries(system.path("sys", "devices", "system", "edac", "mc")):
        if not (match := _CONTROLLER.fullmatch(controller.name)):
            continue
        for kind, short in kinds.items():
            if (count := whole(controller / f"{short}_count")) is not None:
                wholes[kind].add(count, controller=match[1])
            if (count := whole(controller / f"{short}_noinfo_count")) is not None:
                rows[kind].add(count, controller=match[1], csrow="unknown")
        for row in entries(controller):
            if not (named := _ROW.fullmatch(row.name)):
                continue
            for kind, short in kinds.items():
                if (count := whole(row / f"{short}_count")) is not None:
                    rows[kind].add(count, controller=match[1], csrow=named[1])
    return [*wholes.values(), *rows.values()]
