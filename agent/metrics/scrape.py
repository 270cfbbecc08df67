"""One scrape: every collector in turn, timed; one that fails takes nobody else's figures away."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Iterable
from functools import partial

from agent.metrics import registry
from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError
from agent.metrics.told import Told

log = logging.getLogger(__name__)

MOST_SERIES = 20_000
"""In one scrape. What is beyond, in the order of the collectors, is left out and counted."""


class Scraper:
    """Remembers which collectors have failed, so that each says so once."""

    def __init__(self) -> None:
        self._complained: set[str] = set()

    def scrape(self, told: Told, *, clock: Callable[[], float] = time.perf_counter) -> list[Family]:
        """All families, each name once: the first that has it keeps it."""
        duration = gauge("node_scrape_collector_duration_seconds", "node_exporter: Duration of a collector scrape.")
        success = gauge("node_scrape_collector_success", "node_exporter: Whether a collector succeeded.")
        dropped = gauge("hostward_scrape_dropped_series", "Series that were left out, because there were too many.")
        families = {family.name: family for family in (duration, success, dropped)}
        left, lost = MOST_SERIES, 0
        collectors: list[tuple[str, Callable[[], Iterable[Family]]]] = [
            *((name, partial(_node, name, told)) for name in registry.NODE),
            *((name, partial(_own, name, told)) for name in registry.OWN),
        ]
        for name, collect in collectors:
            began = clock()
            found = self._run(name, collect)
            for family in found or ():
                if family.name in families:
                    continue
                lost += max(0, len(family.samples) - left)
                del family.samples[left:]
                left -= len(family.samples)
                if family.samples:
                    families[family.name] = family
            duration.add(clock() - began, collector=name)
            success.add(int(found is not None), collector=name)
        dropped.add(lost)
        return [families[name] for name in sorted(families)]

    def _run(self, name: str, collect: Callable[[], Iterable[Family]]) -> list[Family] | None:
        try:
            found = list(collect())
        except NoDataError:
            return None
        except Exception as error:
            # Whatever a kernel, a driver or a damaged file makes of a collector, the others have their say.
            if name not in self._complained:
                self._complained.add(name)
                log.warning("metrics: the collector %s fails: %s: %s", name, type(error).__name__, error)
            return None
        self._complained.discard(name)
        return found


def _node(name: str, told: Told) -> Iterable[Family]:
    return registry.node(name)(told.system)


def _own(name: str, told: Told) -> Iterable[Family]:
    return registry.own(name)(told)
