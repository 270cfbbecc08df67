"""Reports are stored exactly once or not at all, and who sent them is told in one clear line."""

from __future__ import annotations

import base64
from collections.abc import AsyncIterator, Callable

import httpx
import msgspec
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from collector.ingest import BURST, RATE, REFUSED_WEIGHT, Allowances, Nonces
from collector.store import hosts
from tests.collector.support import NOW, REPORT_HEADERS, Home, Host, check
from wire import limits
from wire.codec import encode
from wire.report import Event, Gap, JobResult, Reading
from wire.signature import WINDOW, generate_key, sign


def refusal(answer: httpx.Response) -> tuple[int, str]:
    """Status and code, having seen that the message is one line."""
    error = answer.json()["error"]
    assert error["message"]
    assert "\n" not in error["message"]
    assert "Traceback" not in answer.text
    return answer.status_code, error["code"]


def test_a_report_is_acknowledged_and_stored_with_all_that_it_holds(home: Home, host: Host) -> None:
    """State, readings, events, job results and gaps of a report can be read back."""
    now = home.clock()
    answer = host.send(
        host.report(
            facts={"os": "Debian 12"},
            events=[Event(time=now, kind="agent.started", message="started")],
            jobs=[JobResult(name="backup", started=now - 9, finished=now, outcome="failed", exit_code=3)],
            gaps=[Gap(reason="size", since=now - 60, until=now, readings=7, reports=2)],
        )
    )
    assert answer.status_code == 200
    assert answer.json() == {"version": 1, "time": now, "duplicate": False, "interval": None, "window": None}
    detail = home.host()
    assert detail["host"]["state"] == "ok"
    assert detail["host"]["facts"] == {"os": "Debian 12"}
    assert [found["name"] for found in detail["checks"]] == ["cpu"]
    assert detail["events"][0]["kind"] == "agent.started"
    assert detail["jobs"][0]["exit_code"] == 3
    assert detail["gaps"] == {"readings": 7, "events": 0, "job_results": 0, "reports": 2}
    series = home.client.get("/api/v1/hosts/web1/readings", params={"end": now + 1}, headers=home.bearer()).json()
    assert series["series"][0]["values"] == [12.5]


def test_a_report_that_comes_again_changes_nothing_and_is_acknowledged(home: Home, host: Host) -> None:
    """At least once on the wire is exactly once at home."""
    report = host.report(events=[Event(time=home.clock(), kind="agent.started", message="started")])
    assert host.send(report).json()["duplicate"] is False
    before, detail = home.stored(), home.host()
    home.clock.now += 20
    again = host.send(report)
    assert (again.status_code, again.json()["duplicate"]) == (200, True)
    assert home.stored() == before
    assert home.host() == detail


def test_a_new_epoch_starts_its_numbers_again(home: Home, host: Host) -> None:
    """A host that lost its state is not taken for one that repeats itself."""
    host.send(host.report(sequence=50))
    assert host.send(host.report(sequence=1, epoch="epoch-2")).json()["duplicate"] is False
    assert home.stored()["streams"] == 2


def test_a_late_report_of_an_older_epoch_keeps_the_newer_state(home: Home, host: Host) -> None:
    """Its events are stored, but how the host stands is known from the newer stream."""
    host.send(host.report(sequence=1))
    host.send(host.report(sequence=1, epoch="epoch-2", checks=[check(state="critical")]))
    late = host.report(sequence=2, events=[Event(time=home.clock(), kind="agent.stopped", message="stopped")])
    assert host.send(late).json()["duplicate"] is False
    detail = home.host()
    assert detail["host"]["state"] == "critical"
    assert detail["events"][0]["kind"] == "agent.stopped"


def test_a_check_that_is_missing_from_a_report_is_gone(home: Home, host: Host) -> None:
    """The latest state is what the newest report says, and no more."""
    host.send(host.report(checks=[check("cpu"), check("disk", "critical")]))
    host.send(host.report(checks=[check("cpu")]))
    detail = home.host()
    assert [found["name"] for found in detail["checks"]] == ["cpu"]
    assert detail["host"]["state"] == "ok"


def tampered_body(host: Host) -> httpx.Response:
    """Another body than was signed."""
    signed = sign(
        host.key,
        "POST",
        "/api/v1/reports",
        encode(host.report()),
        created=int(host.clock()),
        nonce="n" * 20,
        key_id=host.id,
    )
    return host.client.post("/api/v1/reports", content=encode(host.report()), headers={**REPORT_HEADERS, **signed})


def other_target(host: Host) -> httpx.Response:
    """Signed for another path."""
    body = encode(host.report())
    signed = sign(host.key, "POST", "/api/v1/other", body, created=int(host.clock()), nonce="n" * 20, key_id=host.id)
    return host.client.post("/api/v1/reports", content=body, headers={**REPORT_HEADERS, **signed})


def unsigned(host: Host) -> httpx.Response:
    """Not signed at all."""
    return host.client.post("/api/v1/reports", content=encode(host.report()), headers=REPORT_HEADERS)


