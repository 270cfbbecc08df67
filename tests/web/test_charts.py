"""Which charts a host page draws."""

from __future__ import annotations

from collections import Counter

from hypothesis import given
from hypothesis import strategies as st

from collector.api.shapes import Series
from collector.web.charts import FAMILIES, arrange
from tests.web.made import series

names = st.sampled_from([*(name for family in FAMILIES for name in family.measurements), "queue_length", "x", ""])
labels = st.dictionaries(st.sampled_from(["mount", "device", "a", "b"]), st.sampled_from(["", "/", "x", "1m"]))
found = st.builds(
    Series,
    check=st.sampled_from(["cpu", "shop"]),
    name=names,
    unit=st.sampled_from(["", "percent"]),
    labels=labels,
    times=st.just([0.0]),
    values=st.just([1.0]),
)
unique = st.lists(
    found, unique_by=lambda one: (one.check, one.name, one.unit, tuple(sorted(one.labels.items()))), max_size=30
)


@given(unique)
def test_every_series_is_one_line_of_one_chart(all_series: list[Series]) -> None:
    """Known or not, nothing that was measured is left out, and no line is taken for another."""
    charts = arrange(all_series)
    assert sum(len(chart.lines) for chart in charts) == len(all_series)
    assert max(Counter(chart.id for chart in charts).values(), default=1) == 1
    for chart in charts:
        assert len({line.key for line in chart.lines}) == len(chart.lines)
        assert chart.title.strip() or not all(one.name for one in all_series)


@given(unique)
def test_a_chart_keeps_its_name_and_its_lines_theirs_when_only_some_have_news(all_series: list[Series]) -> None:
    """A small answer is added to what an earlier, larger one drew."""
    whole = {chart.id: {line.key for line in chart.lines} for chart in arrange(all_series)}
    for chart in arrange(all_series[::2]):
        assert {line.key for line in chart.lines} <= whole[chart.id]


def test_cpu_memory_and_disks_come_first_and_what_nobody_knows_last() -> None:
    """The order in which an administrator looks."""
    charts = arrange(
        [
            series("queue_length", "shop"),
            series("disk_used_percent", "disk", "percent", mount="/"),
            series("cpu_used_percent", "cpu", "percent"),
            series("memory_used_percent", "memory", "percent"),
        ]
    )
    assert [(chart.title, chart.more) for chart in charts] == [
        ("CPU", False),
        ("Memory", False),
        ("Disk space used", False),
        ("Queue length", True),
    ]


def test_a_line_is_named_by_what_tells_it_from_the_others() -> None:
    """Not by everything that is known of it."""
    [disks] = arrange(
        [
            series("disk_used_percent", unit="percent", mount="/", device="/dev/sda1", fstype="ext4"),
            series("disk_used_percent", unit="percent", mount="/var", device="/dev/sda2", fstype="xfs"),
        ]
    )
    assert [line.label for line in disks.lines] == ["/", "/var"]
    [alone] = arrange([series("disk_used_percent", unit="percent", mount="/", device="/dev/sda1")])
    assert [line.label for line in alone.lines] == ["/"]
    [network] = arrange(
        [
            series("network_received_bytes_per_second", unit="bytes/s", interface="eth0"),
            series("network_sent_bytes_per_second", unit="bytes/s", interface="eth0"),
        ]
    )
    assert [line.label for line in network.lines] == ["in", "out"]


def test_windows_come_from_short_to_long() -> None:
    """1m, 5m, 15m: by number, not by letter."""
    [load] = arrange([series("load_average", window=window) for window in ("15m", "5m", "1m")])
    assert [line.label for line in load.lines] == ["1m", "5m", "15m"]


def test_checks_of_one_kind_have_charts_of_their_own() -> None:
    """Two endpoints, two charts."""
    charts = arrange([series("http_response_seconds", check, "seconds") for check in ("shop", "blog")])
    assert [(chart.title, chart.check) for chart in charts] == [("Response time", "blog"), ("Response time", "shop")]
