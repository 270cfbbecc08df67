"""What the agent says of itself."""

from __future__ import annotations

import os
import resource
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.metrics.address import Address, parse
from agent.metrics.family import Family
from agent.metrics.own import agent, checks, home, jobs, readings, textfile
from agent.metrics.text import encode
from agent.metrics.told import Told
from agent.paths import System
from tests.agent.metrics.exporter import families
from tests.agent.metrics.told import NOW, told_of_all
from wire.report import Reading


def values(found: list[Family]) -> dict[str, float]:
    """`name label-value …` to the value."""
    return {
        " ".join([family.name + each.suffix, *each.labels.values()]): each.value
        for family in found
        for each in family.samples
    }


def test_how_checks_stand(tmp_path: Path) -> None:
    """One state of the four is 1."""
    found = values(checks.collect(told_of_all(tmp_path)))
    assert found["hostward_check_state web http critical"] == 1
    assert found["hostward_check_state web http ok"] == 0
    assert sum(value for name, value in found.items() if name.startswith("hostward_check_state web")) == 1
    assert found["hostward_check_last_run_timestamp_seconds root"] == NOW
    assert found["hostward_check_duration_seconds root"] == 0.25
    assert found["hostward_config_last_reload_successful"] == 1


def test_jobs(tmp_path: Path) -> None:
    """The last run, and the last that went well; none of a job that is not configured any more."""
    told = told_of_all(tmp_path)
    found = values(jobs.collect(told))
    assert found["hostward_job_last_outcome dump failed"] == 1
    assert found["hostward_job_last_outcome dump done"] == 0
    assert found["hostward_job_last_run_timestamp_seconds dump"] == NOW - 3600
    assert found["hostward_job_last_success_timestamp_seconds dump"] == NOW - 7195
    assert not values(jobs.collect(Told(told.system, told.folder, "1")))


def test_home_spool_and_what_was_lost(tmp_path: Path) -> None:
    """From the state, as `hostward status` has them."""
    found = values(home.collect(told_of_all(tmp_path)))
    assert found["hostward_home_enrolled"] == 1
    assert found["hostward_home_failing"] == 1
    assert found["hostward_home_last_delivery_timestamp_seconds"] == NOW - 30
    assert found["hostward_spool_reports"] == 1
    assert found["hostward_spool_bytes"] > 100
    assert found["hostward_gap_readings size"] == 40
    assert found["hostward_gap_reports refused"] == 0


def test_the_agents_process(tmp_path: Path) -> None:
    """Its own figures, as other ways of asking have them."""
    found = values(agent.collect(Told(System(), tmp_path, "1.2.3")))
    assert 0 <= found["process_cpu_seconds_total"] <= sum(os.times()[:2]) + 0.1
    assert found["process_max_fds"] == resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    assert 1e6 < found["process_resident_memory_bytes"] < found["process_virtual_memory_bytes"]
    assert found["process_open_fds"] >= 3


def told_readings(*given: Reading) -> list[Family]:
    by_check: dict[str, list[Reading]] = {}
    for reading in given:
        by_check.setdefault(reading.check, []).append(reading)
    return readings.collect(Told(System(), Path("/nonexistent"), "1", {}, by_check))


def test_readings_have_their_own_names() -> None:
    """With the check as a label; what Prometheus keeps for itself is called otherwise; nothing is there twice."""
    found = values(
        told_readings(
            Reading("root", "disk_used_percent", 80.0, "percent", {"mount": "/"}),
            Reading("root", "disk_used_percent", 81.0, "percent", {"mount": "/"}),
            Reading("srv", "disk_used_percent", 82.0, "percent", {"mount": "/"}),
            Reading("cpu", "cpu_count", 4.0),
            Reading("plugin", "a:b", 1.0, "", {"check": "mine"}),
        )
    )
    assert found == {
        "hostward_disk_used_percent root /": 80,
        "hostward_disk_used_percent srv /": 82,
        "hostward_cpu_count_value cpu": 4,
        "hostward_a_b plugin mine": 1,
    }


NAMES = st.sampled_from(["a", "a_total", "a_bucket", "a:b", "a_b", "_", "check_state", "Ab9"])
LABELS = st.sampled_from(["check", "exported_check", "le", "quantile", "__name__", "name", "_", "A1"])
READINGS = st.builds(
    Reading,
    st.sampled_from(["a", "b"]),
    NAMES,
    st.floats(),
    st.just(""),
    st.dictionaries(
        st.from_regex(r"[A-Za-z_][A-Za-z0-9_]{0,9}", fullmatch=True), st.text('a\\"\n é', max_size=5), max_size=3
    ),
)


@given(st.lists(READINGS, max_size=8))
def test_any_readings_make_a_text_that_can_be_read(many: list[Reading]) -> None:
    """Whatever a plugin calls them: no series twice, no label that there may not be."""
    text = encode(told_readings(*many)).decode("utf-8", "strict")
    series = [key for each in families(text).values() for key in each.values]
    assert len(series) == text.count("\n") - 2 * len(families(text))
    assert all(name.startswith("hostward_") and "check" in dict(labels) for name, labels in series)


def test_series_of_files_are_shown_as_they_are(tmp_path: Path) -> None:
    """With the files' ages; a file that is wrong is said to be, and takes nothing from the others."""
    (tmp_path / "a.prom").write_text('# HELP rows Rows.\n# TYPE rows gauge\nrows{table="x"} 5\n')
    (tmp_path / "b.prom").write_text('# TYPE t histogram\nt_bucket{le="+Inf"} 3\nt_sum 1.5\nt_count 3\n')
    told = Told(System(), tmp_path, "1", textfiles=[str(tmp_path)])
    found = values(textfile.collect(told))
    assert (found["rows x"], found["t_bucket +Inf"], found["t_sum"]) == (5, 3, 1.5)
    assert found["node_textfile_scrape_error"] == 0
    assert f"node_textfile_mtime_seconds {tmp_path}/a.prom" in found
    (tmp_path / "c.prom").write_text("not a metric\n")
    found = values(textfile.collect(told))
    assert (found["node_textfile_scrape_error"], found["rows x"]) == (1, 5)


def test_no_folder_of_files_is_no_error(tmp_path: Path) -> None:
    """As in node_exporter, whose folder need not exist."""
    told = Told(System(), tmp_path, "1", textfiles=[str(tmp_path / "none")])
    assert values(textfile.collect(told)) == {"node_textfile_scrape_error": 0}


@pytest.mark.parametrize("text", ["127.0.0.1:9843", "127.1.2.3:1", "[::1]:65535"])
def test_addresses_of_this_host_alone(text: str) -> None:
    """Are taken, and written as they were."""
    assert str(parse(text)) == text


@pytest.mark.parametrize(
    "text",
    [
        *("0.0.0.0:9843", "[::]:9843", "192.168.1.1:80", ":9843", "localhost:1", "127.0.0.1:0", "127.0.0.1:65536"),
        *("127.0.0.1", "::1:80", "[::ffff:127.0.0.1]:80", "127.0.0.256:80", "", "auto "),
    ],
)
def test_other_addresses_are_refused(text: str) -> None:
    """What others could reach, and what is none."""
    with pytest.raises(ValueError, match="address of this host alone"):
        parse(text)


@given(st.text())
def test_any_text_is_an_address_or_refused(text: str) -> None:
    """By the one documented error."""
    try:
        assert isinstance(parse(text), Address)
    except ValueError as error:
        assert "127.0.0.1:9843" in str(error)
