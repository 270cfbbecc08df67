"""Rules for logs: what their tables say, and what is refused."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from agent.config.load import load
from agent.config.log_rules import load_log_rules
from agent.config.logs import LogOptions
from agent.timetable import Schedule
from kit.errors import ConfigurationError
from kit.units import Duration, Size

HEAD = '[[logs]]\nname = "web"\npaths = ["/var/log/web/*.log"]\n'


def rule(tmp_path: Path, text: str = "") -> LogOptions:
    """The one rule of a file that says so besides name and paths."""
    (tmp_path / "agent.toml").write_text(HEAD + text)
    (found,) = load_log_rules(tmp_path / "agent.toml")
    assert load(tmp_path / "agent.toml").logs == (found,)
    return found


def test_a_name_and_paths_are_enough(tmp_path: Path) -> None:
    """Such logs are rotated each day and kept for 30 days, compressed."""
    found = rule(tmp_path)
    assert found.timetable == Schedule(daily="00:00")
    assert found.kept_days == 30
    assert found.compression == "zstd"


def test_size_and_age_need_no_timetable(tmp_path: Path) -> None:
    """Whoever says when by size or age means nothing else; with a timetable any of them."""
    assert rule(tmp_path, 'size = "1MiB"').timetable is None
    assert rule(tmp_path, 'age = "2h"').timetable is None
    assert rule(tmp_path, 'size = "1MiB"\nweekly = "sunday 03:00"').timetable == Schedule(weekly="sunday 03:00")
    assert rule(tmp_path, 'low_disk = "1GiB"\ncatch_up = false').timetable == Schedule(daily="00:00", catch_up=False)


@pytest.mark.parametrize(
    ("text", "days"),
    [
        ("", 30),
        ("count = 5", None),
        ('total_size = "1GiB"', None),
        ('keep_free = "1GiB"', 30),
        ('class = "application"\ncount = 5', 30),
        ('class = "error"', 30),
        ('class = "performance"', 90),
        ('class = "audit"', 2557),
        ('class = "audit"\nmax_age = "3650d"', 3650),
        ('max_age = "12h"', 0.5),
    ],
)
def test_how_long_old_ones_are_kept(tmp_path: Path, text: str, days: float | None) -> None:
    """As the class says, unless something else is said."""
    assert rule(tmp_path, text).kept_days == days


def test_each_file_adds_its_rules(tmp_path: Path) -> None:
    """The rules of agent.d stand behind those of agent.toml, and mistakes have the lines of their own file."""
    (tmp_path / "agent.d").mkdir()
    (tmp_path / "agent.toml").write_text(HEAD + 'size = "1MiB"\n')
    (tmp_path / "agent.d" / "db.toml").write_text('[[logs]]\nname = "db"\npaths = ["/var/log/db.log"]\n')
    (tmp_path / "agent.d" / "mail.toml").write_text('[[logs]]\nname = "mail"\npaths = ["/var/log/mail.log"]\n')
    file = tmp_path / "agent.toml"
    assert [found.name for found in load_log_rules(file)] == ["web", "db", "mail"]
    (tmp_path / "agent.d" / "db.toml").write_text('\n[[logs]]\nname = "db"\npath = ["/var/log/db.log"]\n')
    (tmp_path / "agent.d" / "mail.toml").write_text('\n\n[[logs]]\nname = "web"\npaths = ["/var/log/mail.log"]\n')
    with pytest.raises(ConfigurationError) as refused:
        load_log_rules(file)
    assert str(refused.value).splitlines() == [
        f'{tmp_path}/agent.d/db.toml:2: logs[1]: needs the key "paths", an array of full paths',
        f'{tmp_path}/agent.d/db.toml:4: logs[1].path: there is no such key here; did you mean "paths"?',
    ]
    (tmp_path / "agent.d" / "db.toml").unlink()
    for read in (load_log_rules, load):
        with pytest.raises(ConfigurationError) as refused:
            read(file)
        assert str(refused.value) == (
            f'{tmp_path}/agent.d/mail.toml:4: logs[1].name: there is a rule "web" already, at {file}:2'
        )


def test_an_archive_that_is_no_backup_job(tmp_path: Path) -> None:
    """Is a mistake in its line: nothing old would ever go. Commands of logs, which heed no other table, go on."""
    file = tmp_path / "agent.toml"
    file.write_text(HEAD + 'archive = "archiv"\n[backups.archive]\npaths = ["/etc"]\nrepository = "/srv/a"\n')
    with pytest.raises(ConfigurationError) as refused:
        load(file)
    line = HEAD.count("\n") + 1
    said = 'logs[0].archive: there is no backup job "archiv"; did you mean "archive"?'
    assert str(refused.value) == f"{file}:{line}: {said}"
    assert len(load_log_rules(file)) == 1


def test_other_tables_are_not_looked_at(tmp_path: Path) -> None:
    """A mistake in a check keeps no log from being rotated."""
    (tmp_path / "agent.toml").write_text("[checks.cpu]\nwrong = 1\n" + HEAD)
    assert len(load_log_rules(tmp_path / "agent.toml")) == 1


def test_what_others_could_have_written_is_refused(tmp_path: Path) -> None:
    """It says which programs run."""
    file = tmp_path / "agent.toml"
    file.write_text(HEAD)
    file.chmod(0o666)
    with pytest.raises(ConfigurationError, match="everybody may write to it"):
        load_log_rules(file)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('paths = ["log"]', "paths[0]: expected a full path"),
        ('daily = "00:00"\nevery = "1h"', "found every and daily"),
        ('daily = "25:00"', 'daily: expected a time such as "02:00"'),
        ('size = "0B"', "logs[0].size: expected a size"),
        ('compression = "bzip2"', 'expected "zstd", "gzip", "xz" or "none"'),
        ("level = 20", "logs[0].level: expected a level from 1 to 19, found 20"),
        ('timezone = "Mars"', "logs[0].timezone: expected the name of a zone"),
        ('exclude = ["["]', "logs[0].exclude: expected a pattern, in which a [ has its ]"),
        ("then = {}", "logs[0].then: expected what is to be done: reload, signal or command"),
        ('compression = "none"\nlevel = 1', "expected no level for no compression"),
        ("mode = 640", "logs[0].mode: expected an octal mode"),
        ('copytruncate = true\nmode = "0640"', "expected no owner, group and mode"),
        ('create = false\nowner = "root"', "expected create = true beside them"),
        ('date_format = "-%j"', "date_format: expected text with %Y"),
        ('date_format = "-now"', "date_format: expected one of %Y"),
        ('folder = "../old"', "folder: expected a path without .."),
        ('units = ["web.service"]', "expected budget beside them"),
        ('class = "audit"\ncount = 3', "expected archive beside it"),
        ('class = "audit"\nkeep_free = "1GiB"', "expected archive beside it"),
        ('class = "audit"\nmax_age = "90d"', "expected archive beside it"),
        ('then = { signal = "USR1" }', "expected either unit or pid_file beside it"),
        ('then = { signal = "FOO", unit = "a.service" }', 'expected a name such as "HUP"'),
        ('then = { unit = "a.service" }', "expected signal beside them"),
        ('then = { reload = "--now" }', "logs[0].then.reload: expected the name of a unit"),
        ('then = { command = "nginx -s reopen" }', "expected an array of text, the program first"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, said: str) -> None:
    """Each is told where it stands, with what was expected."""
    head = HEAD.replace('paths = ["/var/log/web/*.log"]\n', "") if text.startswith("paths") else HEAD
    (tmp_path / "agent.toml").write_text(head + text)
    with pytest.raises(ConfigurationError) as refused:
        load_log_rules(tmp_path / "agent.toml")
    assert said in str(refused.value)
    assert str(refused.value).startswith(f"{tmp_path}/agent.toml:")


def test_a_wrong_option_is_told_where_it_stands(tmp_path: Path) -> None:
    """And along with mistakes in others, but for those that it follows from."""
    (tmp_path / "agent.toml").write_text(HEAD + 'count = "many"\nfolder = "../old"\n')
    with pytest.raises(ConfigurationError) as refused:
        load_log_rules(tmp_path / "agent.toml")
    line = HEAD.count("\n") + 1
    count, folder = str(refused.value).splitlines()
    assert count.startswith(f"{tmp_path}/agent.toml:{line}: logs[0].count: expected ")
    assert folder == f"{tmp_path}/agent.toml:{line + 1}: logs[0].folder: expected a path without .."
    (tmp_path / "agent.toml").write_text(HEAD + 'weekly = "sundy"\nlevel = 99\n')
    with pytest.raises(ConfigurationError) as refused:
        load_log_rules(tmp_path / "agent.toml")
    assert [text.split(": ")[1] for text in str(refused.value).splitlines()] == ["logs[0].weekly", "logs[0].level"]
    (tmp_path / "agent.toml").write_text(HEAD + 'compression = "lzma"\nlevel = 0\n')
    with pytest.raises(ConfigurationError) as refused:
        load_log_rules(tmp_path / "agent.toml")
    assert "level" not in str(refused.value).partition("compression")[2]


def test_everything_at_once(tmp_path: Path) -> None:
    """All options have the values that are given."""
    text = (
        'exclude = ["debug.log"]\nsize = "10MiB"\nage = "12h"\nweekly = "sunday 02:00"\nlow_disk = "1GiB"\n'
        'min_size = "1KiB"\nclass = "performance"\ncount = 9\nmax_age = "7d"\ntotal_size = "1GiB"\n'
        'keep_free = "2GiB"\narchive = "nightly"\nbudget = "3GiB"\nunits = ["web.service"]\n'
        'compression = "xz"\nlevel = 1\nthreads = 2\ndelay = true\nnames = "number"\nfolder = "old"\n'
        'owner = "root"\ngroup = "adm"\nmode = "0640"\nsu = "root:adm"\nbefore = ["/bin/true"]\n'
        'then = { reload = "web.service", signal = "USR1", pid_file = "/run/web.pid", command = ["/bin/true"] }\n'
    )
    found = rule(tmp_path, f'{text}[backups.nightly]\npaths = ["/etc"]\nrepository = "/srv/a"\n')
    defaults = LogOptions(name="web", paths=found.paths)
    same = {name for name in msgspec.structs.asdict(found) if getattr(found, name) == getattr(defaults, name)}
    assert same == {
        "name",
        "paths",
        *("every", "daily", "monthly", "quarterly", "yearly", "timezone", "jitter", "catch_up"),
        *("create", "copytruncate", "date_format", "enabled", "description"),
    }
    assert found.age == Duration(43200)
    assert found.budget == Size(3 * 2**30)
