"""A month of two hosts of Debian: one whose logs are rotated by hostward, and its twin, which has logrotate.

The host switches from logrotate and back as docs/logs.md tells it.
"""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from itertools import chain
from pathlib import Path

import pytest

from tests import newer
from tests.fleet import layers
from tests.fleet.a_month import PLACES, Diary, File, Night, Orders
from tests.fleet.fleet import Fleet
from tests.fleet.host import Host
from tests.peers import logrotate
from tests.require import require

DRIVER = Path(__file__).with_name("a_month.py")
SOURCE = "/usr/src/hostward"
LINES = 20
OURS = ["hostward", "logrotate"]


class Page:
    """The commands of docs/logs.md about switching, as its reader comes by them."""

    def __init__(self, repository: Path) -> None:
        page = (repository / "docs/logs.md").read_text()
        part = page.partition("## Switching from logrotate\n")[2].partition("\n## ")[0]
        blocks = re.findall(r"```sh\n(.*?)```", part, re.DOTALL)
        self.look, self.switch, self.start, self.divert, self.undivert, self.back = blocks


@pytest.fixture
def page(repository: Path) -> Page:
    """How to switch."""
    return Page(repository)


@contextmanager
def writing(fleet: Fleet, repository: Path, count: int) -> Iterator[list[Host]]:
    """Hosts that write logs as Debian's packages have it, and have a checkout's units."""
    with fleet.hosts(count, layers.layers(repository, layers.SERVERS)) as made:
        for host in made:
            shutil.copytree(repository / "systemd", host.root / SOURCE.lstrip("/") / "systemd")
        yield made


@pytest.fixture
def twins(fleet: Fleet, repository: Path) -> Iterator[list[Host]]:
    """Two that start the same."""
    with writing(fleet, repository, 2) as two:
        yield two


@pytest.fixture
def one(fleet: Fleet, repository: Path) -> Iterator[Host]:
    """For a test that needs no twin."""
    with writing(fleet, repository, 1) as [host]:
        yield host


def typed(host: Host, block: str) -> str:
    """What a block of the page prints, in a checkout; the first command that fails ends it."""
    return host.run(f"set -ex; cd {SOURCE}; {block}").stdout


def lived(twins: list[Host], first: str, nights: int, before: list[Diary] | None, busy: bool = False) -> list[Diary]:
    """What both wrote into their diaries, who live it at the same time. What each night brings is announced by ours,
    and by the newest logrotate, whose words ours has.
    """

    def live(host: Host, announced: list[str], past: Diary | None) -> Diary:
        orders = Orders(first=first, nights=nights, lines=LINES, announced=announced, busy=busy, before=past)
        done = host.run(["python3", "-c", DRIVER.read_text()], input=json.dumps(orders), timeout=600)
        diary: Diary = json.loads(done.stdout)
        return diary

    with ThreadPoolExecutor() as pool:
        return list(pool.map(live, twins, [OURS, logrotate()], before or [None, None]))


def assert_alike(ours: Night, theirs: Night) -> None:
    """The same names, owners, modes and lines; the same state; the same said and announced."""
    day = theirs["day"]
    assert (ours["code"], ours["said"]) == (theirs["code"], theirs["said"]) == (0, ""), day
    assert ours["files"] == theirs["files"], day
    assert ours["state"] == theirs["state"], day
    assert ours["dry"].splitlines() == theirs["dry"].splitlines(), day


def of_log(files: dict[str, File], log: str) -> list[File]:
    """A log with what it was rotated to, the oldest first."""
    found = {}
    for path, file in files.items():
        if (match := re.fullmatch(re.escape(log) + r"(?:\.(\d+)(?:\.gz)?)?", path)) is not None:
            number = int(match[1] or 0)
            assert number not in found, f"{path} is there twice"
            found[number] = file
    return [found[number] for number in sorted(found, reverse=True)]


def assert_whole(diary: Diary, kinds: list[str]) -> None:
    """Of each kind there are all lines, each once and in order, from the oldest that is kept to the last written."""
    for kind in kinds:
        for log in PLACES[kind]:
            kept = of_log(diary["nights"][-1]["files"], log)
            shown = [
                line.removeprefix(f"{kind}-") for file in kept for line in file["lines"] if line.startswith(kind)
            ]
            numbers = list(chain.from_iterable(range(int(line[:6]), int(line[-6:]) + 1) for line in shown))
            assert numbers == list(range(numbers[0], diary["counts"][kind] + 1)), f"{kind} in {log}: {shown}"


def test_a_month_in_place_of_logrotate(twins: list[Host], page: Page) -> None:
    """Night after night the twins are the same; who switches back goes on as if nothing had been; nothing is lost."""
    newest = newer.FOLDER / "logrotate"
    require(newest.exists(), "logrotate 3.22 (make test fetches it when run as root on Debian)")
    host, twin = twins
    shutil.copytree(newest, twin.root / str(newest).lstrip("/"), symlinks=True)
    typed(host, page.switch)
    month = lived(twins, "2026-03-01", 32, None)
    for ours, theirs in zip(*(diary["nights"] for diary in month), strict=True):
        assert_alike(ours, theirs)
    for diary in month:
        assert_whole(diary, list(PLACES))
    (last,) = (diary["nights"][-1]["files"] for diary in month[:1])
    assert {len(of_log(last, log)) for log in ("nginx/access.log", "syslog")} == {15, 5}

    typed(host, page.back)
    after = lived(twins, "2026-04-02", 1, month)
    assert_alike(after[0]["nights"][0], after[1]["nights"][0])

    typed(host, page.switch)
    busy = lived(twins, "2026-04-03", 3, after, busy=True)
    for diary in busy:
        assert [(night["code"], night["said"]) for night in diary["nights"]] == [(0, "")] * 3
        assert_whole(diary, [kind for kind in PLACES if kind != "query"])


def test_a_host_switches_as_the_page_says(one: Host, page: Page) -> None:
    """Both would do the same; the timer's unit, and whoever calls logrotate by its name, have ours until it goes."""
    assert "they would do the same" in typed(one, page.look)
    typed(one, page.switch)
    assert "Result=success" in typed(one, page.start)
    assert "hostward logrotate" in one.run("systemctl show --property=ExecStart logrotate.service").stdout
    typed(one, page.back)
    assert "hostward" not in one.run("systemctl cat logrotate.service").stdout
    typed(one, page.divert)
    assert one.run("logrotate --version 2>&1").stdout == one.run("hostward logrotate --version 2>&1").stdout
    typed(one, page.undivert)
    assert one.run("dpkg --verify logrotate && systemctl start logrotate.service").stdout == ""
