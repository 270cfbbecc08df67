"""Random cases: configurations, folders in which something happens, and runs over days.

They are drawn from a `random.Random`: one with a seed of its own for each case of a long run, so that a case is known
by its number; hypothesis's in the tests, so that it makes small what it finds.
"""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import dataclass, field
from random import Random
from typing import TypeVar

from tests.agent.logs.rotate.differential.case import FOLDER, Case, Entry, Run
from tests.agent.logs.rotate.differential.directives import BODIES, COMMON, RARE, SCRIPTS, STRANGE, THEMES

T = TypeVar("T")

HOUR, DAY = 3600, 86400
TIMEZONES = ("UTC", "UTC", "UTC", "Europe/Berlin", "America/New_York", "Australia/Lord_Howe", "Asia/Kolkata")
DATES = (
    "2020-01-01",  # a year, a month
    "2020-02-29",
    "2020-03-01",  # a Sunday
    "2020-03-29",  # clocks go forward in Europe
    "2020-10-25",  # and back
    "2021-03-14",  # America
    "2021-11-07",
    "2021-04-04",  # half an hour in Lord Howe
    "2022-12-31",
    "2023-01-02",
    "2021-06-16",
    "2024-02-05",
    "2018-12-30",  # in the first week of 2019 by %V
)
TIMES = ("00:00:00", "00:00:01", "00:59:59", "02:30:00", "03:10:05", "12:00:00", "12:34:56", "22:00:00", "23:59:59")
LAPSES = (0, 60, HOUR - 1, HOUR, 2 * HOUR, DAY - HOUR, DAY - 1, DAY, DAY, DAY, DAY + 1, 2 * DAY, 6 * DAY, 7 * DAY)
LONG_LAPSES = (8 * DAY, 28 * DAY, 31 * DAY, 32 * DAY, 365 * DAY, 366 * DAY, 800 * DAY, -HOUR, -DAY, -40 * DAY)
LOGS = (
    "log/a.log",
    "log/b.log",
    "log/app",
    "log/sub/c.log",
    "log/a.txt",
    "log/with space.log",
    "log/.hidden",
    "top/top.log",
)
ODD_LOGS = (
    "log/it's.log",
    'log/"quoted".log',
    "log/glob[1].log",
    "log/star*.log",
    "log/-dash",
    "log/é.log",
    "log/a\\b",
)
PATTERNS = ("log/*.log", "log/*", "log/?.log", "log/[ab].log", "log/none*.log", "log", "log/*/c.log", "log/{a,b}.log")
OUTSIDE = (
    "include /FOLDER/included.d",
    "include included.d",
    "include ~/included.d/one",
    "tabooext .bak",
    "tabooext + .rpmsave,e",
    "tabooext + *e",
    "taboopat + *.bak,o*",
    "taboopat t*",
)
SIZES = (0, 0, 1, 30, 30, 300, 300, 300, 2000, 5000)
MODES = ("", "", "", "0600", "0640", "0666", "0444", "0000", "4755")
OWNERS = ("", "", "", "root:adm", "nobody:nogroup", "daemon:root")
FOLDER_MODES = (*[""] * 16, "0700", "0700", "0775", "0777", "1777", "0555", "2755")
OPTIONS: tuple[tuple[str, ...], ...] = (
    ("-v",),
    ("-v",),
    ("-v",),
    ("-v",),
    ("-v", "-f"),
    ("-v", "-f"),
    ("-v", "-f"),
    ("-vf",),
    ("-f",),
    (),
    ("-d",),
    ("-d", "-f"),
)
COMMANDS: tuple[tuple[str, ...], ...] = (
    (),
    ("-v",),
    ("-s",),
    ("-x", "logrotate.conf"),
    ("--nosuch", "logrotate.conf"),
    ("--usage",),
    ("--help",),
    ("-?",),
    ("--version",),
    ("-vdf", "-sstatus", "logrotate.conf"),
    ("-vfsstatus", "logrotate.conf"),
    ("--verbose", "--force", "--state=status", "logrotate.conf"),
    ("--debug", "--state", "status", "--log", "said", "logrotate.conf"),
    ("logrotate.conf", "-v", "-s", "status"),
    ("-v", "-s", "status", "--", "logrotate.conf"),
    ("-v", "-s", "status", "logrotate.conf", "nothing.conf"),
    ("-v", "-s", "status", "nothing.conf"),
    ("-v", "-s", "status", "/FOLDER/logrotate.conf", "logrotate.conf"),
    ("-v", "-s", "status", "included.d", "logrotate.conf"),
    ("-v", "-s", "status", "."),
    ("-v", "-s", "no/status", "logrotate.conf"),
    ("-v", "-s", "log", "logrotate.conf"),
    ("-v", "-s", "status", "-s", "other", "logrotate.conf"),
    ("-v", "-s", "status", "--verbose=1", "logrotate.conf"),
)
"""Whole command lines; all that would read a configuration name a state file, lest the host's be used."""
TOOLS = (
    Entry(path="bin/mail", mode="0755", text='#!/bin/sh\n(echo "mail $*"; cat) >> /FOLDER/mails\n'),
    Entry(path="bin/press", mode="0755", text='#!/bin/sh\necho "press $*" >> /FOLDER/order\nexec cat\n'),
    Entry(
        path="bin/fails", mode="0755", text="#!/bin/sh\ncat > /dev/null\necho partial\necho it fails >&2\nexit 2\n"
    ),
)
ONE = "\ue000"
"""A letter for the folder's path."""
NOISE = (
    '"',
    "'",
    "{",
    "}",
    "\n",
    "\\",
    "#",
    "=",
    " ",
    "\t",
    "~",
    "*",
    "\r",
    "é",
    "endscript\n",
    "}\n}\n",
    "{\n",
    "=" * 3,
    "\x01",
)


