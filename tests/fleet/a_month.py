"""Runs on a host, as root and with Debian's Python: nginx, rsyslog and PostgreSQL write, and each night logs rotate.

What writes lives in the host's own time; the nights, in which `systemctl start logrotate.service` rotates, are of the
time that libfaketime shows to what that starts. `python3 a_month.py` reads its `Orders` as JSON, and prints a `Diary`
as JSON.
"""

from __future__ import annotations

import gzip
import http.client
import json
import os
import re
import socket
import stat
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import date, timedelta
from functools import partial
from grp import getgrgid
from itertools import groupby
from pathlib import Path
from pwd import getpwuid
from typing import TypedDict

LOGS = Path("/var/log")
SYSTEMS = ("wtmp", "btmp")
"""Logs that the system itself writes to, at times of its own: what is in them is not looked at."""
STATE = Path("/var/lib/logrotate/status")
SITE = Path("/etc/nginx/conf.d/month.conf")
"""Debian's own site says nothing of pages that are not there."""
QUIET = Path("/etc/rsyslog.d/00-month.conf")
"""Who else has something to say, such as sshd, has it to say on one host more often than on the other."""
DROP_IN = Path("/run/systemd/system/logrotate.service.d/night.conf")
PRELOAD = Path("/run/night.env")
SAID = Path("/run/night.said")
ZONE = "Europe/Berlin"
"""Where a night in March is an hour shorter."""
PATIENCE = 60.0
"""Seconds for each thing that is waited for."""
STEP = 0.05
"""Seconds: the kernel's clock for files goes in steps, behind the host's, which may be set back a little."""
FACILITIES = {"user": 1, "mail": 2, "daemon": 3, "auth": 4, "cron": 9}
"""Of syslog, RFC 5424; all but the daemons' have files of their own beside /var/log/syslog."""
PLACES = {
    "web": ["nginx/access.log"],
    "miss": ["nginx/access.log", "nginx/error.log"],
    "query": ["postgresql/postgresql-15-main.log"],
    "daemon": ["syslog"],
    "user": ["syslog", "user.log"],
    "mail": ["syslog", "mail.log"],
    "auth": ["auth.log"],
    "cron": ["syslog", "cron.log"],
}
"""Where each kind of line is written."""
LINE = re.compile(rb"(?:/\??|LOG:  |shop: )(web|miss|query|user|mail|daemon|auth|cron)-(\d{6})\b")


class Diary(TypedDict):
    """What was seen, and what another part of the same host's life goes on from."""

    nights: list[Night]
    counts: dict[str, int]
    """Lines that were written, by kind."""
    marks: list[float]
    """When days and nights began, in turn."""


class Orders(TypedDict):
    """What a host shall live through."""

    first: str
    """The first night's date."""
    nights: int
    lines: int
    """Of each writer, a day."""
    busy: bool
    """Whether they go on while logs rotate. It is chance, then, what is in which file."""
    announced: list[str]
    """Who says beforehand what it would do: a program with its first arguments."""
    before: Diary | None


class File(TypedDict):
    """One file under /var/log."""

    mode: str
    owner: str
    count: int
    """Lines."""
    lines: list[str]
    """Ours: `web-000001..000040`, and more than one range where one is missing, double or misplaced."""
    when: int
    """When it was last written to: 1 for the first day, 2 for the night after it, 0 for before. Not of SYSTEMS."""


class Night(TypedDict):
    """What was seen after it."""

    day: str
    code: int
    said: str
    """By what rotated, on both streams."""
    dry: str
    """What had been announced just before."""
    state: str
    files: dict[str, File]


