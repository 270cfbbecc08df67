"""`hostward logs plan`, `rotate`, `status` and `import`: what they print and how they end."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from agent.cli.logs import importing
from agent.cli.logs.status import LogStatus
from agent.cli.main import main
from agent.logs.rotate import moment
from agent.logs.rotate.state import State
from agent.logs.rules import place
from agent.logs.rules.ear import Ear
from agent.logs.rules.preview import Gone, OldLog, Preview

Hostward = Callable[..., tuple[int, str, str]]


@pytest.fixture
def logs(tmp_path: Path) -> Path:
    """A folder with two logs, one of them empty, and a file of configuration with the rules `web` and `db`."""
    folder = tmp_path / "logs"
    folder.mkdir(mode=0o755)
    (folder / "web.log").write_text("line\n")
    (folder / "db.log").touch()
    (tmp_path / "agent.toml").write_text(
        f'[[logs]]\nname = "web"\npaths = ["{folder}/web*.log"]\ncount = 1\n'
        f'then = {{ reload = "web.service", command = ["/bin/true"] }}\n'
        f'[[logs]]\nname = "db"\npaths = ["{folder}/db.log"]\nsize = "1MiB"\n'
    )
    return folder


@pytest.fixture
def hostward(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> Hostward:
    """Runs a command of logs; its exit code and what it printed."""

    def run(command: str, *words: str) -> tuple[int, str, str]:
        capfd.readouterr()
        places = ["--config", str(tmp_path / "agent.toml"), "--state-dir", str(tmp_path / "state")]
        code = main(["logs", command, *places, *words])
        return (code, *capfd.readouterr())

    return run


def rotated_yesterday(tmp_path: Path, *logs: Path) -> None:
    """Let the state say so."""
    (tmp_path / "state" / "logs").mkdir(parents=True, exist_ok=True)
    state = State(str(tmp_path / "state" / "logs" / place.STATE), Ear())
    for log in logs:
        state.rotated(str(log), moment.at(time.time() - 2 * 86400))
    assert state.write(moment.at(time.time()))


def test_plan(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """Each log with why it is due or not, each step, and what is removed and why; nothing is changed."""
    rotated_yesterday(tmp_path, logs / "web.log")
    (logs / "web.log-20260101-000000.zst").write_text("old")
    before = sorted(tmp_path.rglob("*"))
    code, out, err = hostward("plan")
    assert (code, err) == (0, "")
    lines = out.splitlines()
    assert lines[:2] == ["web", f"  {logs}/web.log, 5B"]
    assert lines[2].startswith("    due: its time came: daily 00:00 (")
    assert lines[3].startswith(f"      rename {logs}/web.log to web.log-")
    mode = f"{(logs / 'web.log').stat().st_mode & 0o777:04o}"
    owner = f"user {os.getuid()}, group {os.getgid()}"
    assert lines[4] == f"      create {logs}/web.log with mode {mode}, {owner}"
    assert lines[5:7] == ["      reload web.service", "      run /bin/true"]
    assert lines[7].startswith(f"      compress {logs}/web.log-")
    assert lines[7].endswith(" by zstd")
    assert lines[8] == f"      remove {logs}/web.log-20260101-000000.zst, 3B: more than 1 would be kept"
    assert lines[9:13] == ["db", f"  {logs}/db.log, 0B", "    not due: it is empty", "    when it is due:"]
    assert sorted(tmp_path.rglob("*")) == before


def test_plan_of_old_logs_that_go_without_a_rotation(logs: Path, hostward: Hostward) -> None:
    """They do not wait until the log is due."""
    for number in (1, 2):
        (logs / f"web.log-2026010{number}-000000.zst").write_text("old")
    lines = hostward("plan", "web")[1].splitlines()
    assert lines[3] == "    when it is due:"
    assert lines[-2:] == [
        "    at the next run, due or not:",
        f"      remove {logs}/web.log-20260101-000000.zst, 3B: more than 1 would be kept",
    ]


def test_plan_as_json(logs: Path, hostward: Hostward) -> None:
    """The same for programs, of the rules that are named."""
    code, out, _ = hostward("plan", "db", "--json", "--force")
    (log,) = json.loads(out)["logs"]
    assert code == 0
    assert log.pop("steps")[0].startswith(f"rename {logs}/db.log")
    assert log == {
        "rule": "db",
        "log": f"{logs}/db.log",
        "size": 0,
        "due": False,
        "reason": "it is empty",
        "last": None,
        "next": None,
        "old": [],
        "removals": [],
        "trouble": "",
    }


def test_rotate(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """What was rotated and removed, each with its reason; then nothing is due."""
    rotated_yesterday(tmp_path, logs / "web.log")
    (logs / "web.log-20260101-000000.zst").write_text("old")
    os.utime(logs / "web.log-20260101-000000.zst", (0, 0))
    (tmp_path / "agent.toml").write_text(
        f'[[logs]]\nname = "web"\npaths = ["{logs}/web*.log"]\ncount = 1\nthen = {{ command = ["/bin/true"] }}\n'
    )
    assert hostward("rotate", "--dry-run")[1] == hostward("plan")[1]
    assert (logs / "web.log").read_text() == "line\n"
    code, out, err = hostward("rotate")
    assert (code, err) == (0, "")
    first, second = out.splitlines()
    assert first.startswith(f"rotated {logs}/web.log: its time came: daily 00:00 (")
    assert second == f"removed {logs}/web.log-20260101-000000.zst, 3B: more than 1 would be kept"
    assert hostward("rotate") == (0, "no log was due\n", "")
    assert hostward("rotate", "--quiet") == (0, "", "")
    (logs / "web.log").write_text("more\n")
    rotated_yesterday(tmp_path, logs / "web.log")
    for old in logs.glob("web.log-*"):
        old.rename(logs / "web.log-20260102-000000.zst")
    code, out, _ = hostward("rotate", "--json", "--force")
    (rule,) = json.loads(out)["rules"]
    assert (code, rule["rule"], rule["errors"]) == (0, "web", [])
    assert rule["rotated"] == [{"log": f"{logs}/web.log", "reason": "it was asked for"}]


def test_steps_are_shown(logs: Path, hostward: Hostward) -> None:
    """With --verbose, on standard error."""
    _, _, err = hostward("rotate", "--verbose")
    assert f"considering log {logs}/web.log" in err


def test_failure(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """What was not rotated is told, and the exit code too."""
    os.link(logs / "web.log", tmp_path / "other")
    code, out, err = hostward("rotate", "--force")
    assert (code, out) == (1, "no log was rotated\n")
    assert err == f"hostward logs: web: {logs}/web.log is not rotated: it has 2 names (hard links)\n"
    assert "is never rotated: it has 2 names (hard links)" in hostward("plan")[1]


def test_status(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """A table with a line for each log and one for all; JSON for programs."""
    rotated_yesterday(tmp_path, logs / "web.log")
    (logs / "web.log-20260101-000000.zst").write_bytes(bytes(2043))
    code, out, err = hostward("status")
    assert (code, err) == (0, "")
    heading, web, database, everything = out.splitlines()
    assert heading.split("  ")[0] == "RULE"
    assert web.split()[:3] == ["web", f"{logs}/web.log", "5B"]
    assert web.split()[-3:] == ["now", "1", "2KiB"]
    assert database.split() == ["db", f"{logs}/db.log", "0B", "-", "by", "size", "0", "0B"]
    assert everything.split() == ["all", "5B", "-", "1", "2KiB"]
    found = json.loads(hostward("status", "web", "--json")[1])["logs"]
    assert [(log["log"], log["kept"], log["disk"], log["due"]) for log in found] == [
        (f"{logs}/web.log", 1, 2048, True)
    ]


def test_status_fits_the_terminal(
    logs: Path, tmp_path: Path, hostward: Hostward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of a long path its end is shown. Why a log is never rotated has a line of its own."""
    os.link(logs / "web.log", logs / "link")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    monkeypatch.setenv("COLUMNS", "80")
    monkeypatch.setenv("NO_COLOR", "1")
    code, out, _ = hostward("status")
    *rows, never = out.splitlines()
    assert code == 0
    assert max(map(len, rows)) <= 80
    assert rows[1].startswith("web   …")
    assert "/web.log  " in rows[1]
    assert never == f"{logs}/web.log is never rotated: it has 2 names (hard links)"


