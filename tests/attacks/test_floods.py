"""What a host that was taken over can send: bombs, floods of labels, and figures that are none."""

from __future__ import annotations

import json
import re
import time
from pathlib import Path

import httpx
import msgspec
import pytest
import zstandard

from collector.metrics.contract import Bounds
from collector.web.charts import MAX_SERIES
from tests.attacks.test_authorization import session
from tests.collector import support
from tests.collector.support import Home, Host, check
from tests.web.conftest import Site
from wire import limits
from wire.report import Reading


def series_of(home: Home, **parameters: str) -> list[dict[str, object]]:
    """What the API gives of the host's readings."""
    answer = home.client.get("/api/v1/hosts/web1/readings", headers=home.bearer(), params=parameters)
    found: list[dict[str, object]] = answer.json()["series"]
    return found


def flood(home: Home, host: Host, checks: list[str], number: int, begin: int = 0) -> None:
    """Readings of so many series for each check."""
    for name in checks:
        readings = [
            Reading(name, "value", 1.0, "", {"address": f"a{index}"}, home.clock())
            for index in range(begin, begin + number)
        ]
        home.clock.now += 15
        assert host.send(host.report(readings=readings)).status_code == 200


def dropped(home: Home) -> list[str]:
    """What the host's page says was not kept."""
    return [event["message"] for event in home.host()["events"] if event["kind"] == "history.dropped"]


def test_a_check_that_floods_home_with_labels_leaves_room_for_the_others(home: Home, host: Host) -> None:
    """What is beyond its share is counted and told."""
    most = Bounds().series_of_check
    flood(home, host, ["log"], most + 300)
    flood(home, host, ["disk"], 50)
    assert home.rows("history_series") == most + 50
    assert dropped(home) == [
        "300 readings were not kept: the host, or one check of it, has as many series of readings as it may have"
    ]
    flood(home, host, ["log"], 100, begin=10_000)
    home.clock.now += 3600
    flood(home, host, ["log"], 100, begin=20_000)
    assert home.rows("history_series") == most + 50
    assert dropped(home)[0].startswith("200 readings were not kept since this was last told:")


def test_a_host_has_so_many_series_and_no_more_whatever_it_calls_its_checks(home: Home, host: Host) -> None:
    """And another host is not touched by it."""
    flood(home, host, [f"check{number}" for number in range(8)], 1000)
    assert home.rows("history_series") == Bounds().series
    other = Host(home.client, home.clock)
    other.enroll(home.token(), "web2")
    flood(home, other, ["cpu"], 10)
    assert home.rows("history_series") == Bounds().series + 10


def test_a_page_draws_so_many_series_and_counts_the_rest(home: Home, host: Host) -> None:
    """With 1,800 series an answer stays small; the lines are the same ones in each."""
    cookie = {"Cookie": f"__Host-hostward={session(home, 'viewer')}"}
    flood(home, host, [f"check{number}" for number in range(9)], 200)
    whole = home.client.get("/hosts/web1/charts", headers=cookie)
    part = home.client.get(f"/hosts/web1/charts?since={home.clock() - 60}", headers=cookie)
    assert len(whole.content) < 1_000_000
    assert len(part.content) < 100_000
    charts = whole.json()["charts"]
    drawn = sum(len(chart["lines"]) for chart in charts)
    assert drawn <= MAX_SERIES
    assert drawn + whole.json()["left_out"] == 1800


def test_figures_that_nobody_could_read_are_short(home: Home, host: Host) -> None:
    """1e308 percent is no 309 digits, on no page."""
    now = home.clock()
    readings = [
        Reading(name, f"{name}_used_percent", 1e308, "percent", {}, now) for name in ("cpu", "memory", "disk")
    ]
    readings.append(Reading("systemd", "systemd_units_failed", 1e300, "", {}, now))
    checks = [check(name, time=now) for name in ("cpu", "memory", "disk", "systemd")]
    assert host.send(host.report(readings=readings, checks=checks)).status_code == 200
    cookie = {"Cookie": f"__Host-hostward={session(home, 'viewer')}"}
    for path in ("/", "/hosts/web1"):
        assert re.search(r"\d{20}", re.sub(r"<svg.*?</svg>", "", home.client.get(path, headers=cookie).text)) is None
    texts = [one["text"] for one in home.host()["host"]["highlights"]]
    assert texts == ["1e+308 %", "1e+308 %", "1e+308 %", "1e+300 failed"]


