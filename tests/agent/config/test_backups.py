"""The table of a backup job."""

from __future__ import annotations

import re
import subprocess
import sys
import tempfile
from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent.backups.job.rates import rate_of
from agent.config.backups import ENDING, BackupOptions
from agent.config.bandwidth import BandwidthOptions
from agent.config.credentials import named
from agent.config.hooks import HookAfter
from agent.config.load import load
from agent.config.repositories import KeepOptions
from kit.errors import ConfigurationError
from kit.units import Duration, Size


def job(tmp_path: Path, text: str) -> BackupOptions:
    """The job `etc` of a file with these lines besides what every job needs."""
    file = tmp_path / "agent.toml"
    given = "" if "repository" in text else 'repository = "/srv/backup"\n'
    file.write_text(f'[backups.etc]\npaths = ["/etc"]\n{given}{text}\n')
    return load(file).backups["etc"]


def refusal(tmp_path: Path, text: str) -> str:
    """What is said of such a job."""
    with pytest.raises(ConfigurationError) as error:
        job(tmp_path, text)
    return str(error.value)


def test_a_job_needs_paths_and_a_repository_and_watches_nothing(tmp_path: Path) -> None:
    """All else has defaults."""
    found = job(tmp_path, "")
    assert found == BackupOptions(repository="/srv/backup", paths=("/etc",))
    assert not found.watch
    (tmp_path / "agent.toml").write_text("[backups.etc]\n")
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "agent.toml")
    assert 'needs the key "repository"' in str(error.value)
    (tmp_path / "agent.toml").write_text('[backups.etc]\nrepository = "/srv/backup"\n')
    with pytest.raises(ConfigurationError) as error:
        load(tmp_path / "agent.toml")
    assert "expected exactly one of" in str(error.value)
    assert "paths, found none" in str(error.value)


@pytest.mark.parametrize(
    "location",
    [
        "rest:https://web1:hunter2@home.example.com/web1/",
        "sftp:web1:hunter2@home.example.com:/srv",
        "sftp://web1:hunter2@home.example.com//srv",
        "s3:https://KEY:hunter2@s3.example.com/bucket",
    ],
)
def test_a_password_in_the_location_is_refused(tmp_path: Path, location: str) -> None:
    """With a sentence that says where it belongs, and does not hold it."""
    said = refusal(tmp_path, f'repository = "{location}"')
    assert "environment_file" in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    "location",
    [
        "/srv/a:b:c@d",
        "./a:b@c",
        "local:/srv/a:b@c",
        "sftp:web1@home.example.com:/srv/a@b",
        "sftp://web1@home.example.com:22//srv",
        "s3:https://s3.example.com:9000/bucket/a@b",
        "rest:https://home.example.com:8000/web1/",
        "rest:https://web1@home.example.com:8000/a:b@c/",
    ],
)
def test_other_locations_are_taken(tmp_path: Path, location: str) -> None:
    """Colons and @ mean more than passwords."""
    assert job(tmp_path, f'repository = "{location}"').repository == location


def test_a_password_in_the_table_is_refused(tmp_path: Path) -> None:
    """And not shown."""
    said = refusal(tmp_path, 'password = "hunter2"')
    assert '"password_file"' in said
    assert "hunter2" not in said


@pytest.mark.parametrize(
    ("text", "part"),
    [
        ('password_file = "/p"\npassword_command = ["/bin/p"]', "exclude each other"),
        ('password_file = "p"', "full path"),
        ('environment_file = "credentials:x"', "full path"),
        ('pack_size = "4097KiB"', "whole MiB"),
        ('compression = "best"', '"auto", "off" or "max"'),
        ('tags = ["a,b"]', "tags"),
        ('every = "1h"\ndaily = "02:00"', "found every and daily"),
        ("verify = 5", "true, false, or a part"),
        ('verify = "101%"', "true, false, or a part"),
        ("keep = {}", "keeps nothing"),
        ('keep = { within = "30" }', "years, months, days and hours"),
        ('repository = "home"\nkeep = { daily = 7 }', "home's to say"),
        ('copies = [{ repository = "rest:https://a:b@c/" }]', "environment_file"),
        ("before = [{ command = [] }]", "command"),
        ('after = [{ command = ["/bin/true"], when = "never" }]', '"always", "success" or "failure"'),
        ('bandwidth = [{ from = "8:00", to = "18:00" }]', '"08:00"'),
        ('bandwidth = [{ from = "08:00", to = "08:00" }]', "are the same"),
        ('repository = "/srv/a"\ncopies = [{ repository = "local:/srv/a/" }]', "is named twice"),
        ('timeout = "99999999999d"', "31d"),
        ('after = [{ command = ["/bin/true"], timeout = "32d" }]', "31d"),
    ],
)
def test_mistakes_are_told_in_a_sentence(tmp_path: Path, text: str, part: str) -> None:
    """What, and what was expected."""
    assert part in refusal(tmp_path, text)