def test_what_this_host_lacks_is_told_before_it_is_needed(
    logs: Path, tmp_path: Path, hostward: Hostward, capfd: pytest.CaptureFixture[str]
) -> None:
    """By the plan, and when the configuration is checked, which it stays good for."""
    (tmp_path / "agent.toml").write_text(
        f'[[logs]]\nname = "web"\npaths = ["{logs}/web.log"]\nbefore = ["/nowhere/ready"]\n'
        f'[[logs]]\nname = "db"\npaths = ["{logs}/db.log"]\nsu = "nobody-at-all:nogroup"\n'
    )
    assert "hostward logs: web: before: the program /nowhere/ready is not there\n" in hostward("plan", "web")[2]
    code, _, err = hostward("plan", "db")
    assert (code, err.splitlines()[-1]) == (2, "hostward: the rule db: there is no user nobody-at-all")
    assert main(["config", "check", "--config", str(tmp_path / "agent.toml")]) == 0
    assert capfd.readouterr().err.splitlines() == [
        f"hostward: warning: {tmp_path}/agent.toml:4: logs[0].before: the program /nowhere/ready is not there",
        f"hostward: warning: {tmp_path}/agent.toml:8: logs[1].su: there is no user nobody-at-all",
    ]


def test_fields_of_json_are_documented(repository: Path) -> None:
    """All that plan and status print."""
    page = (repository / "docs/logs.md").read_text().partition("### Commands")[2].partition("\n### ")[0]
    structs = (Preview, OldLog, Gone, LogStatus)
    assert [name for one in structs for name in one.__struct_fields__ if f"`{name}`" not in page] == []