def bomb(host: Host) -> httpx.Response:
    """A small body that would be a gigabyte."""
    return host.post("/api/v1/reports", zstandard.ZstdCompressor().compress(b" " * (1 << 28)))


def silent_bomb(host: Host) -> httpx.Response:
    """One whose frame does not say how large it is."""
    compressor = zstandard.ZstdCompressor().compressobj()
    return host.post("/api/v1/reports", compressor.compress(b" " * (1 << 28)) + compressor.flush())


def newer(host: Host) -> httpx.Response:
    """Of a version to come, with a shape to come."""
    document = {**msgspec.to_builtins(host.report()), "version": 99, "checks": "another shape"}
    return host.post("/api/v1/reports", zstandard.ZstdCompressor().compress(msgspec.json.encode(document)))


REFUSED: list[tuple[str, Callable[[Host], httpx.Response], tuple[int, str]]] = [
    ("tampered body", tampered_body, (401, "bad_signature")),
    ("other target", other_target, (401, "bad_signature")),
    ("unsigned", unsigned, (401, "bad_signature")),
    ("another key", lambda host: host.send(key=generate_key()), (401, "bad_signature")),
    ("too old", lambda host: host.send(created=host.clock() - WINDOW - 1), (401, "clock_skew")),
    ("too new", lambda host: host.send(created=host.clock() + WINDOW + 1), (401, "clock_skew")),
    ("unknown host", lambda host: host.send(key_id="0123456789abcdef"), (401, "unknown_host")),
    ("other host's report", lambda host: host.send(host.report(host="f" * 16)), (400, "bad_request")),
    ("oversized", lambda host: host.post("/api/v1/reports", b"x" * (limits.MAX_BODY + 1)), (413, "too_large")),
    ("bomb", bomb, (413, "too_large")),
    ("silent bomb", silent_bomb, (400, "malformed_report")),
    ("not zstd", lambda host: host.post("/api/v1/reports", b"{}"), (400, "malformed_report")),
    ("newer version", newer, (422, "unsupported_version")),
    (
        "another content type",
        lambda host: host.post("/api/v1/reports", b"{}", headers={"Content-Type": "application/json"}),
        (400, "bad_request"),
    ),
]


@pytest.mark.parametrize(("send", "expected"), [row[1:] for row in REFUSED], ids=[row[0] for row in REFUSED])
def test_what_is_not_a_report_of_this_host_now_is_refused_and_stores_nothing(
    home: Home, host: Host, send: Callable[[Host], httpx.Response], expected: tuple[int, str]
) -> None:
    """Each kind of bad report has its one clear line and leaves no trace."""
    host.send()
    before, detail = home.stored(), home.host()
    assert refusal(send(host)) == expected
    assert home.stored() == before
    assert home.host() == detail


def test_a_skewed_clock_is_told_what_time_it_is(home: Home, host: Host) -> None:
    """The refusal carries home's time, by which the agent corrects itself."""
    error = host.send(created=home.clock() - 9999).json()["error"]
    assert error["time"] == home.clock()
    assert error["permanent"] is False


def test_a_replayed_request_is_refused(home: Home, host: Host) -> None:
    """The same signature is taken once."""
    assert host.send(nonce="a" * 20).status_code == 200
    before = home.stored()
    answer = host.send(nonce="a" * 20)
    assert refusal(answer) == (401, "replayed")
    assert home.stored() == before


def test_a_body_that_keeps_coming_is_cut_off_at_the_limit(home: Home, host: Host) -> None:
    """A body without a length is measured while it is read."""

    async def chunks() -> AsyncIterator[bytes]:
        for _ in range(40):
            yield b"x" * 65536

    signed = sign(host.key, "POST", "/api/v1/reports", b"", created=int(NOW), nonce="n" * 20, key_id=host.id)
    answer = home.client.post("/api/v1/reports", content=chunks(), headers={**REPORT_HEADERS, **signed})
    assert refusal(answer) == (413, "too_large")


def test_nothing_is_read_from_a_stranger(home: Home, host: Host) -> None:
    """Who does not claim to be a host is refused before the body comes: memory is not for everybody to take."""
    read = 0

    async def body() -> AsyncIterator[bytes]:
        nonlocal read
        for _ in range(8):
            read += 1
            yield b"x" * 65536

    signed = sign(host.key, "POST", "/api/v1/reports", b"", created=int(NOW), nonce="n" * 20, key_id="f" * 16)
    for headers, expected in ((signed, "unknown_host"), ({}, "bad_signature")):
        answer = home.client.post("/api/v1/reports", content=body(), headers={**REPORT_HEADERS, **headers})
        assert refusal(answer) == (401, expected)
    assert read == 0


def test_a_revoked_host_is_refused_at_once_although_its_key_is_remembered(home: Home, host: Host) -> None:
    """Revoking, which another process does, needs nothing but the database."""
    assert host.send().status_code == 200
    with home.database.write() as connection:
        hosts.revoke(connection, host.id, home.clock())
    before = home.stored()
    assert refusal(host.send()) == (403, "revoked")
    assert refusal(host.send()) == (403, "revoked")  # the first took the remembered key away
    assert home.stored() == before


