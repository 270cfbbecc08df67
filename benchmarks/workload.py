"""Readings such as a web server with two disks sends: 58 of them, from nine checks, every 15 s.

Some never change, some are counted, some come in pages of memory, and some are quotients with all the digits that
a float has; those are what history finds hardest.
"""

from __future__ import annotations

import random
from collections.abc import Iterator

from wire.report import Reading

PAGE = 4096
MEMORY = 8_331_153_408
MOUNTS = {"/": 100e9, "/var": 20e9, "/boot": 2e9}
INTERVAL = 15.0


class Host:
    """One host, the same for the same `seed`."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._cpu = 10.0
        self._memory = 4e9
        self._load = dict.fromkeys(("1m", "5m", "15m"), 0.5)
        self._used = {mount: size * self._random.uniform(0.1, 0.8) for mount, size in MOUNTS.items()}
        self._processes = 120

    def sample(self, time: float) -> list[Reading]:
        """What is measured at about `time`: check after check, each a millisecond or so after the one before."""
        readings: list[Reading] = []
        for check, measured in self._checks():
            time += self._random.uniform(0.0005, 0.002)
            readings += (Reading(check, name, value, unit, labels, time) for name, value, unit, labels in measured)
        return readings

    def _checks(self) -> Iterator[tuple[str, list[tuple[str, float, str, dict[str, str]]]]]:
        yield "cpu", self._processor()
        yield "memory", self._main_memory()
        yield "disk", self._file_systems()
        yield "disk_io", self._disk_io()
        yield "network", self._network()
        chance = self._random
        units = [("systemd_unit_active", 1.0, "", {"unit": unit}) for unit in ("nginx.service", "ssh.service")]
        yield "systemd", [("systemd_units_failed", 0.0, "", {}), *units]
        yield (
            "http",
            [
                ("http_up", 1.0, "", {}),
                ("http_response_seconds", chance.lognormvariate(-3, 0.3), "seconds", {}),
                ("http_status_code", 200.0, "", {}),
            ],
        )
        yield "tcp", [("tcp_connect_seconds", chance.lognormvariate(-6, 0.3), "seconds", {})]
        self._processes += chance.choice([-1, 0, 0, 0, 1])
        yield (
            "process",
            [
                ("process_count", float(self._processes), "", {}),
                ("process_memory_bytes", float(100_000_000 + chance.randint(0, 50) * PAGE), "bytes", {}),
                ("process_cpu_percent", chance.randint(0, 20) / self._elapsed(), "percent", {}),
            ],
        )

    def _elapsed(self) -> float:
        return INTERVAL + self._random.gauss(0, 0.002)

    def _processor(self) -> list[tuple[str, float, str, dict[str, str]]]:
        chance = self._random
        self._cpu = min(max(self._cpu + chance.gauss(0, 3) + (8 - self._cpu) * 0.1, 0.3), 99.0)
        total = 3000 + chance.randint(-2, 2)
        shares = {
            "cpu_used_percent": int(total * self._cpu / 100),
            "cpu_iowait_percent": chance.choice([0, 0, 0, 1, 2, 5]),
            "cpu_steal_percent": chance.choice([0, 0, 0, 0, 1]),
        }
        for window, ticks in (("1m", 4), ("5m", 20), ("15m", 60)):
            self._load[window] += (self._cpu / 40 - self._load[window]) / ticks
        return [
            *((name, 100 * share / total, "percent", {}) for name, share in shares.items()),
            ("cpu_count", 2.0, "", {}),
            *(("load_average", round(load, 2), "", {"window": window}) for window, load in self._load.items()),
        ]

    def _main_memory(self) -> list[tuple[str, float, str, dict[str, str]]]:
        self._memory += self._random.gauss(0, 4e6)
        used = self._memory // PAGE * PAGE
        return [
            ("memory_total_bytes", float(MEMORY), "bytes", {}),
            ("memory_used_bytes", used, "bytes", {}),
            ("memory_available_bytes", MEMORY - used, "bytes", {}),
            ("memory_used_percent", 100 * used / MEMORY, "percent", {}),
            ("swap_used_percent", 0.0, "percent", {}),
            ("swap_used_bytes", 0.0, "bytes", {}),
        ]

    def _file_systems(self) -> list[tuple[str, float, str, dict[str, str]]]:
        found: list[tuple[str, float, str, dict[str, str]]] = []
        for mount, size in MOUNTS.items():
            if mount != "/boot" and self._random.random() < 0.4:
                self._used[mount] += self._random.randint(-3, 10) * PAGE
            used = self._used[mount] // PAGE * PAGE
            labels = {"mount": mount, "device": "/dev/sda1", "fstype": "ext4"}
            found += [
                ("disk_total_bytes", size, "bytes", labels),
                ("disk_used_bytes", used, "bytes", labels),
                ("disk_free_bytes", size - used, "bytes", labels),
                ("disk_used_percent", 100 * used / size, "percent", labels),
                ("disk_inodes_used_percent", 100 * (used // 20_000) / (size // 16_384), "percent", labels),
                ("disk_read_only", 0.0, "", labels),
            ]
        return found

    def _disk_io(self) -> list[tuple[str, float, str, dict[str, str]]]:
        chance, elapsed, labels = self._random, self._elapsed(), {"device": "sda"}
        reads = chance.choice([0, 0, 0, chance.randint(1, 50)])
        writes = chance.randint(0, 80)
        return [
            ("disk_read_bytes_per_second", reads * 8 * PAGE / elapsed, "bytes/s", labels),
            ("disk_written_bytes_per_second", writes * 4 * PAGE / elapsed, "bytes/s", labels),
            ("disk_reads_per_second", reads / elapsed, "1/s", labels),
            ("disk_writes_per_second", writes / elapsed, "1/s", labels),
            ("disk_busy_percent", chance.randint(0, 60) / 10 / elapsed, "percent", labels),
        ]

    def _network(self) -> list[tuple[str, float, str, dict[str, str]]]:
        found: list[tuple[str, float, str, dict[str, str]]] = []
        for interface, traffic in (("eth0", 900_000), ("eth1", 0)):
            elapsed, labels = self._elapsed(), {"interface": interface}
            for way in ("received", "sent"):
                rate = self._random.randint(0, traffic) / elapsed
                found.append((f"network_{way}_bytes_per_second", rate, "bytes/s", labels))
            for way in ("receive", "send"):
                found += ((f"network_{way}_{what}_per_second", 0.0, "1/s", labels) for what in ("errors", "drops"))
        return found
