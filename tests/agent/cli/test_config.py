"""`hostward config`: what a person sees, and what scripts rely on."""

from __future__ import annotations

import json
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from agent.cli.main import main
from agent.config.reference import reference
from agent.config.schema import Config

BROKEN = '[agent]\nnam = "x"\n[home]\ninterval = 15\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    """A valid configuration with a secret in it."""
    path = tmp_path / "agent.toml"
    path.write_text(
        """
        [agent]
        name = "web-1"
        default_checks = false
        [checks.cpu]
        used.warning = 60
        [jobs.dump]
        command = ["/bin/true"]
        daily = "02:00"
        environment.PASSWORD = "hunter2"
        [jobs.off]
        command = ["/bin/true"]
        daily = "02:00"
        enabled = false
        """
    )
    return path


def test_check_of_a_valid_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One line: which files were read, and how much runs."""
    (file.parent / "agent.d").mkdir()
    extra = file.parent / "agent.d" / "memory.toml"
    extra.write_text("[checks.memory]\n")
    assert main(["config", "check", "--config", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}, {extra}: valid; 2 checks and 1 job run\n"
    extra.write_text('[[logs]]\nname = "web"\npaths = ["/var/log/web.log"]\n')
    assert main(["config", "check", "--config", str(file)]) == 0
    assert capsys.readouterr().out == f"{file}, {extra}: valid; 1 check and 1 job run; 1 rule for logs\n"


@pytest.mark.parametrize(
    "order", [["--config", "{}", "check"], ["check", "--config", "{}"], ["check", "--config={}"]]
)
def test_options_stand_anywhere(file: Path, order: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    """--config is taken before and after the word that says what to do."""
    assert main(["config", *(word.format(file) for word in order)]) == 0
    assert str(file) in capsys.readouterr().out


def test_check_without_a_file(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """No configuration at all is valid, but a file that was named must be there."""
    monkeypatch.setattr("agent.paths.CONFIGURATION", Path("/nonexistent/agent.toml"))
    assert main(["config", "check"]) == 0
    assert capsys.readouterr().out.startswith("no configuration file, so the defaults hold; ")
    assert main(["config", "check", "--config", "/nonexistent/agent.toml"]) == 2
    assert capsys.readouterr().err == "hostward: /nonexistent/agent.toml: there is no such file\n"


def test_named_by_the_environment(
    file: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """HOSTWARD_CONFIG names a file as --config does."""
    monkeypatch.setenv("HOSTWARD_CONFIG", str(file))
    assert main(["config", "check"]) == 0
    assert str(file) in capsys.readouterr().out
    file.unlink()
    assert main(["config", "check"]) == 2
    assert "there is no such file" in capsys.readouterr().err


def test_check_of_a_broken_file(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every mistake on a line of its own on standard error, exit code 2, nothing on standard output."""
    file.write_text(BROKEN)
    assert main(["config", "check", "--config", str(file)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.splitlines() == [
        f'hostward: {file}:2: agent.nam: there is no such key here; did you mean "name"?',
        f'hostward: {file}:4: home.interval: expected a duration such as "500ms", "15s", "1h30m" or "7d" '
        "from 1s to 1h, found the number 15",
    ]


def test_check_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs."""
    assert main(["config", "check", "--json", "--config", str(file)]) == 0
    assert json.loads(capsys.readouterr().out) == {
        "valid": True,
        "files": [str(file)],
        "checks": ["cpu"],
        "jobs": ["dump"],
        "backups": [],
        "drills": [],
        "logs": [],
        "warnings": [],
    }
    file.write_text(BROKEN)
    assert main(["config", "check", "--json", "--config", str(file)]) == 2
    found = json.loads(capsys.readouterr().out)
    assert found["valid"] is False
    assert found["mistakes"][0] == {
        "file": str(file),
        "line": 2,
        "key": "agent.nam",
        "message": 'there is no such key here; did you mean "name"?',
    }
    assert len(found["mistakes"]) == 2


def test_show(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Every value in force with the place that it comes from, as TOML that says the same again; secrets hidden."""
    assert main(["config", "show", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    lines = {line.split(" = ")[0]: line for line in out.splitlines()}
    assert lines["agent.name"].split("  ")[0] == 'agent.name = "web-1"'
    assert lines["agent.name"].endswith(f"# {file}:3")
    assert lines["checks.cpu.used.warning"].endswith(f"# {file}:6")
    assert lines["checks.cpu.used.critical"].endswith("# default")
    assert "jobs.off.command" not in lines
    assert lines["jobs.dump.environment.PASSWORD"].startswith('jobs.dump.environment.PASSWORD = "(hidden)"')
    assert "hunter2" not in out
    assert tomllib.loads(out)["checks"]["cpu"]["used"]["warning"] == 60
    again = file.parent / "again.toml"
    again.write_text(out)
    assert main(["config", "check", "--config", str(again)]) == 0


EVERYTHING = """
[metrics]
listen = "127.0.0.1:9843"

[recovery]
contacts = ["On call: +49 30 1234567"]

[backups.shop]
repository = "/srv/backup"
password_command = ["pass", "hunter2"]
paths = ["/srv/shop"]
keep = { last = 3, within = "30d" }
before = [{ command = ["stop", "shop"] }]
copies = [{ repository = "/srv/second", init = true }]

[backups.orders]
repository = "/srv/backup"
enabled = false
postgresql = { run_as = "postgres" }

[backups.cache]
repository = "/srv/backup"
redis = { port = 6380 }

[drills.shop]
backup = "shop"
weekly = "sunday 04:00"

[drills.often]
backup = "shop"
every = "1h"
enabled = false
"""


def test_backups_drills_and_all_other_tables_are_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """As checks and jobs are: what is in force, and nothing that is turned off."""
    file = tmp_path / "agent.toml"
    file.write_text(EVERYTHING)
    assert main(["config", "check", "--config", str(file)]) == 0
    assert capsys.readouterr().out.endswith(" checks, 0 jobs, 2 backups and 1 drill run\n")
    assert main(["config", "check", "--json", "--config", str(file)]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["backups"], found["drills"]) == (["shop", "cache"], ["shop"])
    assert main(["config", "show", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    shown = tomllib.loads(out)
    assert shown["metrics"]["listen"] == "127.0.0.1:9843"
    assert shown["recovery"]["contacts"] == ["On call: +49 30 1234567"]
    assert list(shown["backups"]) == ["shop", "cache"] and list(shown["drills"]) == ["shop"]
    shop = shown["backups"]["shop"]
    assert (shop["paths"], shop["keep"]["last"], shop["keep"]["within"]) == (["/srv/shop"], 3, "30d")
    assert shop["copies"][0] | {"repository": "/srv/second", "init": True} == shop["copies"][0]
    assert shown["backups"]["cache"]["redis"]["port"] == 6380
    again = tmp_path / "again.toml"
    again.write_text(out)
    assert main(["config", "check", "--config", str(again)]) == 0
    capsys.readouterr()
    assert main(["config", "show", "--config", str(again)]) == 0
    assert tomllib.loads(capsys.readouterr().out) == shown


def test_a_job_that_only_a_drill_needs_is_shown(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It does not run, but what is shown is still a configuration."""
    file, again = tmp_path / "agent.toml", tmp_path / "again.toml"
    file.write_text(EVERYTHING.replace('backup = "shop"\nweekly', 'backup = "orders"\nkind = "database"\nweekly'))
    assert main(["config", "check", "--config", str(file)]) == 0
    assert capsys.readouterr().out.endswith(" checks, 0 jobs, 2 backups and 1 drill run\n")
    assert main(["config", "show", "--config", str(file)]) == 0
    again.write_text(capsys.readouterr().out)
    assert main(["config", "check", "--config", str(again)]) == 0
    assert capsys.readouterr().out.endswith(" checks, 0 jobs, 2 backups and 1 drill run\n")
    assert tomllib.loads(again.read_text())["backups"]["orders"]["enabled"] is False


def test_show_as_json(file: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The same for programs; a secret has no value."""
    assert main(["config", "show", "--json", "--config", str(file)]) == 0
    out = capsys.readouterr().out
    found = {option["key"]: option for option in json.loads(out)["options"]}
    assert found["agent.name"] == {
        "key": "agent.name",
        "value": "web-1",
        "secret": False,
        "file": str(file),
        "line": 3,
    }
    assert found["home.interval"]["value"] == "15s"
    assert found["home.interval"]["file"] is None
    assert found["jobs.dump.environment.PASSWORD"]["value"] is None
    assert found["jobs.dump.environment.PASSWORD"]["secret"] is True
    assert "hunter2" not in out


def test_show_of_the_defaults(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Without configuration, the checks that fit this host are shown with their thresholds."""
    assert main(["config", "show", "--config", "/dev/null"]) == 0
    options = tomllib.loads(capsys.readouterr().out)
    assert options["checks"]["cpu"]["used"] | {"warning": 70, "critical": 85} == options["checks"]["cpu"]["used"]
    assert options["home"]["interval"] == str(Config().home.interval)


def test_reference_and_example(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The reference is printed as it is, and the example is a valid file."""
    assert main(["config", "reference"]) == 0
    assert capsys.readouterr().out == reference()
    assert main(["config", "example"]) == 0
    (tmp_path / "agent.toml").write_text(capsys.readouterr().out)
    assert main(["config", "check", "--config", str(tmp_path / "agent.toml")]) == 0


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ([], "the following arguments are required: action"),
        (["chekc"], "invalid choice: 'chekc'"),
        (["check", "--jsn"], "unrecognized arguments: --jsn"),
    ],
)
def test_bad_usage(words: list[str], said: str, capsys: pytest.CaptureFixture[str]) -> None:
    """Bad usage is told in a line, with exit code 2."""
    with pytest.raises(SystemExit) as ended:
        main(["config", *words])
    assert ended.value.code == 2
    err = capsys.readouterr().err
    assert said in err
    assert err.startswith("hostward config: ")
    assert len(err.splitlines()) == 1


def test_text_is_not_json(capsys: pytest.CaptureFixture[str]) -> None:
    """An option that would do nothing is refused."""
    assert main(["config", "reference", "--json"]) == 2
    assert "--json is for config check and config show" in capsys.readouterr().err


def test_help_has_examples(capsys: pytest.CaptureFixture[str]) -> None:
    """--help says what each word does and shows examples."""
    with pytest.raises(SystemExit) as ended:
        main(["config", "--help"])
    assert ended.value.code == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    assert all(word in out for word in ("check ", "show ", "reference ", "example "))


def test_config_check_is_light(file: Path) -> None:
    """Checking a configuration, with every kind of check in it, loads nothing heavy."""
    program = (
        "import sys; from agent.cli.main import main; code = main(sys.argv[1:]); "
        "heavy = {'requests', 'urllib3', 'cryptography', 'watchdog', 'zstandard', 'http.client', 'sqlite3', 'ssl'}; "
        "print(sorted(heavy & set(sys.modules))); sys.exit(code)"
    )
    command = [sys.executable, "-c", program, "config", "check", "--config"]
    for path in (str(file), "/dev/null"):
        ended = subprocess.run([*command, path], capture_output=True, text=True, check=True)
        assert ended.stdout.splitlines()[-1] == "[]"


def test_output_that_nobody_reads() -> None:
    """`hostward config reference | head -1` ends quietly."""
    program = "import sys; from agent.cli.main import main; sys.exit(main(['config', 'reference']))"
    command = f'"{sys.executable}" -c "{program}" | head -1'
    ended = subprocess.run(["bash", "-c", f"set -o pipefail; {command}"], capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "# Configuration\n", "")