def test_names_of_rules(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """One that there is not is answered with the nearest; one that is turned off with that."""
    code, _, err = hostward("rotate", "wep")
    assert code == 2
    assert f'there is no rule "wep" in {tmp_path}/agent.toml; did you mean "web"?' in err
    (tmp_path / "agent.toml").write_text('[[logs]]\nname = "off"\npaths = ["/l"]\nenabled = false\n')
    assert hostward("plan", "off")[0] == 2
    for command in ("plan", "rotate", "status"):
        assert hostward(command) == (0, "no rules for logs are configured\n", "")


def test_configuration_that_others_can_write(logs: Path, tmp_path: Path, hostward: Hostward) -> None:
    """Is refused, since it says which programs run."""
    (tmp_path / "agent.toml").chmod(0o666)
    code, out, err = hostward("rotate", "--force")
    assert (code, out) == (2, "")
    assert "everybody may write to it" in err
    assert (logs / "web.log").read_text() == "line\n"


def test_import(tmp_path: Path, hostward: Hostward) -> None:
    """Prints rules that are a configuration; what is wrong in logrotate's is told, and the rest is printed."""
    good, bad = tmp_path / "app", tmp_path / "bad"
    good.write_text("/var/log/app.log {\n daily\n rotate 3\n create 0640 root root\n}\n")
    bad.write_text("/var/log/bad.log {\n rotate many\n}\n")
    code, out, err = hostward("import", str(good))
    assert (code, err) == (0, "")
    assert 'name = "app"\npaths = ["/var/log/app.log"]\ndaily = "00:00"\n' in out
    assert 'owner = "root"\ngroup = "root"\nmode = "0640"\n' in out
    (tmp_path / "agent.toml").write_text(out)
    assert main(["config", "check", "--config", str(tmp_path / "agent.toml")]) == 0
    code, again, err = hostward("import", str(good), str(bad))
    assert code == 3
    assert again == out
    assert "error: " in err


def test_import_of_one_file_that_is_included(
    tmp_path: Path, hostward: Hostward, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It has the defaults of the file that includes it; alone it would keep nothing old."""
    folder = tmp_path / "logrotate.d"
    folder.mkdir()
    (folder / "app").write_text("/var/log/app.log {\n missingok\n}\n")
    (tmp_path / "logrotate.conf").write_text(f"weekly\nrotate 4\ninclude {folder}\n")
    (tmp_path / "other").write_text("/var/log/other.log {\n missingok\n}\n")
    monkeypatch.setattr(importing, "LOGROTATE", str(tmp_path / "logrotate.conf"))
    for named in (folder / "app", folder):
        code, out, err = hostward("import", str(named))
        assert (code, err) == (0, "")
        assert 'weekly = "sunday 00:00"' in out
        assert "count = 4\n" in out
        assert "\nsize =" not in out
    assert "count = 0\n" in hostward("import", str(tmp_path / "other"))[1]
