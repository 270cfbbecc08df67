"""docs/metrics.md: its table is what the real node_exporter has, its snippets are what Prometheus takes."""

from __future__ import annotations

import fnmatch
import re
import subprocess
from pathlib import Path

import pytest

from agent.metrics import registry
from agent.metrics.address import DEFAULT
from agent.metrics.scrape import Scraper
from agent.metrics.told import Told
from agent.paths import System
from tests.agent.metrics.exporter import node_exporter
from tests.agent.metrics.told import told_of_all
from tests.require import require_program

ROW = re.compile(r"^\| `([a-z_0-9]+)` \| (`node_.*`) \| (yes|no)(.*) \|$", re.MULTILINE)
OWN = re.compile(r"^\| `(hostward_\w+)` \|([^|]*)\|", re.MULTILINE)


@pytest.fixture(scope="module")
def page() -> str:
    """The page."""
    return (Path(__file__).resolve().parents[3] / "docs" / "metrics.md").read_text()


def test_the_table_has_every_collector_of_node_exporter(page: str, tmp_path: Path) -> None:
    """Each that the real one enables by itself, and none else; `yes` is what is registered, `no` has a reason."""
    rows = {name: (shown, note) for name, _, shown, note in ROW.findall(page)}
    with node_exporter(tmp_path) as exporter:
        assert exporter.collectors() == rows.keys()
    assert {name for name, (shown, _) in rows.items() if shown == "yes"} == {*registry.NODE, "textfile"}
    assert all(note.startswith(": ") for shown, note in rows.values() if shown == "no")


def test_the_table_tells_of_every_family(page: str, tmp_path: Path) -> None:
    """What the real one shows of this host stands under a row; where that says yes, it is shown here too."""
    ours = {family.name for family in Scraper().scrape(Told(System(), tmp_path, "1"))}
    with node_exporter(tmp_path) as exporter:
        theirs = set(re.findall(r"^# TYPE (node_\w+)", exporter.text(), re.MULTILINE))
    rows = [(re.findall(r"`([^`]+)`", patterns), shown) for _, patterns, shown, _ in ROW.findall(page)]
    for name in theirs:
        if name.startswith(("node_exporter_", "node_scrape_")):
            continue
        said = {shown for patterns, shown in rows if any(fnmatch.fnmatchcase(name, each) for each in patterns)}
        assert said == {"yes" if name in ours else "no"}, name


def test_the_agents_own_metrics_are_all_on_the_page(page: str, tmp_path: Path) -> None:
    """With their labels."""
    documented = {name: set(re.findall(r"`(\w+)`", labels)) for name, labels in OWN.findall(page)}
    found = {
        family.name: {label for sample in family.samples for label in sample.labels}
        for family in Scraper().scrape(told_of_all(tmp_path))
        if family.name.startswith("hostward_") and "Measured by" not in family.help
    }
    assert found == documented


def test_prometheus_takes_the_snippets(page: str, tmp_path: Path) -> None:
    """The configuration and the rules, as promtool judges them; the port is the one that is the default."""
    promtool = require_program("promtool")
    config, rules = re.findall(r"```yaml\n(.*?)```", page, re.DOTALL)
    assert str(DEFAULT) in config
    for kind, text in (("config", config), ("rules", rules)):
        file = tmp_path / f"{kind}.yml"
        file.write_text(text)
        done = subprocess.run([promtool, "check", kind, file], capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr


def test_the_rules_use_metrics_that_there_are(page: str, tmp_path: Path) -> None:
    """None of them is silent because of a name."""
    ours = families_of(tmp_path)
    for name in re.findall(r"\b((?:hostward|node)_\w+)\{?", "".join(re.findall(r"expr: (.*)", page))):
        assert name in ours


def families_of(folder: Path) -> set[str]:
    return {family.name for family in Scraper().scrape(told_of_all(folder))}
