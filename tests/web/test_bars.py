"""Small charts."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from collector.api.backup_shapes import Size, Tried
from collector.web.bars import HEIGHT, SHOWN_DAYS, SHOWN_DRILLS, WIDTH, Bars, of_drills, of_sizes

spans = st.none() | st.floats(0, 1e9)
drills = st.builds(
    Tried,
    time=st.floats(0, 4e9),
    held=st.booleans(),
    recovery_point=spans,
    recovery_time=spans,
    estimated=st.booleans(),
)


def fits(drawn: Bars) -> bool:
    return all(
        0 <= bar.x <= bar.x + bar.width <= WIDTH + 0.01 and 0 <= bar.y <= bar.y + bar.height <= HEIGHT + 0.01
        for bar in drawn.bars
    )


@settings(max_examples=50)
@given(st.lists(drills, max_size=40), spans)
def test_every_chart_of_drills_fits(tried: list[Tried], target: float | None) -> None:
    """A bar for each of the newest, whatever was measured, and the line of the target within."""
    drawn = of_drills(tried, target)
    assert fits(drawn)
    assert len(drawn.bars) == min(len(tried), SHOWN_DRILLS)
    assert drawn.target is None or 0 <= drawn.target <= HEIGHT


@settings(max_examples=50)
@given(
    st.lists(st.tuples(st.integers(0, 20_000), st.integers(0, 1 << 53)), max_size=20, unique_by=lambda day: day[0])
)
def test_every_chart_of_sizes_fits(days: list[tuple[int, int]]) -> None:
    drawn = of_sizes([Size(time=day * 86_400.0 - 3, bytes=size, added=0) for day, size in sorted(days)])
    assert fits(drawn)
    assert len(drawn.bars) <= SHOWN_DAYS


def tried(time: float | None, *, held: bool = True, estimated: bool = False) -> Tried:
    return Tried(time=1.0, held=held, recovery_point=1.0, recovery_time=time, estimated=estimated)


def test_a_drill_that_failed_or_missed_its_target_stands_out() -> None:
    """The newest stands at the right edge; the words say what is seen."""
    given = [tried(60.0), tried(30.0, estimated=True), tried(None, held=False), tried(7200.0)]
    drawn = of_drills(given, 3600.0)
    assert [bar.look for bar in drawn.bars] == ["ok", "estimated", "critical", "critical"]
    assert drawn.bars[2].height == drawn.bars[3].height == HEIGHT
    assert drawn.bars[3].x + drawn.bars[3].width > WIDTH - 1
    assert drawn.text == "4 drills, 1 failed, recovery took 30s to 2h, target 1h"


def test_days_without_a_snapshot_are_left_empty() -> None:
    drawn = of_sizes([Size(time=day * 86_400.0, bytes=size, added=0) for day, size in ((1, 1024), (3, 2048))])
    assert drawn.bars[1].x - drawn.bars[0].x == 2 * WIDTH / SHOWN_DAYS
    assert drawn.bars[0].height * 2 == drawn.bars[1].height == HEIGHT
    assert drawn.text == "2 days, from 1KiB to 2KiB"
    assert of_sizes([]).bars == []