def chance(random: Random, percent: int) -> bool:
    """True that often."""
    return random.randrange(100) >= 100 - percent


def some(random: Random, values: Sequence[T], least: int, most: int) -> list[T]:
    """That many of them, each once."""
    return random.sample(values, random.randint(least, most))


@dataclass
class World:
    """What a case is made of while it is drawn."""

    clock: datetime.datetime
    logs: list[str]
    entries: list[Entry] = field(default_factory=list)
    text: str = ""
    """All that stands in configurations."""


def drawn(random: Random) -> Case:
    """Any case."""
    clock = datetime.datetime.fromisoformat(f"{random.choice(DATES)} {random.choice(TIMES)}")
    world = World(clock, some(random, LOGS, 1, 3))
    if chance(random, 3):
        world.logs.append(random.choice(ODD_LOGS))
    configurations(random, world)
    folder(random, world)
    world.entries += [
        tool for tool in TOOLS if tool.path in world.text or (tool.path == "bin/mail" and "mail" in world.text)
    ]
    states(random, world)
    return Case(what="Drawn by chance.", timezone=random.choice(TIMEZONES), runs=runs(random, world))


def configurations(random: Random, world: World) -> None:
    """The main one, and sometimes others beside it."""
    text = configuration(random, world)
    if chance(random, 6):
        text = mutated(random, text)
    mode = random.choice(("0664", "0666", "0600", "0444")) if chance(random, 3) else ""
    world.text = text
    if chance(random, 8) or "included.d" in text:
        if "included.d" not in text:
            text = f"include {random.choice(('/FOLDER/included.d', 'included.d'))}\n{text}"
        for name in some(random, ("one", "two.bak", "three~", "a.rpmsave"), 0, 3):
            world.entries.append(Entry(path=f"included.d/{name}", text=configuration(random, world)))
            world.text += world.entries[-1].text
    world.entries.append(Entry(path="logrotate.conf", text=text, mode=mode))


def configuration(random: Random, world: World) -> str:
    """The text of one."""
    lines = directives(random, most=3, rarely=30) if chance(random, 60) else []
    for _ in range(1 if chance(random, 85) else 2):
        if chance(random, 5):
            lines += some(random, OUTSIDE, 1, 2)
        lines += section(random, world)
        if chance(random, 10):
            lines += directives(random, most=2, rarely=50)
    return "\n".join(lines) + ("\n" if chance(random, 95) else "")


