"""Files in Prometheus's text format, as programs leave them."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Context, Sample, Threshold
from agent.checks.prom_files import MAX_FILE, read_folders
from agent.checks.runner import Plan, judge
from agent.checks.textfile import MetricBounds, Textfile, TextfileOptions, unit_of
from agent.paths import System
from tests.agent.checks.tree import NOW, said, values

FOLDER = "srv/metrics"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    made = tmp_path / FOLDER
    made.mkdir(parents=True)
    return made


def write(folder: Path, name: str, text: str | bytes, age: float = 30) -> Path:
    file = folder / name
    file.write_bytes(text.encode() if isinstance(text, str) else text)
    os.utime(file, (NOW - age, NOW - age))
    return file


def collected(folder: Path, **options: Any) -> Sample:
    check = Textfile(TextfileOptions(folders=(f"/{FOLDER}",), **options))
    return check.collect(Context(system=System(folder.parents[1]), now=NOW))


def verdict(sample: Sample, **options: Any) -> tuple[str, str]:
    check = Textfile(TextfileOptions(**options))
    judged = judge(Plan("textfile", "textfile", check, check.options), sample, None, now=NOW, ticks=1, duration=0)
    return judged.state.state, judged.state.message


def test_what_is_in_the_files_becomes_readings(folder: Path) -> None:
    """With its labels, and units where the name says so; other files are passed over."""
    write(folder, "backup.prom", '# TYPE backup_size_bytes gauge\nbackup_size_bytes{job="www"} 1024\n')
    write(folder, "raid.prom", "raid_disks 4\nraid_odd NaN\n", age=90)
    write(folder, "notes.txt", "not a metric at all")
    write(folder, ".prom", "not a metric at all")
    sample = collected(folder)
    assert said(sample) == []
    assert values(sample) == {
        "textfile_age_seconds backup.prom": 30,
        "textfile_age_seconds raid.prom": 90,
        "textfile_files": 2,
        "textfile_series": 2,
        "backup_size_bytes www": 1024,
        "raid_disks": 4,
    }
    assert {m.name: m.unit for m in sample.measurements if m.name.startswith("b")} == {"backup_size_bytes": "bytes"}
    assert sample.summary == "2 series in 2 files"


def test_a_bad_file_is_named_with_its_line_and_the_others_count(folder: Path) -> None:
    """Of a bad file nothing is taken."""
    write(folder, "a.prom", "good 1\n")
    write(folder, "b.prom", "fine 1\nbad\n")
    write(folder, "c.prom", b"\xff 1\n")
    write(folder, "d.prom", "old 1 1395066363000\n")
    write(folder, "e.prom", "good 2\n")
    write(folder, "f.prom", '# TYPE good counter\ngood{x="1"} 2\n')
    write(folder, "g.prom", "x 1\n" * (MAX_FILE // 4 + 1))
    (folder / "h.prom").mkdir()
    os.mkfifo(folder / "i.prom")
    (folder / "j.prom").symlink_to("nowhere")
    sample = collected(folder)
    assert said(sample) == [
        (
            "warning",
            "b.prom cannot be used: line 2: a metric's name, its labels and its value were expected, not 'bad'",
        ),
        ("warning", "c.prom cannot be used: it is not UTF-8"),
        ("warning", "d.prom cannot be used: old has a timestamp, which such a file must not have"),
        ("warning", "e.prom cannot be used: good is there with the same labels as in a.prom"),
        ("warning", "f.prom cannot be used: good is of type counter here, and untyped in another file"),
        ("warning", "g.prom cannot be used: it is larger than the 1048576 bytes that one file may have"),
        ("warning", "h.prom cannot be used: Is a directory"),
        ("warning", "i.prom cannot be used: it is not a regular file"),
        ("warning", "j.prom cannot be used: No such file or directory"),
    ]
    assert {"good": 1.0, "textfile_series": 1, "textfile_files": 10}.items() <= values(sample).items()
    assert not {"fine", "old"} & values(sample).keys()


def test_a_family_may_be_spread_over_files(folder: Path) -> None:
    """It is there once, with the samples of all."""
    write(folder, "a.prom", '# HELP up Of a.\n# TYPE up gauge\nup{of="a"} 1\n')
    write(folder, "b.prom", '# TYPE up gauge\nup{of="b"} 0\n')
    found = read_folders([folder])
    ((family),) = found.families
    assert (family.name, family.type, family.help) == ("up", "gauge", "Of a.")
    assert [sample.labels["of"] for sample in family.samples] == ["a", "b"]
    assert [(file.path.name, file.series, file.error) for file in found.files] == [
        ("a.prom", 1, ""),
        ("b.prom", 1, ""),
    ]


def test_all_files_together_are_bounded(folder: Path) -> None:
    """What comes after the limit is said, not read."""
    for number in range(6):
        write(folder, f"{number}.prom", f"# {'x' * (MAX_FILE - 20)}\nm{number} 1\n")
    found = read_folders([folder])
    assert [bool(file.error) for file in found.files] == [False] * 4 + [True] * 2
    assert found.files[4].error.startswith("all files together are larger than")


def test_an_old_file_is_a_warning(folder: Path) -> None:
    """Two days where nothing else is said; a file may have its own time."""
    write(folder, "daily.prom", "a 1\n", age=3 * 86400)
    sample = collected(folder)
    assert verdict(sample) == ("warning", "daily.prom was written 3d ago, warning from 2d")
    assert verdict(sample, age=Threshold(warning=4 * 86400)) == ("ok", "1 series in 1 file")


def test_metrics_have_bounds_by_their_name(folder: Path) -> None:
    """Up or down; one that is in no file cannot be judged."""
    write(folder, "a.prom", 'age_seconds{job="a"} 100\nage_seconds{job="b"} 500\nfree_disks 1\n')
    bounds = (
        MetricBounds(name="age_seconds", warning=300),
        MetricBounds(name="free_disks", worse="below", warning=2, critical=1),
        MetricBounds(name="nowhere", warning=1),
    )
    sample = collected(folder, values=bounds, metrics=())
    assert values(sample)["age_seconds b"] == 500
    state, message = verdict(sample, values=bounds)
    assert state == "critical"
    assert message == (
        "free_disks 1, critical at or below 1; no file has the metric nowhere; "
        'age_seconds{job="b"} 8m20s, warning from 5m'
    )


def test_metrics_are_chosen_and_bounded(folder: Path) -> None:
    """What has bounds is kept before the others."""
    write(folder, "a.prom", "".join(f'many{{n="{n}"}} {n}\n' for n in range(20)) + "go_x 1\nlast 1\n")
    sample = collected(folder, exclude=("go_*",), series_max=10, values=(MetricBounds(name="last", warning=2),))
    assert said(sample) == [("warning", "21 series, of which 10 are taken (series_max)")]
    kept = values(sample)
    assert len([name for name in kept if name.startswith("many")]) == 9
    assert kept["last"] == 1
    assert "go_x" not in kept
    assert len(values(collected(folder, metrics=("go_*",)))) == 4


def test_a_folder_that_is_not_there_makes_the_check_unknown(tmp_path: Path) -> None:
    """By itself the check is there only where the folder is."""
    check = Textfile(TextfileOptions(folders=("/nowhere",)))
    with pytest.raises(CheckError, match=r"/nowhere cannot be listed: No such file or directory"):
        check.collect(Context(system=System(tmp_path), now=NOW))
    assert Textfile.default(System(tmp_path)) is None
    (tmp_path / "var/lib/prometheus/node-exporter").mkdir(parents=True)
    assert Textfile.default(System(tmp_path)) == TextfileOptions()


def test_an_empty_folder_is_well(folder: Path) -> None:
    """Nobody has written yet."""
    assert verdict(collected(folder)) == ("ok", "0 series in 0 files")


def test_one_metric_has_bounds_once() -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match="values: a has bounds twice"):
        TextfileOptions(values=(MetricBounds(name="a", warning=1), MetricBounds(name="a", warning=2)))


@pytest.mark.parametrize(
    ("name", "unit"),
    [
        ("x_bytes", "bytes"),
        ("x_seconds", "seconds"),
        ("boot_time_seconds", ""),
        ("last_run_timestamp_seconds", ""),
        ("x_percent", "percent"),
        ("x_total", ""),
    ],
)
def test_a_name_tells_the_unit(name: str, unit: str) -> None:
    """For people; a point in time is not a number of seconds to them."""
    assert unit_of(name) == unit


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_files_are_read(tmp_path_factory: pytest.TempPathFactory, contents: list[bytes]) -> None:
    """Whatever is in them."""
    folder = tmp_path_factory.mktemp("any")
    for number, content in enumerate(contents):
        write(folder, f"{number}.prom", content)
    found = read_folders([folder])
    assert len(found.files) == len(contents)
    assert sum(file.series for file in found.files) == sum(len(family.samples) for family in found.families)
