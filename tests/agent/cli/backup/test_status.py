"""What people are shown of jobs."""

from __future__ import annotations

import json

from agent.backups.records import Begun, Book
from tests.agent.cli.backup.test_job_run import Host
from tests.agent.cli.backup.test_job_run import host as host
from wire.report import BackupRun


def test_the_status_fits_a_terminal(host: Host) -> None:
    """How long ago each was; what went wrong stands below, and of a job's runs the newest are shown."""
    host.configure("daily = '02:00'\nverify = true")
    assert "never ran" in host.call("status")
    host.call("run", "etc")
    said = host.call("status")
    assert "s ago" in said
    assert "No agent runs here" in said
    (host.folder / "etc/file").unlink()
    (host.folder / "etc").rmdir()
    host.call("run", "etc", code=1)
    all_jobs, one = (host.call(*words).splitlines() for words in (["status"], ["status", "etc"]))
    why = "none of the paths to be saved is there"
    assert all_jobs[2].startswith("etc: failed: ") and why in all_jobs[2]
    assert one[0] == f"daily 02:00, into {host.place.folder}"
    assert why in one[3] and one[4].endswith("verified")
    assert max(map(len, [*all_jobs[:2], *one[1:3], one[4]])) <= 80
    book, run = Book(host.state, "backups", BackupRun), host.runs()[0]
    for _ in range(22):
        begun = Begun(name="etc", started=run.started, by="timetable")
        book.begin(begun).end(lambda _: run)
    assert "4 older runs on record" in host.call("status", "etc")
    assert len(json.loads(host.call("status", "etc", "--json"))["runs"]) == 24


def test_of_several_jobs_each_says_what_is_its_own(host: Host) -> None:
    """One alone needs no heading, and neither does a program."""
    host.configure()
    text = host.file.read_text()
    host.file.write_text(text + text.replace("[backups.etc]", "[backups.other]"))
    lines = host.call("run", "etc", "other").splitlines()
    assert [line for line in lines if line.startswith("job ")] == ["job etc:", "job other:"]
    assert lines[0] == "job etc:"
    assert "job " not in host.call("run", "etc", "other", "--quiet") + host.call("run", "etc")
