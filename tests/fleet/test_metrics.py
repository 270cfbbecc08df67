"""The metrics under the agent's real unit: its sandbox takes none of the host's figures away."""

from __future__ import annotations

from prometheus_client.parser import text_string_to_metric_families

from tests.fleet.homes import UNIT, until
from tests.fleet.host import Host

URL = "http://127.0.0.1:9843/metrics"
UNCONFINED = """
from pathlib import Path
from agent.metrics.scrape import Scraper
from agent.metrics.text import encode
from agent.metrics.told import Told
from agent.paths import System
print(encode(Scraper().scrape(Told(System(), Path("/var/lib/hostward"), "0"))).decode(), end="")
"""


def shown(text: str) -> tuple[set[str], set[str]]:
    """The collectors that succeeded, and the names and labels of the host's series."""
    succeeded, series = set(), set()
    for family in text_string_to_metric_families(text):
        for sample in family.samples:
            if sample.name == "node_scrape_collector_success" and sample.value:
                succeeded.add(sample.labels["collector"])
            elif sample.name.startswith("node_") and not sample.name.startswith("node_scrape_"):
                series.add(f"{sample.name}{sorted(sample.labels.items())}")
    return succeeded, series


def test_the_sandbox_hides_no_figure_from_a_scrape(host: Host) -> None:
    """Every collector that succeeds for root without a sandbox does so in the unit, and has the same series, but for
    file systems: docs/metrics.md says that the mounts are those that the unit sees."""
    host.run(f"systemctl start {UNIT}")
    until(lambda: host.run(f"curl --fail --silent {URL} -o /dev/null", check=False).returncode == 0, "it is scraped")
    confined, in_unit = shown(host.run(f"curl --fail --silent {URL}").stdout)
    host.write("/srv/scrape.py", UNCONFINED)
    free, outside = shown(host.run("/opt/hostward/current/bin/python /srv/scrape.py").stdout)
    assert free
    assert {name for name in free if not name.startswith("hostward_")} <= confined
    missing = {each for each in outside - in_unit if not each.startswith("node_filesystem_")}
    assert missing == set()
    assert {each for each in in_unit if each.startswith("node_filesystem_size_bytes")}