class Writers:
    """The three, each line of which has a number of its own."""

    def __init__(self, counts: dict[str, int]) -> None:
        self.counts = counts
        self.web = http.client.HTTPConnection("127.0.0.1", 8080, timeout=PATIENCE)
        self.syslog = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self.syslog.connect("/dev/log")
        words = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"]
        self.queries = subprocess.Popen(words, stdin=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)

    def write(self, kind: str) -> None:
        """One line, by whom it belongs to."""
        self.counts[kind] = self.counts.get(kind, 0) + 1
        line = f"{kind}-{self.counts[kind]:06}"
        if kind in FACILITIES:
            self.syslog.send(f"<{FACILITIES[kind] * 8 + 6}>shop: {line}".encode())
        elif kind == "query":
            assert self.queries.stdin is not None
            self.queries.stdin.write(f"DO $$ BEGIN RAISE LOG '{line}'; END $$;\n")
            self.queries.stdin.flush()
        else:
            self.web.request("GET", f"/?{line}" if kind == "web" else f"/{line}")
            self.web.getresponse().read()

    def settle(self, kinds: list[str]) -> None:
        """Wait until the last lines of these have come to the files."""
        for kind in kinds:
            line = f"{kind}-{self.counts[kind]:06}".encode()
            for path in PLACES[kind]:
                until(partial(ends_with, LOGS / path, line), f"{line!r} is in {path}")

    def day(self, number: int, lines: int) -> None:
        """What is written before a night. Some have nothing to say for a day or a week."""
        resting = {"miss"} if number % 3 == 1 else set()
        if 8 <= number < 16:
            resting.add("mail")
        kinds = [kind for kind in PLACES if kind not in resting]
        for _ in range(lines):
            for kind in kinds:
                self.write(kind)
        self.settle(kinds)

    @contextmanager
    def busy(self) -> Iterator[None]:
        """Writing without a pause until the block ends, and a little after it. PostgreSQL rests: who copies and then
        truncates a log, as its configuration has it, may lose lines between the two.
        """
        ending = threading.Event()

        def write() -> None:
            kinds = [kind for kind in PLACES if kind != "query"]
            while not ending.is_set():
                for kind in kinds:
                    self.write(kind)
                time.sleep(0.002)

        writer = threading.Thread(target=write)
        writer.start()
        try:
            yield
        finally:
            ending.set()
            writer.join()

    def close(self) -> None:
        """Let go of them."""
        self.web.close()
        self.syslog.close()
        self.queries.communicate(timeout=PATIENCE)
        if self.queries.returncode != 0:
            raise SystemExit("psql failed")


def until(condition: Callable[[], bool], what: str) -> None:
    """Wait for it. Raises SystemExit when it does not come."""
    deadline = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > deadline:
            raise SystemExit(f"never: {what}")
        time.sleep(0.002)


def ends_with(path: Path, line: bytes) -> bool:
    """Whether it is among the last lines of a file that may not be there yet."""
    try:
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 4096))
            return line in file.read()
    except FileNotFoundError:
        return False


def run(*words: str, check: bool = True, env: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """A program of the host's. Raises SystemExit with what it said when it fails and `check`."""
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=env
    )
    if check and done.returncode != 0:
        raise SystemExit(f"{' '.join(words)} ended with {done.returncode}: {done.stdout}")
    return done


def prepare() -> None:
    """Nothing rotates or writes by itself, what was said while the host started is gone, and what the service starts
    sees the time that PRELOAD says.
    """
    run("systemctl", "stop", "cron.service", "logrotate.timer", "systemd-tmpfiles-clean.timer")
    run("systemctl", "log-level", "warning")
    psql = ["runuser", "-u", "postgres", "--", "psql", "--no-psqlrc", "--quiet", "--command"]
    run(*psql, "ALTER SYSTEM SET log_checkpoints = off")
    run(*psql, "SELECT pg_reload_conf()")
    SITE.write_text("server { listen 127.0.0.1:8080; root /var/www/html; index index.nginx-debian.html; }\n")
    run("systemctl", "reload", "nginx.service")
    QUIET.write_text('if not ($programname == ["shop", "rsyslogd"]) then stop\n')
    run("systemctl", "restart", "rsyslog.service")
    DROP_IN.parent.mkdir(parents=True, exist_ok=True)
    DROP_IN.write_text(
        "[Unit]\nStartLimitIntervalSec=0\n"
        f"[Service]\nEnvironmentFile={PRELOAD}\nStandardOutput=truncate:{SAID}\nStandardError=inherit\n"
    )
    run("systemctl", "daemon-reload")
    writers = Writers({})
    for kind in PLACES:
        writers.write(kind)
    writers.settle(list(PLACES))
    writers.close()
    for path in ["wtmp", *(path for paths in PLACES.values() for path in paths)]:
        os.truncate(LOGS / path, 0)


