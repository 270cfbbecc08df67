"""Whole analyses of logs on disk."""

from __future__ import annotations

import gzip
import os
import random
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agent.logs.analyse import heavy, reading, work
from agent.logs.analyse.analysis import NEVER, Analyser, Origin, usual
from agent.logs.analyse.count import Window
from agent.logs.analyse.result import Analysis

DAY = 86400.0
NOW = datetime(2026, 11, 22, 14, 0, tzinfo=UTC).timestamp()


def analyse(
    *paths: Path,
    since: float = NEVER,
    until: float = float("inf"),
    memory: Path | None = None,
    processes: int = 1,
    now: float = NOW,
) -> Analysis:
    origins = [Origin(path=path) for path in paths]
    window = Window(since, until)
    return Analyser(origins, window, zone=UTC, now=now, memory_folder=memory, processes=processes).run(10)


def syslog(seconds: float, message: str, program: str = "app") -> str:
    return f"{datetime.fromtimestamp(seconds, UTC):%Y-%m-%dT%H:%M:%S+00:00} web {program}[1]: {message}\n"


def request(seconds: float, path: str, status: int = 200, size: int = 10, address: str = "10.0.0.1") -> str:
    time = f"{datetime.fromtimestamp(seconds, UTC):%d/%b/%Y:%H:%M:%S +0000}"
    return f'{address} - - [{time}] "GET {path} HTTP/1.1" {status} {size} "-" "curl/8.0"\n'


def test_messages(tmp_path: Path) -> None:
    """By shape, severity and hour, with the first and the last time."""
    log = tmp_path / "app.log"
    log.write_text(
        syslog(NOW - 7200, "error: job 1 failed")
        + "\tat line 5\n"
        + syslog(NOW - 60, "error: job 22 failed")
        + syslog(NOW - 30, "started")
    )
    os.utime(log, (NOW, NOW))
    found = analyse(log)
    assert (found.lines, found.continued, found.untimed) == (3, 1, 0)
    assert [(shape.shape, shape.count, shape.severity) for shape in found.shapes] == [
        ("app: error: job <n> failed", 2, "error"),
        ("app: started", 1, "info"),
    ]
    assert (found.shapes[0].first, found.shapes[0].last) == (NOW - 7200, NOW - 60)
    assert found.shapes[0].example == "error: job 1 failed"
    assert found.severities["error"] == 2
    assert [(hour.start, hour.lines, hour.errors) for hour in found.hours] == [
        (NOW - 7200, 1, 1),
        (NOW - 3600, 2, 1),
    ]
    assert (found.first, found.last) == (NOW - 7200, NOW - 30)


def test_only_the_time_that_is_asked_for_counts(tmp_path: Path) -> None:
    """To the second, in messages as in requests."""
    messages, requests = tmp_path / "app.log", tmp_path / "access.log"
    messages.write_text("".join(syslog(NOW - age, "said") for age in (30, 20, 10)))
    requests.write_text("".join(request(NOW - age, "/") for age in (30, 20, 10)))
    found = analyse(messages, requests, since=NOW - 20, until=NOW - 10)
    assert (found.lines, found.earlier, found.later) == (2, 2, 2)
    assert found.access is not None
    assert found.access.requests == 1