def directives(random: Random, most: int, rarely: int) -> list[str]:
    """Lines, of which `rarely` percent are of the rare ones."""
    lines = []
    for _ in range(random.randint(0, most)):
        name, good, bad = random.choice(RARE if chance(random, rarely) else STRANGE if chance(random, 3) else COMMON)
        value = random.choice(bad if chance(random, 1) else good)
        between = " " if chance(random, 90) else random.choice(("=", " = ", "\t", "  ", "= "))
        line = name + (between + value if value else "")
        if chance(random, 1):
            line += random.choice((" ", " # a comment", "\t", ";", " extra"))
        lines.append(line)
    return lines


def section(random: Random, world: World) -> list[str]:
    """Patterns, and what is said of them in braces."""
    patterns = []
    names = [random.choice(PATTERNS) if chance(random, 30) else log for log in world.logs if chance(random, 60)]
    for name in names or [random.choice((*world.logs, *PATTERNS[:3]))]:
        path = f"/FOLDER/{name}"
        if " " in name or chance(random, 10):
            quote = random.choice([quote for quote in "\"'" if quote not in name])
            path = f"{quote}{path}{quote}"
        elif chance(random, 2):
            path = random.choice(
                (f"~/{name}", name, f"/FOLDER/./{name}", f"/FOLDER//{name}", path.replace("a", "\\a"))
            )
        patterns.append(path)
    inner = directives(random, most=8, rarely=25)
    if chance(random, 60):
        inner.insert(0, random.choice(("hourly", "daily", "daily", "weekly", "monthly", "yearly", "size 10")))
    if chance(random, 60):
        inner.insert(0, f"rotate {random.randint(0, 4)}")
    if chance(random, 50):
        inner += random.choice(THEMES)
    for name in SCRIPTS:
        if chance(random, 12):
            body = random.choice(BODIES).replace("NAME", name)
            inner.insert(random.randint(0, len(inner)), f"{name}\n\t\t{body}\n\tendscript")
    between = random.choice((" ", " ", " ", "\n", " \n", "  "))
    opening = random.choice((" {", " {", " {", "{", "\n{", " { "))
    return [between.join(patterns) + opening, *(f"\t{line}" for line in inner), "}"]


def mutated(random: Random, text: str) -> str:
    """With a slip or two of the pen, which makes no other folder's path."""
    text = text.replace(f"{FOLDER}/", ONE)
    for _ in range(random.randint(1, 2)):
        at = random.randint(0, len(text))
        what = random.randint(0, 3)
        if what == 0:
            text = text[:at] + random.choice(NOISE) + text[at:]
        elif what == 1:
            text = text[:at] + text[at + random.randint(1, 8) :]
        elif what == 2:
            text = text[:at]
        else:
            lines = text.split("\n")
            line = random.randint(0, len(lines) - 1)
            lines[line : line + 1] = [lines[line]] * random.choice((0, 2))
            text = "\n".join(lines)
    return text.replace(ONE, f"{FOLDER}/")


def folder(random: Random, world: World) -> None:
    """Logs, those that were rotated before, and sometimes something that is in the way."""
    for name in ("log", "old", "log/old"):
        if name == "log" or chance(random, 50 if "olddir" in world.text else 2):
            mode, owner = random.choice(FOLDER_MODES), random.choice(OWNERS) if chance(random, 5) else ""
            if "su nobody" in world.text and chance(random, 80):
                owner = "nobody:nogroup"
            world.entries.append(Entry(path=name, kind="folder", mode=mode, owner=owner))
    for log in world.logs:
        if chance(random, 95):
            world.entries.append(the_log(random, world, log))
        rotated(random, world, log)
    if chance(random, 5):
        kind = random.choice(("link", "hardlink", "folder", "fifo"))
        log = random.choice(world.logs)
        if kind == "hardlink":
            world.entries += [Entry(path="other", size=30), Entry(path=log, kind="hardlink", to="other")]
        elif kind == "link":
            to = random.choice(("/FOLDER/other", "other", "/FOLDER/nothing"))
            world.entries += [Entry(path="other", size=30), Entry(path=log, kind="link", to=to)]
        elif not any(entry.path.startswith(f"{log}") for entry in world.entries):
            world.entries.append(Entry(path=log, kind=kind))