def test_readings_with_an_impossible_time_are_told_of_once(home: Home, host: Host) -> None:
    """A host whose clock is a year ahead learns that its readings are not kept; its states still are."""
    ahead = home.clock() + 400 * 86400
    for _ in range(3):
        answer = host.send(host.report(readings=[Reading("cpu", "cpu_used_percent", 1.0, "percent", {}, ahead)]))
        assert answer.status_code == 200
    events = home.host()["events"]
    assert [event["kind"] for event in events] == ["history.dropped", "host.enrolled"]
    assert "clock" in events[0]["message"]


def test_a_host_that_sends_more_than_its_share_has_to_wait_and_nobody_else_has(home: Home, host: Host) -> None:
    """What a host that was taken over can fill, home's memory, disk and time, is bounded; nothing of it is lost."""
    other = Host(home.client, home.clock)
    other.enroll(home.token(), "web2")
    before = home.rows("events")
    events = [Event(time=home.clock(), kind="noise", message="")] * limits.MAX_EVENTS
    answers = [host.send(host.report(events=events)) for _ in range(int(BURST / limits.MAX_EVENTS))]
    refused = [answer for answer in answers if answer.status_code != 200]
    assert {refusal(answer) for answer in refused} == {(503, "busy")}
    assert all(answer.headers["retry-after"] for answer in refused)
    stored = home.rows("events") - before
    assert stored == (len(answers) - len(refused)) * limits.MAX_EVENTS <= BURST + limits.MAX_EVENTS
    assert other.send().status_code == 200
    home.clock.now += 1
    assert host.send().status_code == 200


def test_what_is_refused_counts_for_a_hosts_share(home: Home, host: Host) -> None:
    """Else a host could keep home busy for ever with what costs much to read and is no report."""
    codes = [refusal(host.post("/api/v1/reports", b"{}"))[1] for _ in range(int(BURST / REFUSED_WEIGHT) + 1)]
    assert codes == ["malformed_report"] * (len(codes) - 1) + ["busy"]


@given(st.lists(st.tuples(st.floats(0, 100), st.integers(1, 7000)), max_size=40))
def test_in_the_long_run_a_host_gets_its_rate(steps: list[tuple[float, int]]) -> None:
    """Never more than a burst, what the time since allows, and the one report that overflows."""
    allowances, now, taken = Allowances(), NOW, 0
    for wait, weight in steps:
        now += wait
        if allowances.has_room("web1", now):
            allowances.fill("web1", weight, now)
            taken += weight
        assert taken <= BURST + RATE * (now - NOW) + 7000 + 1
    assert allowances.has_room("web2", now)
    assert allowances.has_room("web1", now + 2 * BURST / RATE)


def test_a_reading_without_a_time_is_of_the_reports_own(home: Home, host: Host) -> None:
    """Also beside one that has another."""
    now = home.clock()
    readings = [Reading("cpu", "load", 1.0), Reading("cpu", "load", 2.0, "", {}, now - 15)]
    assert host.send(host.report(time=now, readings=readings)).status_code == 200
    series = home.client.get("/api/v1/hosts/web1/readings", params={"end": now + 1}, headers=home.bearer()).json()
    assert (series["series"][0]["times"], series["series"][0]["values"]) == ([now - 15, now], [2.0, 1.0])


def test_numbers_at_the_limits_can_be_stored(home: Home, host: Host) -> None:
    """The largest counts that the wire takes fit into the database, and so do their sums."""
    gaps = [Gap(reason="age", since=0, until=limits.MAX_TIME, readings=limits.MAX_COUNT)] * 50
    for behind in range(30, -1, -1):
        answer = host.send(host.report(sequence=limits.MAX_COUNT - behind, gaps=gaps))
        assert answer.status_code == 200, answer.text
    assert home.host()["gaps"]["readings"] == limits.MAX_COUNT


def test_a_key_id_of_the_wrong_shape_is_refused(home: Home, host: Host) -> None:
    """What would not fit the profile is refused before anything is looked up."""
    body = encode(host.report())
    headers = {
        **REPORT_HEADERS,
        "Content-Digest": f"sha-256=:{base64.b64encode(b'x' * 32).decode()}:",
        "Signature-Input": 'hostward=("@method");created=1;keyid="\'; DROP TABLE hosts"',
        "Signature": "hostward=:AAAA:",
    }
    assert refusal(home.client.post("/api/v1/reports", content=body, headers=headers)) == (401, "bad_signature")


def test_nonces_are_remembered_for_as_long_as_their_signature_is_taken_and_no_more_than_their_limit() -> None:
    """The memory is bounded by time and by number."""
    nonces = Nonces(limit=3)
    assert nonces.add("a", "1", created=100, now=100)
    assert not nonces.add("a", "1", created=100, now=100)
    assert nonces.add("b", "1", created=100, now=100)
    assert nonces.add("a", "1", created=100 + 2 * WINDOW, now=100 + 2 * WINDOW)
    for number in range(10):
        assert nonces.add("c", str(number), created=1000, now=1000)
    assert nonces.add("c", "0", created=1000, now=1000)  # pushed out by the limit
    assert not nonces.add("c", "9", created=1000, now=1000)