def test_the_configuration_loads_nothing_of_the_backups(tmp_path: Path) -> None:
    """The daemon reads it too, and stays light."""
    (tmp_path / "agent.toml").write_text(
        '[backups.etc]\nrepository = "/srv/backup"\npaths = ["/etc"]\nwatch = true\n'
    )
    probe = (
        "import sys; from pathlib import Path; from agent.config.load import load; import agent.daemon.loop; "
        "assert load(Path(sys.argv[1])).backups; "
        "print([name for name in sys.modules if name.startswith('backup')])"
    )
    done = subprocess.run(
        [sys.executable, "-c", probe, str(tmp_path / "agent.toml")], capture_output=True, text=True, timeout=60
    )
    assert done.stdout == "[]\n", done.stderr


def policies() -> dict[str, BackupOptions]:
    """The jobs in the section "Jobs" of docs/backup.md, by name."""
    page = (Path(__file__).resolve().parents[3] / "docs" / "backup.md").read_text()
    section = page.partition("\n## Jobs\n")[2].partition("\n## ")[0]
    found: dict[str, BackupOptions] = {}
    for table in re.findall(r"^```toml\n(.*?)^```", section, re.DOTALL | re.MULTILINE):
        with tempfile.TemporaryDirectory() as folder:
            file = Path(folder, "agent.toml")
            file.write_text(table)
            found |= load(file).backups
    return found


def test_the_policies_of_operations_manuals_are_a_few_lines_each() -> None:
    """Those of the page, and what they mean."""
    found = policies()
    assert {"shop", "nightly", "hourly", "configuration", "twice", "wiki", "system"} <= found.keys()
    nightly = found["nightly"]
    assert (nightly.daily, nightly.verify) == ("02:00", True)
    assert nightly.keep == KeepOptions(daily=7, weekly=4, monthly=12, yearly=3)
    assert found["hourly"].every == 3600
    assert (found["configuration"].weekly, found["configuration"].repository) == ("sunday 03:00", "home")
    twice = found["twice"]
    assert twice.keep == KeepOptions(within="30d")
    assert [(copy.repository[:3], copy.keep) for copy in twice.copies] == [("s3:", KeepOptions(within="90d"))]
    assert found["system"].privileged is not None
    assert named(found["system"]) == ("backup",)


def test_a_job_without_a_timetable_runs_by_hand() -> None:
    """And one with any of them by itself."""
    assert not BackupOptions(repository="/srv", paths=("/etc",)).is_timed
    assert BackupOptions(repository="/srv", paths=("/etc",), daily="02:00").is_timed


def test_a_run_is_ended_from_outside_after_its_own_limit_and_its_hooks() -> None:
    """It ends itself before."""
    after = (HookAfter(command=("a",)), HookAfter(command=("b",), timeout=Duration(60)))
    job = BackupOptions(repository="/srv", paths=("/etc",), timeout=Duration(100), after=after)
    assert job.patience == 100 + 300 + 60 + ENDING


@pytest.mark.parametrize(
    ("wall", "rate"),
    [
        ("2026-11-23 07:59", None),
        ("2026-11-23 08:00", 1024.0),
        ("2026-11-23 17:59", 1024.0),
        ("2026-11-23 18:00", None),
        ("2026-11-23 22:30", 512.0),
        ("2026-11-24 05:59", 512.0),
        ("2026-11-24 06:00", None),
        ("2026-11-28 12:00", None),
        ("2026-11-29 03:00", 20480.0),
    ],
)
def test_the_bandwidth_at_a_time_of_day(wall: str, rate: float | None) -> None:
    """In KiB a second; a part may go over midnight, and belongs to the day on which it begins."""
    week = ("monday", "tuesday", "wednesday", "thursday", "friday")
    windows = (
        BandwidthOptions(from_="08:00", to="18:00", days=week, upload=Size(2**20)),  # type: ignore[arg-type]
        BandwidthOptions(from_="22:00", to="06:00", days=week, upload=Size(2**19)),  # type: ignore[arg-type]
        BandwidthOptions(from_="08:00", to="24:00", days=("saturday",)),
        BandwidthOptions(from_="00:00", to="08:00", days=("sunday",), upload=Size(20 * 2**20)),
    )
    job = BackupOptions(repository="/srv", paths=("/etc",), timezone="UTC", bandwidth=windows)
    moment = datetime.fromisoformat(wall).replace(tzinfo=UTC).timestamp()
    found = rate_of(job, "upload", clock=lambda: moment)
    assert found is not None
    assert found() == rate
    assert rate_of(BackupOptions(repository="/srv", paths=("/etc",)), "upload") is None
    steady = rate_of(BackupOptions(repository="/srv", paths=("/etc",), limit_upload=Size(2**20)), "upload")
    assert steady is not None
    assert steady() == 1024