def the_log(random: Random, world: World, log: str) -> Entry:
    """As someone writes it."""
    age = random.choice((0, 60, HOUR, DAY, 40 * DAY))
    return Entry(
        path=log,
        text="first\n" if chance(random, 50) else "",
        size=random.choice(SIZES),
        mode=random.choice(MODES),
        owner="nobody:nogroup" if "su nobody" in world.text and chance(random, 70) else random.choice(OWNERS),
        acl="u:nobody:r" if chance(random, 1) else "",
        age=age,
    )


def rotated(random: Random, world: World, log: str) -> None:
    """Old ones, in names that are likely to be meant."""
    place, _, name = log.rpartition("/")
    if "olddir" in world.text and chance(random, 70):
        place = random.choice(("old", f"{place}/old".strip("/")))
    dated = chance(random, 80 if "dateext" in world.text else 5)
    stem, extension = name, ""
    if "extension" in world.text and chance(random, 80):
        stem, extension = (name[:-4], ".log") if name.endswith(".log") else (name, ".bak")
    for number in range(random.randint(0, 5)):
        if chance(random, 15):
            continue
        day = world.clock - datetime.timedelta(days=number * random.choice((1, 1, 1, 7, 30)))
        middle = (
            day.strftime(random.choice(("-%Y%m%d", "-%Y%m%d", "-%Y%m%d%H", ".%Y-%m-%d"))) if dated else f".{number}"
        )
        packed = ".gz" if chance(random, 60 if "compress" in world.text else 5) else ""
        path = "/".join(filter(None, (place, stem + middle + extension + packed)))
        if any(entry.path == path for entry in world.entries):
            continue
        kind = random.choice(("link", "folder", "fifo")) if chance(random, 1) else "file"
        world.entries.append(
            Entry(
                path=path,
                kind=kind,
                to="/FOLDER/other" if kind == "link" else "",
                text=f"{path}\n" if kind == "file" else "",
                mode=random.choice(MODES),
                age=number * DAY + random.choice((0, 0, HOUR, 10 * DAY)),
            )
        )


def states(random: Random, world: World) -> None:
    """A state file, mostly: version 2 or 1, with the last times of some logs."""
    if chance(random, 30):
        return
    version = 1 if chance(random, 10) else 2
    lines = [f"logrotate state -- version {version}"]
    for log in [*world.logs, *(["gone"] if chance(random, 20) else [])]:
        if chance(random, 15):
            continue
        last = world.clock - datetime.timedelta(seconds=random.choice(LONG_LAPSES if chance(random, 25) else LAPSES))
        when = f"{last.year}-{last.month}-{last.day}" + (
            f"-{last.hour}:{last.minute}:{last.second}" if version == 2 else ""
        )
        lines.append(f'"/FOLDER/{log}" {when}' if version == 2 or chance(random, 20) else f"/FOLDER/{log} {when}")
    text = "\n".join(lines) + "\n"
    if chance(random, 4):
        text = mutated(random, text)
    world.entries.append(
        Entry(path="status", text=text, mode=random.choice(("0640", "0640", "0644", "0600", "0666")))
    )


def runs(random: Random, world: World) -> list[Run]:
    """One or a few, with time between them in which logs are written."""
    made: list[Run] = []
    clock = world.clock
    for number in range(random.choice((1, 1, 2, 2, 3, 5))):
        entries = world.entries
        if number:
            clock += datetime.timedelta(seconds=max(0, random.choice(LONG_LAPSES if chance(random, 10) else LAPSES)))
            entries = [Entry(path=log, text=f"{number}\n", append=True) for log in world.logs if chance(random, 80)]
        options = [*random.choice(OPTIONS), "-s", "/dev/null" if chance(random, 2) else "status"]
        if "mail" in world.text:
            options += ["-m", "/FOLDER/bin/mail"]
        if chance(random, 3):
            options += random.choice(
                (["-l", "said"], ["--skip-state-lock"], ["--wait-for-state-lock"], ["-l", "no/said"])
            )
        user = "nobody" if chance(random, 2) else ""
        umask = random.choice(("077", "000", "002")) if chance(random, 4) else "022"
        words = [*options, "logrotate.conf"]
        if chance(random, 3) and "mail" not in world.text:  # what fails to start is told of in any order
            words = list(random.choice(COMMANDS))
        made.append(Run(clock=clock, options=words, entries=entries, user=user, umask=umask))
    return made
