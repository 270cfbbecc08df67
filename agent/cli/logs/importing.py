"""`hostward logs import`: logrotate's configuration as rules of ours."""

from __future__ import annotations

import argparse
import grp
import pwd
from collections.abc import Sequence

from agent.logs.rotate.language import read
from agent.logs.rotate.rule import Section
from agent.logs.rotate.say import Voice
from agent.logs.rules.ear import Ear
from agent.logs.rules.importing import Accounts, import_sections
from kit.commands import Command

LOGROTATE = "/etc/logrotate.conf"
PARTLY = 3


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument(
        "files", nargs="*", metavar="CONFIG", help=f"files and folders that logrotate reads; {LOGROTATE}"
    )


def run(options: argparse.Namespace) -> int:
    """Print the tables. What cannot be read is told on standard error, in logrotate's words."""
    sections, failed = read(options.files or [LOGROTATE], Voice(), debug=True)
    if options.files:
        sections = _as_included(sections)
    print(
        "# Printed by `hostward logs import`. Logs that are missing are no mistake here. Old logs keep their names;"
    )
    print(
        '# without the lines `names = "number"` and `compression = "gzip"` new ones are named by time, and by zstd.'
    )
    print()
    print(import_sections(sections, Accounts(_user, _group)), end="")
    return PARTLY if failed else 0


def _as_included(sections: Sequence[Section]) -> list[Section]:
    """The same with the defaults of logrotate's own file, for those that it includes: alone they would keep nothing
    old. What is wrong with that file is not asked for here."""
    included = {_key(section): section for section in read([LOGROTATE], Ear(), debug=True)[0]}
    return [included.get(_key(section), section) for section in sections]


def _key(section: Section) -> tuple[str, str]:
    """Files of a folder that is included are told by their names without it."""
    return section.place.rpartition("/")[2], section.pattern


def _user(number: int) -> str:
    try:
        return pwd.getpwuid(number).pw_name
    except KeyError:
        return str(number)


def _group(number: int) -> str:
    try:
        return grp.getgrgid(number).gr_name
    except KeyError:
        return str(number)


IMPORT = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs import > /etc/hostward/agent.d/logs.toml
  hostward logs import /etc/logrotate.d/nginx""",
    notes="""\
A file that /etc/logrotate.conf includes gets its defaults from there.
What a rule of ours cannot say stands above it as comments. `hostward config check` tells whether the file is right,
and `hostward logs plan` what it would do. Logs that rules of ours rotate should no longer be rotated by logrotate.
exit codes: 0 done, 2 bad usage, 3 some of it could not be read.""",
)