def rotate(day: date, announced: list[str]) -> tuple[int, str, str]:
    """What the timer does at midnight: its exit code, what it said, and what had been announced."""
    (library,) = Path("/usr/lib").glob("*/faketime/libfaketimeMT.so.1")
    variables = {
        "LD_PRELOAD": str(library),
        "FAKETIME": f"{day} 00:00:00",
        "NO_FAKE_STAT": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
        "TZ": ZONE,
    }
    PRELOAD.write_text("".join(f'{name}="{value}"\n' for name, value in variables.items()))
    dry = run(*announced, "--debug", "/etc/logrotate.conf", env={**os.environ, **variables})
    run("systemctl", "start", "logrotate.service", check=False)
    code = run("systemctl", "show", "--property=ExecMainStatus", "--value", "logrotate.service").stdout
    return int(code), SAID.read_text(), dry.stdout


def reopened() -> bool:
    """Whether nobody writes any more to what has been rotated away."""
    current = {str(LOGS / path) for paths in PLACES.values() for path in paths}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "comm").read_text().strip() not in ("nginx", "rsyslogd"):
                continue
            held = {str(link.readlink()) for link in (process / "fd").iterdir()}
        except (FileNotFoundError, ProcessLookupError):
            continue
        if any(path.startswith(f"{LOGS}/") and path not in current for path in held):
            return False
    return True


def files(marks: list[float]) -> dict[str, File]:
    """All that is under /var/log, but the journal."""
    found = {}
    for folder, folders, names in os.walk(LOGS):
        if Path(folder) == LOGS:
            folders.remove("journal")
        for name in [*folders, *names]:
            path = Path(folder, name)
            about = path.lstat()
            ours = name not in SYSTEMS
            content = contents(path) if ours and stat.S_ISREG(about.st_mode) else b""
            found[str(path.relative_to(LOGS))] = File(
                mode=stat.filemode(about.st_mode),
                owner=f"{getpwuid(about.st_uid).pw_name}:{getgrgid(about.st_gid).gr_name}",
                count=content.count(b"\n"),
                lines=ranges(content),
                when=sum(about.st_mtime >= mark for mark in marks) if ours else 0,
            )
    return found


def contents(path: Path) -> bytes:
    """What was written, also when it is compressed."""
    data = path.read_bytes()
    return gzip.decompress(data) if path.suffix == ".gz" else data


def ranges(content: bytes) -> list[str]:
    """As `File.lines` has them."""
    numbers: dict[str, list[int]] = {}
    for line in content.splitlines():
        if (found := LINE.search(line)) is not None:
            numbers.setdefault(found[1].decode(), []).append(int(found[2]))
    shown = []
    for kind, those in sorted(numbers.items()):
        for _, group in groupby(enumerate(those), lambda pair: pair[1] - pair[0]):
            run_of = [number for _, number in group]
            shown.append(f"{kind}-{run_of[0]:06}..{run_of[-1]:06}")
    return shown


def live(orders: Orders) -> Diary:
    """Day and night in turn."""
    before = orders["before"]
    if before is None:
        prepare()
    diary = Diary(nights=[], counts=before["counts"] if before else {}, marks=before["marks"] if before else [])
    writers = Writers(diary["counts"])
    for number in range(orders["nights"]):
        diary["marks"].append(time.time())
        time.sleep(STEP)
        writers.day(number, orders["lines"])
        time.sleep(STEP)
        diary["marks"].append(time.time())
        time.sleep(STEP)
        day = date.fromisoformat(orders["first"]) + timedelta(number)
        if orders["busy"]:
            with writers.busy():
                code, said, dry = rotate(day, orders["announced"])
                until(reopened, "the logs are opened anew")
            writers.day(0, 1)
        else:
            code, said, dry = rotate(day, orders["announced"])
            until(reopened, "the logs are opened anew")
        seen = files(diary["marks"])
        diary["nights"].append(
            Night(day=str(day), code=code, said=said, dry=dry, state=STATE.read_text(), files=seen)
        )
    writers.close()
    return diary


if __name__ == "__main__":
    json.dump(live(json.load(sys.stdin)), sys.stdout)
