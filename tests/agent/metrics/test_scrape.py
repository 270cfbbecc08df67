"""One scrape of everything."""

from __future__ import annotations

import logging
from pathlib import Path
from types import SimpleNamespace

import pytest

from agent.metrics import registry, scrape
from agent.metrics.family import Family, gauge
from agent.metrics.scrape import Scraper
from agent.metrics.told import Told
from agent.paths import System
from tests.agent.metrics.told import told_of_all


def collectors(monkeypatch: pytest.MonkeyPatch, **found: object) -> None:
    """These, each with the families or the error that it has, are all there are."""

    def load(name: str) -> object:
        def collect(_: object) -> object:
            if isinstance(found[name], Exception):
                raise found[name]  # type: ignore[misc]
            return found[name]

        return collect

    monkeypatch.setattr(scrape, "registry", SimpleNamespace(NODE=dict.fromkeys(found, ""), OWN={}, node=load))


def by_name(families: list[Family]) -> dict[str, Family]:
    assert [family.name for family in families] == sorted(family.name for family in families)
    return {family.name: family for family in families}


def told(folder: Path) -> Told:
    return Told(System(), folder, "1")


def test_one_that_fails_takes_nothing_from_the_others(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    """It counts as without success, and its error is logged once, however often it is asked."""
    collectors(monkeypatch, bad=ValueError("no such number"), good=[gauge("a", "", 1)])
    scraper = Scraper()
    with caplog.at_level(logging.WARNING):
        scraper.scrape(told(tmp_path))
        found = by_name(scraper.scrape(told(tmp_path)))
    assert found["a"].samples[0].value == 1
    success = {each.labels["collector"]: each.value for each in found["node_scrape_collector_success"].samples}
    assert success == {"bad": 0, "good": 1}
    assert len(found["node_scrape_collector_duration_seconds"].samples) == 2
    assert [record.getMessage() for record in caplog.records] == [
        "metrics: the collector bad fails: ValueError: no such number"
    ]


def test_a_name_belongs_to_the_first_that_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Prometheus refuses a text that has a family twice."""
    collectors(monkeypatch, one=[gauge("a", "first", 1)], two=[gauge("a", "second", 2), gauge("b", "", 3)])
    found = by_name(Scraper().scrape(told(tmp_path)))
    assert (found["a"].help, found["b"].samples[0].value) == ("first", 3)


def test_there_is_an_end_to_the_series(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """What is beyond it is left out, and counted."""
    monkeypatch.setattr(scrape, "MOST_SERIES", 10)
    many = gauge("a", "")
    for number in range(25):
        many.add(number, n=str(number))
    collectors(monkeypatch, one=[many], two=[gauge("b", "", 1)])
    found = by_name(Scraper().scrape(told(tmp_path)))
    assert len(found["a"].samples) == 10
    assert "b" not in found
    assert found["hostward_scrape_dropped_series"].samples[0].value == 16


def test_every_collector_has_its_module_and_every_module_its_name() -> None:
    """The registry is complete."""
    for folder, names in (("node", registry.NODE), ("own", registry.OWN)):
        files = (Path(registry.__file__).parent / folder).glob("[a-z]*.py")
        assert {file.stem for file in files} == set(names.values())


def test_a_state_that_cannot_be_read_leaves_the_host_in_sight(tmp_path: Path) -> None:
    """Of the agent's own, those that need no state are there too."""
    told_ = told_of_all(tmp_path)
    (tmp_path / "agent.db").write_bytes(b"not a database" * 1000)
    for name in ("agent.db-wal", "agent.db-shm"):
        (tmp_path / name).unlink(missing_ok=True)
    found = by_name(Scraper().scrape(told_))
    success = {each.labels["collector"]: each.value for each in found["node_scrape_collector_success"].samples}
    assert (success["hostward_home"], success["hostward_jobs"], success["hostward_checks"]) == (0, 0, 1)
    assert "node_load1" in found