def test_a_host_that_says_it_reports_all_the_time_is_not_down_between_two_reports(home: Home, host: Host) -> None:
    """The shortest interval is a second, as agents have it."""
    assert host.send(host.report(interval=1e-9)).status_code == 200
    home.ticks.now += 2
    time.sleep(1.5)  # home looks once a second
    assert (home.host()["host"]["state"], home.host()["host"]["interval"]) == ("ok", 1.0)


def document(host: Host, **fields: object) -> bytes:
    """A report in JSON."""
    return json.dumps({**json.loads(msgspec.json.encode(host.report())), **fields}).encode()


def bombs(host: Host) -> dict[str, bytes]:
    """Bodies that are small and want to be large, or deep, or long."""
    usual = document(host)
    deep = usual[:-1] + b', "x": ' + b"[" * 200_000 + b"]" * 200_000 + b"}"
    window = zstandard.ZstdCompressor(
        compression_params=zstandard.ZstdCompressionParameters(window_log=27, enable_ldm=True)
    )
    streamed = window.compressobj()
    pack = zstandard.ZstdCompressor(level=19).compress
    return {
        "a hundred megabytes of zeros": pack(b"\0" * (1 << 27)),
        "a window of 128 MiB": streamed.compress(b" " * (1 << 26) + usual) + streamed.flush(),
        "a frame in a frame": pack(pack(b" " * (1 << 27))),
        "many frames": pack(b" " * limits.MAX_DOCUMENT) * 500,
        "nesting": pack(deep),
        "a number of a million digits": pack(usual[:-1] + b', "time": ' + b"9" * 1_000_000 + b"}"),
        "a number with a large exponent": pack(usual[:-1] + b', "time": 1e999999999}'),
        "a name of a million letters": pack(document(host, agent="a" * 1_000_000)),
        "a million keys": pack(usual[:-1] + b"".join(b', "k%d": 1' % n for n in range(150_000)) + b"}"),
        "half a letter": pack(usual[:-1] + b', "agent": "\\ud800"}'),
        "bytes that are no text": pack(usual[:-1] + b', "agent": "\xff\xfe"}'),
        "an endless string": pack(usual[:-1] + b', "agent": "' + b"a" * 1_900_000),
    }


def peak(home: support.RealHome) -> int:
    """Bytes, the largest that the server's memory ever was."""
    status = Path(f"/proc/{home.process.pid}/status").read_text()
    return int(re.findall(r"^VmHWM:\s+(\d+) kB", status, re.MULTILINE)[0]) * 1024


def test_no_bomb_takes_more_than_its_limits(site: Site) -> None:
    """Each is refused, the server's memory stays as it was, and other hosts' reports are taken."""
    host, other = site.host("bomber"), site.host("bystander")
    assert host.send().status_code == 200
    before = peak(site.real)
    for name, body in bombs(host).items():
        answer = host.post("/api/v1/reports", body)
        # What is not known is not read; and who sends much that is no report has to wait.
        allowed = (200, 400) if name == "a million keys" else (400, 413, 503)
        assert answer.status_code in allowed, (name, answer.text)
    assert peak(site.real) - before < 64 * 2**20
    assert other.send().status_code == 200


def test_a_key_that_stands_twice_cannot_hide_another_host(home: Home, host: Host) -> None:
    """What is checked is what is used."""
    text = document(host)
    twice = text[:-1] + b', "host": "somebody"}'
    answer: httpx.Response = host.post("/api/v1/reports", zstandard.compress(twice))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "bad_request")


@pytest.mark.parametrize("value", [1e308, -1e308, 5e-324, 0.0, -0.0])
def test_the_largest_and_the_smallest_values_are_kept_and_given_back(home: Home, host: Host, value: float) -> None:
    """Also as means of steps, whose sums would overflow."""
    now = home.clock()
    readings = [Reading("cpu", "value", value, "", {}, now - ago) for ago in range(1, 6)]
    assert host.send(host.report(readings=readings)).status_code == 200
    [series] = series_of(home, name="value")
    assert series["values"] == [value] * 5
    [means] = series_of(home, name="value", step="60")
    assert set(means["values"]) - {None} <= {value}  # type: ignore[call-overload]
