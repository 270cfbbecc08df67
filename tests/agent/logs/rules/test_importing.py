"""Logrotate's configuration as rules of ours: the same logs on the same days, and what differs is said."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from datetime import datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.config.log_rules import load_log_rules
from agent.config.logs import LogOptions
from agent.logs.rotate import due
from agent.logs.rotate.facts import Facts
from agent.logs.rotate.language import read
from agent.logs.rotate.moment import at
from agent.logs.rotate.rule import Section
from agent.logs.rotate.say import Voice
from agent.logs.rules.importing import Accounts, import_sections
from agent.logs.rules.judge import Log, judge
from kit.units import Size
from tests.zones import zone

DAY = 86400
ACCOUNTS = Accounts(lambda number: f"u{number}", lambda number: f"g{number}")

NGINX = """\
/var/log/nginx/*.log {
\tdaily
\tmissingok
\trotate 14
\tcompress
\tdelaycompress
\tnotifempty
\tcreate 0640 root root
\tsharedscripts
\tprerotate
\t\tif [ -d /etc/logrotate.d/httpd-prerotate ]; then \\
\t\t\trun-parts /etc/logrotate.d/httpd-prerotate; \\
\t\tfi \\
\tendscript
\tpostrotate
\t\tinvoke-rc.d nginx rotate >/dev/null 2>&1
\tendscript
}
"""
RSYSLOG = """\
/var/log/syslog
/var/log/mail.log
/var/log/kern.log
{
\trotate 4
\tweekly
\tmissingok
\tnotifempty
\tcompress
\tdelaycompress
\tsharedscripts
\tpostrotate
\t\t/usr/lib/rsyslog/rsyslog-rotate
\tendscript
}
"""
POSTGRESQL = """\
/var/log/postgresql/*.log {
       weekly
       rotate 10
       copytruncate
       delaycompress
       compress
       notifempty
       missingok
       su root root
}
"""
APT = """\
/var/log/apt/term.log {
  rotate 12
  monthly
  compress
  missingok
  notifempty
}

/var/log/apt/history.log {
  rotate 12
  monthly
  compress
  missingok
  notifempty
}
"""
DPKG = """\
/var/log/dpkg.log {
	monthly
	rotate 12
	compress
	delaycompress
	missingok
	notifempty
	create 644 root root
}
"""
WTMP = "/var/log/wtmp {\n missingok\n monthly\n create 0664 root root\n minsize 1M\n rotate 1\n}\n"
BIG = "/var/log/big {\n daily\n maxsize 1M\n rotate 3\n}\n"
BY_SIZE = "/var/log/size {\n size 1M\n rotate 3\n}\n"
YEARLY = "/var/log/year {\n yearly\n rotate 3\n}\n"
TYPICAL = [NGINX, RSYSLOG, POSTGRESQL, APT, DPKG, WTMP, BIG, BY_SIZE, YEARLY]

Import = Callable[[str], tuple[list[Section], str, tuple[LogOptions, ...]]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Reads a file of logrotate's: its sections, the text that it becomes, and the rules in that."""

    def read_and_import(text: str) -> tuple[list[Section], str, tuple[LogOptions, ...]]:
        file = tmp_path / "logrotate.d" / "app"
        file.parent.mkdir(exist_ok=True)
        file.write_text(text)
        sections, failed = read([str(file)], Voice(), debug=True)
        assert not failed
        toml = import_sections(sections, ACCOUNTS)
        (tmp_path / "agent.toml").write_text(toml)
        return sections, toml, load_log_rules(tmp_path / "agent.toml")

    return read_and_import


@pytest.fixture(autouse=True)
def _berlin() -> Iterator[None]:
    """A zone that changes to summer time and back: logrotate's days are those of the host."""
    with zone("Europe/Berlin"):
        yield


EXAMPLES = int(os.environ.get("HOSTWARD_EXAMPLES", "8"))
SIZES = st.lists(st.sampled_from([0, 1, 2**20 - 1, 2**20, 2**20 + 1, 2**21]), min_size=80, max_size=80)
BEGIN = st.integers(0, 365).map(lambda days: datetime(2026, 1, 1, 0, 4).astimezone() + timedelta(days=days))


@pytest.mark.parametrize("text", TYPICAL)
def test_the_same_days(text: str, imported: Import) -> None:
    """Run each night, the rule rotates on the days on which logrotate does, whatever the sizes.

    But a weekly log that was empty on its day: ours is rotated as soon as it has something, theirs on its day again.
    """
    (section, *_), _, (rule, *_) = imported(text)

    @settings(max_examples=EXAMPLES)
    @given(BEGIN, SIZES)
    def same(begin: datetime, sizes: list[int]) -> None:
        theirs = ours = begin.timestamp()
        for number, size in enumerate(sizes):
            wall = (begin.replace(tzinfo=None) + timedelta(days=number, seconds=number * 37 % 3000)).astimezone()
            now = wall.timestamp()
            size = max(size, 1) if rule.weekly else size
            facts = Facts(size=size, modified=0, device=1, inode=1, mode=0o644, uid=0, gid=0)
            expected = due.judge(section.rule, "/log", facts, at(theirs), at(now), force=False).due
            found = judge(rule, Log(size), ours, now, host="h")
            # logrotate's maxsize is the last byte that may be; here it is the first that may not.
            if not (size == section.rule.maxsize and rule.size == Size(size)):
                assert found.due == expected, (wall, size, found)
            if expected:
                theirs = ours = now

    same()


def test_what_it_becomes(imported: Import) -> None:
    """A section with nearly everything, as its lines."""
    _, toml, (rule,) = imported(NGINX)
    place = toml.partition("From ")[2].partition(":1.")[0]
    assert toml == (
        f"# From {place}:1.\n"
        '[[logs]]\nname = "app"\npaths = ["/var/log/nginx/*.log"]\ndaily = "00:00"\ncount = 14\n'
        'compression = "gzip"\ndelay = true\nnames = "number"\nowner = "u0"\ngroup = "g0"\nmode = "0640"\n'
        'before = ["/bin/sh", "-c", \'\'\'\n'
        "if [ -d /etc/logrotate.d/httpd-prerotate ]; then \\\n"
        "\trun-parts /etc/logrotate.d/httpd-prerotate; \\\n"
        "fi \\\n''']\n"
        'then = { command = ["/bin/sh", "-c", \'\'\'\n'
        "invoke-rc.d nginx rotate >/dev/null 2>&1\n''']"
        " }\n"
    )
    assert rule.then is not None
    assert rule.then.command[2] == "invoke-rc.d nginx rotate >/dev/null 2>&1\n"


def test_sections_that_are_alike_are_one_rule(imported: Import) -> None:
    """As those of apt."""
    _, toml, rules = imported(APT)
    assert [rule.paths for rule in rules] == [("/var/log/apt/term.log", "/var/log/apt/history.log")]
    assert ":1 and 9.\n" in toml
    _, _, rules = imported(APT + DPKG + WTMP)
    assert [rule.name for rule in rules] == ["app", "app-2", "app-3"]


@pytest.mark.parametrize(
    ("directives", "line"),
    [
        ("hourly", 'every = "1h"'),
        ("weekly 3", 'weekly = "wednesday 00:00"'),
        ("weekly 7", 'age = "7d"'),
        ("yearly", 'yearly = "january 1 00:00"'),
        ("size 100k", 'size = "100KiB"'),
        ("daily\nmaxsize 2M", 'size = "2MiB"'),
        ("daily\nminsize 1k", 'min_size = "1KiB"'),
        ("daily", 'min_size = "0B"'),
        ("daily\nmaxage 9", 'max_age = "9d"'),
        ("daily\nrotate 0", "count = 0"),
        ("daily\nnocreate", "create = false"),
        ("daily\ndateext", 'date_format = "-%Y%m%d"'),
        ("hourly\ndateext", 'date_format = "-%Y%m%d%H"'),
        ("daily\ndateext\ndateformat .%s", 'date_format = ".%s"'),
        ("daily\nsu root root", 'su = "u0:g0"'),
        ("daily\ncompress\ncompresscmd /usr/bin/xz\ncompressext .xz", 'compression = "xz"'),
        ("daily\ncompress\ncompresscmd /usr/bin/zstd\ncompressext .zst", 'compression = "zstd"'),
        ("daily\ncompress\ncompressoptions -9", "level = 9"),
        ("daily\nsharedscripts\npostrotate\n a '''b'\nendscript", "\"a '''b'\\n\"] }"),
    ],
)
def test_directives(directives: str, line: str, imported: Import) -> None:
    """What has an option here becomes that."""
    _, toml, _ = imported(f"/var/log/a.log {{\n{directives}\n}}\n")
    assert line in toml
    assert toml.count("# ") == 1


@pytest.mark.parametrize(
    ("directives", "note"),
    [
        ("daily\nminage 3", "minage 3 is left out: there is no such option here."),
        ("daily\nrotate -1", "rotate -1 kept all old ones for ever."),
        ("daily\nshred", "shred is left out: there is no such option here."),
        ("daily\nmail root", "mail is left out: there is no such option here."),
        ("daily\nallowhardlink", "allowhardlink is left out: there is no such option here."),
        ("daily\ncopy", "copy is left out: a log is moved away or, with copytruncate, emptied."),
        ("daily\nrenamecopy", "renamecopy is left out: the folder of old ones has to be in the log's file system."),
        ("daily\nstart 0", "start 0 is left out: the newest old one is .1."),
        ("daily\nextension .log", "extension .log is left out: numbers and dates stand at the end of names."),
        ("daily\ndateext\ndateyesterday", "dateyesterday is left out: names hold the moment of rotation."),
        ("daily\ncompress\ncompresscmd /bin/bzip2", "/bin/bzip2 compressed them; here zstd does."),
        ("daily\ncompress\ncompressext .z", "compressext .z is left out: compressed ones end in .gz."),
        ("daily\ncompress\ncompressoptions --rsyncable", "the compressoption --rsyncable is left out."),
        (
            "daily\npostrotate\n true\nendscript",
            "postrotate ran for each log; here it runs once for all that are rotated.",
        ),
        ("daily\nlastaction\n echo $1\nendscript", "lastaction looks at its arguments: here it gets none."),
        (
            "daily\nsharedscripts\npostrotate\na\nendscript\nlastaction\nb\nendscript",
            "postrotate and lastaction are one",
        ),
        ("daily\npreremove\n true\nendscript", "preremove is left out: there is no such option here."),
    ],
)
def test_what_differs_is_said(directives: str, note: str, imported: Import) -> None:
    """As a comment above the table, which is still a right one."""
    _, toml, rules = imported(f"/var/log/a.log {{\n{directives}\n}}\n")
    assert f"# {note}" in toml
    assert len(rules) == 1
