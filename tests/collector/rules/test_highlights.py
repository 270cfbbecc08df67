"""The figures that tell a host at a glance."""

from __future__ import annotations

from collections.abc import Sequence

from collector.rules.highlights import MOST_DRILLS, Vitals, highlights, planned_drills, take_vitals
from tests.collector.support import check
from wire.report import Reading

CHECKS = [check("cpu", "warning"), check("memory"), check("disk", "critical"), check("systemd")]


def disk(mount: str, used: float, *, time: float = 1.0, name: str = "disk") -> Reading:
    """A mount's reading."""
    return Reading(name, "disk_used_percent", used, "percent", {"mount": mount}, time)


READINGS = [
    Reading("cpu", "cpu_used_percent", 71.6, "percent", {}, 1.0),
    Reading("memory", "memory_used_percent", 40.0, "percent", {}, 1.0),
    disk("/", 30.0),
    disk("/var", 96.4),
    Reading("systemd", "systemd_units_failed", 2.0, "", {}, 1.0),
]


def seen(*reports: Sequence[Reading]) -> Vitals:
    """After these reports' readings."""
    vitals = Vitals()
    for readings in reports:
        vitals = take_vitals(vitals, readings, CHECKS)
    return vitals


def test_each_figure_has_its_value_its_words_and_its_checks_state() -> None:
    """The fullest mount stands for the disks."""
    found = highlights(seen(READINGS), {one.name: one for one in CHECKS}, "critical")
    assert [(one.key, one.state, one.value, one.text) for one in found] == [
        ("cpu", "warning", 71.6, "72 %"),
        ("memory", "ok", 40.0, "40 %"),
        ("disk", "critical", 96.4, "/var 96 %"),
        ("services", "ok", 2.0, "2 failed"),
    ]
    assert found[0].message == "cpu is warning"


def test_a_report_without_a_figure_leaves_it_as_it_was() -> None:
    """Checks have intervals of their own: not every report carries every reading."""
    assert seen(READINGS, []) == seen(READINGS)


def test_what_nothing_measures_is_said_to_be_nothing() -> None:
    """A host without systemd has no number of failed services."""
    assert [(one.value, one.text) for one in highlights(Vitals(), {}, "ok")] == [(None, "none")] * 4


def test_what_a_host_that_is_down_measured_is_unknown_now() -> None:
    """The numbers stay to be seen, their colours do not."""
    found = highlights(seen(READINGS), {one.name: one for one in CHECKS}, "down")
    assert {one.state for one in found} == {"unknown"}
    assert found[0].text == "72 %"


def test_figures_of_a_check_that_is_gone_go_with_it() -> None:
    """A check that was removed measures nothing any more."""
    left = take_vitals(seen(READINGS), [], [one for one in CHECKS if one.name not in ("cpu", "disk")])
    assert left.cpu is None
    assert left.disks == []
    assert left.memory is not None


def test_what_is_kept_of_a_host_does_not_grow_with_the_mounts_that_it_tells_of() -> None:
    """One figure for each disk check, the fullest of its newest run; that of another check is left as it was."""
    vitals = seen([disk(f"/mnt{number}", number / 100, time=number // 4000) for number in range(5000)])
    assert [(one.label, one.value) for one in vitals.disks] == [("/mnt4999", 49.99)]
    both = take_vitals(vitals, [disk("/nfs", 60.0, name="nfs")], [*CHECKS, check("nfs")])
    assert [one.label for one in both.disks] == ["/mnt4999", "/nfs"]


def test_a_mount_that_the_newest_run_does_not_list_was_unmounted() -> None:
    """Also where the report holds an older run that still had it."""
    vitals = seen([disk("/", 30.0, time=1), disk("/mnt", 99.0, time=1), disk("/", 31.0, time=16)])
    assert [(one.label, one.value) for one in vitals.disks] == [("/", 31.0)]
    assert [one.label for one in seen(READINGS, [disk("/", 30.0, time=16)]).disks] == ["/"]


def test_drills_are_known_by_their_check_before_any_was_run() -> None:
    """Since when each is due; the newest run of the check lists all there are, and they are bounded."""

    def due(name: str, seconds: float, time: float = 1000.0) -> Reading:
        return Reading("drill", "backup_drill_overdue_seconds", seconds, "seconds", {"drill": name}, time)

    checks = [check("drill")]
    vitals = take_vitals(Vitals(), [due("weekly", 0.0), due("all", 300.0), due("late", 50.0, 0.0)], checks, 2000.0)
    assert planned_drills(vitals) == {"weekly": 0.0, "all": 700.0, "late": 1950.0}
    assert take_vitals(vitals, [], checks, 3000.0) == vitals
    assert planned_drills(take_vitals(vitals, [due("all", 400.0, 1100.0)], checks, 3000.0)) == {"all": 700.0}
    assert planned_drills(take_vitals(vitals, [], [], 3000.0)) == {}
    many = take_vitals(vitals, [due(f"drill{number}", 1e300) for number in range(1000)], checks, 1.0)
    assert set(planned_drills(many).values()) == {1.0} and len(planned_drills(many)) == MOST_DRILLS