def test_requests(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    lines = [
        request(NOW - 10, "/a?x=1", 200, 100),
        request(NOW - 9, "/a", 500, 1, "10.0.0.2"),
        request(NOW - 8, "/b", 404),
    ]
    log.write_text("".join(lines) + "what is this\n")
    access = analyse(log).access
    assert access is not None
    assert (access.requests, access.bytes) == (3, 111)
    assert access.classes == {"2xx": 1, "4xx": 1, "5xx": 1}
    assert access.statuses == {"200": 1, "404": 1, "500": 1}
    ranked = {
        name: [(each.name, each.count) for each in getattr(access, name).top] for name in ("paths", "sent", "failed")
    }
    assert ranked == {
        "paths": [("/a", 2), ("/b", 1)],
        "sent": [("/a", 101), ("/b", 10)],
        "failed": [("/a", 1), ("/b", 1)],
    }
    assert [(each.name, each.count) for each in access.addresses.top] == [("10.0.0.1", 2), ("10.0.0.2", 1)]
    assert [(each.name, each.count) for each in access.agents.top] == [("curl", 3)]
    assert access.slowest == []
    assert analyse(log).unread == 1
    assert [(hour.lines, hour.errors) for hour in analyse(log).hours] == [(3, 1)]


def test_the_slowest_paths_where_the_log_tells(tmp_path: Path) -> None:
    log = tmp_path / "access.log"
    log.write_text(
        "".join(
            request(NOW, path)[:-1] + f" {took}\n"
            for path, took in [("/a", "0.100"), ("/a", "0.300"), ("/b", "2.000")]
        )
    )
    access = analyse(log).access
    assert access is not None
    assert [(slow.path, slow.requests, slow.mean, slow.longest, slow.total) for slow in access.slowest] == [
        ("/b", 1, 2.0, 2.0, 2.0),
        ("/a", 2, 0.2, 0.3, 0.4),
    ]


def test_failed_logins(tmp_path: Path) -> None:
    log = tmp_path / "auth.log"
    tries = [("10.0.0.1", "root"), ("10.0.0.1", "root"), ("10.0.0.1", "admin"), ("10.0.0.2", "jo")]
    log.write_text(
        "".join(
            syslog(NOW, f"Failed password for {name} from {address} port 1 ssh2", "sshd") for address, name in tries
        )
    )
    found = analyse(log)
    assert found.failed_logins == 4
    assert [(login.address, login.attempts) for login in found.logins] == [("10.0.0.1", 3), ("10.0.0.2", 1)]
    assert [(name.name, name.count) for name in found.logins[0].names] == [("root", 2), ("admin", 1)]


def test_rotated_and_compressed_pieces_are_read(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text(syslog(NOW - 10, "now"))
    (tmp_path / "app.log.1").write_text(syslog(NOW - DAY, "yesterday"))
    (tmp_path / "app.log.2.gz").write_bytes(gzip.compress(syslog(NOW - 2 * DAY, "before").encode()))
    found = analyse(log)
    assert (found.lines, found.sources[0].files) == (3, 3)
    assert (found.first, found.last) == (NOW - 2 * DAY, NOW - 10)


def test_shapes_are_new_beside_older_lines_of_the_same_read(tmp_path: Path) -> None:
    """Without anything that was remembered."""
    log = tmp_path / "app.log"
    log.write_text(
        syslog(NOW - 30 * 3600, "job 1 done") + syslog(NOW - 60, "job 2 done") + syslog(NOW - 50, "disk 3 lost")
    )
    for since in (NOW - DAY, NEVER):
        found = analyse(log, since=since)
        assert found.new_shapes is not None
        assert [shape.shape for shape in found.new_shapes] == ["app: disk <n> lost"]
        assert found.new_since == NOW - DAY


def test_nothing_is_new_where_nothing_is_known_of_before(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text(syslog(NOW - 60, "job 2 done"))
    assert analyse(log, since=NOW - DAY).new_shapes is None


def test_shapes_are_remembered_from_day_to_day(tmp_path: Path) -> None:
    """Also when the log of the day before is gone; and asking twice says the same."""
    log, memory = tmp_path / "app.log", tmp_path / "memory"
    log.write_text(syslog(NOW - 60, "job 2 done"))
    assert analyse(log, since=NOW - DAY, memory=memory).new_shapes is None
    log.write_text(syslog(NOW + DAY, "job 3 done") + syslog(NOW + DAY, "disk 3 lost"))
    for _ in range(2):
        found = analyse(log, since=NOW + 60, memory=memory, now=NOW + DAY + 60)
        assert found.new_shapes is not None
        assert [shape.shape for shape in found.new_shapes] == ["app: disk <n> lost"]


def test_a_link_in_place_of_the_memory_is_not_followed(tmp_path: Path) -> None:
    """Who owns the folder above could make root write elsewhere."""
    log, elsewhere = tmp_path / "app.log", tmp_path / "elsewhere"
    elsewhere.mkdir()
    (tmp_path / "memory").symlink_to(elsewhere)
    log.write_text(syslog(NOW - 60, "job 2 done"))
    assert analyse(log, memory=tmp_path / "memory").lines == 1
    assert list(elsewhere.iterdir()) == []


def test_what_cannot_be_read_is_said_and_the_rest_is_counted(tmp_path: Path) -> None:
    log = tmp_path / "app.log"
    log.write_text(syslog(NOW - 60, "job 2 done"))
    body = gzip.compress(b"".join(syslog(NOW - n, os.urandom(20).hex()).encode() for n in range(3000)))
    (tmp_path / "app.log.1.gz").write_bytes(body[:-100])
    found = analyse(log, tmp_path / "missing.log")
    assert len(found.errors) == 2
    assert found.lines >= 1


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two logs with many names in them."""
    folder = tmp_path_factory.mktemp("large")
    draw = random.Random(5)
    with (folder / "access.log").open("w") as access, (folder / "app.log").open("w") as app:
        for n in range(3000):
            address = f"10.{draw.randrange(4)}.{draw.randrange(9)}.{draw.randrange(250)}"
            access.write(request(NOW - n, f"/{draw.randrange(900)}", draw.choice([200, 200, 404, 500]), n, address))
            app.write(syslog(NOW - n, f"{draw.choice('abcdef') * draw.randrange(1, 60)} failed {n}"))
            if n % 50 == 0:
                access.write('odd "line\n')
    return folder


def counted(folder: Path, block: int, processes: int) -> bytes:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(reading, "BLOCK", (block, block))
        patch.setattr(work, "_WORTH_IT", 0)
        return msgspec.json.encode(analyse(folder / "access.log", folder / "app.log", processes=processes))


@pytest.fixture(scope="module")
def whole(large: Path) -> bytes:
    """What one process says of it, uncut."""
    return counted(large, 1 << 30, 1)


EXAMPLES = int(os.environ.get("HOSTWARD_EXAMPLES", "5"))
"""More than a few are for a person who waits."""


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(5_000, 400_000), st.integers(1, 4))
def test_any_cut_by_any_number_of_processes_says_the_same(
    large: Path, whole: bytes, block: int, processes: int
) -> None:
    """As long as all names fit."""
    assert counted(large, block, processes) == whole


def test_the_number_of_processes_does_not_show_where_names_do_not_fit(
    large: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Bounded counts depend on the cut, which depends on the logs alone."""
    monkeypatch.setattr(heavy.Heavy, "settle", settle_early)
    one = counted(large, 60_000, 1)
    assert counted(large, 60_000, 2) == one
    assert msgspec.json.decode(one)["access"]["addresses"]["missed"] > 0


original = heavy.Heavy.settle


def settle_early(self: heavy.Heavy) -> bool:
    self.capacity = min(self.capacity, 50)
    return original(self)


def test_a_killed_process_ends_the_work(large: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(work, "_WORTH_IT", 0)
    monkeypatch.setattr(work, "count_access", lambda *_: os._exit(9))
    with pytest.raises(work.WorkError):
        analyse(large / "access.log", large / "app.log", processes=2)


def test_the_usual_logs_are_those_that_are_there(tmp_path: Path) -> None:
    """And the journal, where no program writes the system's log to a file."""
    (tmp_path / "var/log/nginx").mkdir(parents=True)
    (tmp_path / "var/log/nginx/error.log").touch()
    (tmp_path / "var/log/auth.log").touch()
    assert [origin.name for origin in usual(tmp_path)] == [
        f"{tmp_path}/var/log/auth.log",
        f"{tmp_path}/var/log/nginx/error.log",
        "journal",
    ]
    (tmp_path / "var/log/syslog").touch()
    assert "journal" not in [origin.name for origin in usual(tmp_path)]
