"""The thread that delivers: in order, once, through everything that a network and a home can do."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from email.utils import formatdate
from pathlib import Path

import msgspec
import pytest

from agent.home import identity, status
from agent.home import sender as sender_module
from agent.home.identity import Identity
from agent.home.reporter import Reporter
from agent.home.sender import Sender
from agent.home.spool import Spool
from agent.home.status import HomeStatus
from agent.home.transport import MAX_ANSWER, TransportError
from agent.state import State
from tests.agent.home import server
from tests.agent.home.server import Home
from tests.agent.home.tls import START, Authority
from wire.report import Event, MaintenanceWindow, Reading, Reply


@pytest.fixture
def home(tmp_path: Path) -> Iterator[Home]:
    """A home that works."""
    with Home(tmp_path) as found:
        yield found


class Host:
    """An enrolled host: its state, and a sender whose waits after failures are zero unless they are asked for."""

    def __init__(self, folder: Path, home: Home) -> None:
        self.state = State.open(folder)
        self.spool = Spool(self.state)
        key = identity.prepare_key(folder)
        identity.save(folder, collector=home.url, host="host-1", name="web 1", ca=home.ca.read_bytes())
        home.enroll(folder, key)
        self.home = home
        self.reporter = Reporter(self.state, self.spool, host="host-1", boot="boot-1")
        self.senders: list[Sender] = []
        self.waits: list[float] = []
        self.uniform: Callable[[float, float], float] = self.no_wait
        self.clock: Callable[[], float] = time.time
        self.number = 0

    @property
    def identity(self) -> Identity:
        """As the daemon loads it."""
        found = identity.load(self.state.folder)
        assert found is not None
        return found

    def no_wait(self, low: float, high: float) -> float:
        """In place of random.uniform: remembers the longest it could have been."""
        self.waits.append(high)
        return 0.0

    def long_wait(self, low: float, high: float) -> float:
        """In place of random.uniform: longer than any test."""
        self.waits.append(high)
        return high + 1000

    def report(self, count: int = 1) -> None:
        """Make reports with one reading each."""
        for _ in range(count):
            self.number += 1
            with self.state.transaction():
                self.state.enqueue([Reading("c", "n", self.number)])
            self.reporter.compose(facts={}, interval=15, now=time.time(), max_size=1 << 30, max_age=1e9)
        for sender in self.senders:
            sender.wake()

    def start(self, timeout: float = 10) -> Sender:
        """Begin to send."""
        sender = Sender(self.state, self.identity, timeout=timeout, clock=self.clock, uniform=self.uniform)
        self.senders.append(sender)
        sender.start()
        return sender

    def delivered(self) -> list[float]:
        """The numbers of the reports at home, in the order in which they came."""
        return [reading.value for report in self.home.marks.taken for reading in report.readings]

    def until(self, condition: Callable[[], bool], timeout: float = 30) -> None:
        """Until the condition holds."""
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not come to that"
            time.sleep(0.01)

    def until_empty(self) -> None:
        """Until nothing waits."""
        self.until(lambda: self.spool.waiting().reports == 0)

    def until_error(self) -> HomeStatus:
        """Until an attempt has failed."""
        self.until(lambda: status.load(self.state).error is not None)
        return status.load(self.state)

    def close(self) -> None:
        """End all that was started."""
        for sender in self.senders:
            assert sender.stop(10)
        self.state.close()


@pytest.fixture
def host(tmp_path: Path, home: Home) -> Iterator[Host]:
    """One that this home knows."""
    found = Host(tmp_path / "state", home)
    yield found
    home.closing.set()
    found.close()


def test_what_waits_is_delivered_in_order_over_one_connection(home: Home, host: Host) -> None:
    host.report(20)
    host.start()
    host.until_empty()
    host.report(5)
    host.until_empty()
    assert host.delivered() == list(range(1, 26))
    assert [report.sequence for report in home.marks.taken] == list(range(1, 26))
    assert home.connections == 1
    found = status.load(host.state)
    assert found.last_acknowledged is not None
    assert abs(found.last_acknowledged - time.time()) < 60
    assert (found.error, found.next_attempt) == (None, None)


def test_a_connection_that_home_closed_meanwhile_costs_nothing(home: Home, host: Host) -> None:
    """Servers close what is idle; that is no failure and nothing to wait for."""
    host.uniform = host.long_wait
    host.start()
    for round_ in (1, 2, 3):
        host.report()
        host.until_empty()
        home.disappear()
        home.appear()
        assert home.connections == round_
    assert host.delivered() == [1, 2, 3]
    assert host.waits == []


def test_a_home_that_was_away_gets_all_that_waited(home: Home, host: Host) -> None:
    home.disappear()
    host.report(3)
    host.start()
    found = host.until_error()
    assert found.error is not None
    assert "cannot be reached: Connection refused" in found.error
    host.report(2)
    home.appear()
    host.until_empty()
    assert host.delivered() == [1, 2, 3, 4, 5]
    assert status.load(host.state).error is None


LOSES = {
    "cut": server.cut,
    "take, then cut": server.take_then_cut,
    "500": server.say(500, b"Internal Server Error", {"Content-Type": "text/plain"}),
    "500 in JSON": server.say(500, b'{"error": {"code": "internal", "message": "no", "permanent": true}}'),
    "HTML": server.say(200, b"<html>Please log in to the hotel</html>", {"Content-Type": "text/html"}),
    "redirect": server.say(302, b"", {"Location": "https://elsewhere.example/"}),
    "not found": server.say(404, b"not found"),
    "empty": server.say(200, b""),
    "garbage JSON": server.say(200, b'{"version": 1, "time": "now"}'),
    "not HTTP": server.raw(b"SSH-2.0-OpenSSH_9.2\r\n"),
    "too much": server.say(200, b" " * (MAX_ANSWER + 1)),
    "less than promised": server.raw(b"HTTP/1.1 200 OK\r\nContent-Length: 1000\r\n\r\n{}"),
    "bad length": server.raw(b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\n{}"),
    "bad chunks": server.raw(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n"),
    "endless headers": server.raw(b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 1000),
    "a line without end": server.raw(b"HTTP/1.1 " + b"2" * 100_000),
    "busy": server.refuse("busy", retry_after="0"),
}


@pytest.mark.parametrize("name", LOSES)
def test_whatever_home_says_instead_every_report_arrives_once(home: Home, host: Host, name: str) -> None:
    """It is kept, tried again, and the next one waits its turn; the status says in one line what was wrong."""
    errors: list[str | None] = []

    def look(low: float, high: float) -> float:
        with closing(State.read(host.state.folder)) as seen:
            errors.append(status.load(seen).error)
        return host.no_wait(low, high)

    home.script.extend([LOSES[name], LOSES[name]])
    host.uniform = look
    host.report(3)
    host.start()
    host.until_empty()
    assert host.delivered() == [1, 2, 3]
    assert not home.script
    assert host.waits[:2] == [1, 2], "the second failure in a row may wait twice as long"
    assert host.state.gaps() == []
    assert errors[1] is not None
    assert "\n" not in errors[1] and "the collector" in errors[1]


@pytest.mark.parametrize("behaviour", [server.hang, server.drip])
def test_an_answer_that_never_ends_is_given_up_at_the_deadline(
    home: Home, host: Host, behaviour: server.Behaviour
) -> None:
    """Whether it never comes or comes a letter at a time: one deadline holds for all of a request."""
    home.script.append(behaviour)
    host.uniform = host.long_wait
    host.report()
    host.start(timeout=0.6)
    found = host.until_error()
    assert found.error is not None
    assert "did not answer within 0.6 s" in found.error


@pytest.mark.parametrize("code", ["malformed_report", "bad_request", "too_large"])
def test_a_report_that_is_refused_for_good_makes_way_and_is_counted(home: Home, host: Host, code: str) -> None:
    """The one behind it is delivered, and tells of the hole."""
    home.script.append(server.refuse(code))  # type: ignore[arg-type]  # one of the codes
    host.report(2)
    host.start()
    host.until_empty()
    assert host.delivered() == [2]
    assert host.waits == []
    host.report()
    host.until_empty()
    (gap,) = home.marks.taken[-1].gaps
    assert (gap.reason, gap.readings, gap.reports) == ("refused", 1, 1)


@pytest.mark.parametrize("code", ["unsupported_version", "bad_signature", "unknown_host", "revoked"])
def test_a_refusal_that_a_person_must_lift_keeps_everything_and_slows_down(home: Home, host: Host, code: str) -> None:
    """An hour or so between attempts, and nothing is lost meanwhile."""
    home.usual = server.refuse(code)  # type: ignore[arg-type]  # one of the codes
    host.uniform = host.long_wait
    host.report(2)
    host.start()
    found = host.until_error()
    assert found.error == f"the collector refuses ({code}): because"
    assert found.next_attempt is not None
    assert found.next_attempt > time.time() + 1800
    assert host.waits == [3600]
    host.report()
    time.sleep(0.1)
    assert len(home.requests) == 1, "a new report does not cut the wait short"
    assert host.spool.waiting().reports == 3


def test_a_host_whose_clock_is_wrong_signs_by_homes(home: Home, host: Host) -> None:
    """Refused once, right from then on."""
    home.clock = lambda: time.time() + 86_400
    host.report(3)
    host.start()
    host.until_empty()
    assert host.delivered() == [1, 2, 3]
    assert len(home.requests) == 4
    assert host.waits == []


def test_a_clock_that_is_set_while_the_agent_runs_is_noticed(home: Home, host: Host) -> None:
    offset = [0.0]
    host.clock = lambda: time.time() + offset[0]
    host.start()
    for offset[0] in (86_400, -86_400, 0):
        host.report()
        host.until_empty()
    assert len(host.delivered()) == 3
    assert host.waits == []


def test_a_home_that_never_accepts_the_time_is_not_asked_without_end(home: Home, host: Host) -> None:
    home.script.extend([server.refuse("clock_skew", now=1.0)] * 2)
    host.report()
    host.start()
    host.until_empty()
    assert host.waits == [1], "twice at once, then with a wait"


def test_a_replay_is_signed_anew(home: Home, host: Host) -> None:
    home.script.append(server.refuse("replayed"))
    host.report()
    host.start()
    host.until_empty()
    nonces = {request.headers["signature-input"] for request in home.requests}
    assert len(nonces) == len(home.requests) == 2
    assert host.waits == []


def test_home_says_how_long_to_wait(home: Home, host: Host) -> None:
    """In seconds, bounded to an hour, or as a date."""
    for retry_after, low, high in (("120", 120, 122), ("99999", 3600, 3602), (formatdate(time.time() + 60), 30, 70)):
        home.usual = server.refuse("busy", retry_after=retry_after)
        host.report()
        sender = host.start()
        host.until(lambda: status.load(host.state).next_attempt is not None)
        found = status.load(host.state)
        assert found.next_attempt is not None
        assert low - 5 <= found.next_attempt - time.time() <= high
        assert sender.stop(10)
        host.senders.remove(sender)
        with host.state.transaction():
            status.save(host.state, HomeStatus())


def test_home_says_which_interval_it_wants(home: Home, host: Host) -> None:
    answer = msgspec.json.encode(Reply(time=time.time(), interval=60))
    home.script.append(server.say(200, answer))
    host.report()
    sender = host.start()
    assert sender.wanted_interval is None
    host.until_empty()
    assert sender.wanted_interval == 60


def test_home_says_that_somebody_is_at_work_on_the_host(home: Home, host: Host) -> None:
    """Until when by this host's clock, whatever home's says; and no longer, once home does not say so."""
    there = time.time() + 7200
    window = MaintenanceWindow(until=there + 600, reason="patching")
    home.script.append(server.say(200, msgspec.json.encode(Reply(time=there, window=window))))
    host.report()
    host.start()
    host.until_empty()
    found = status.load(host.state)
    assert found.window is not None
    assert found.window.reason == "patching"
    assert abs(found.window.until - (time.time() + 600)) < 60
    assert status.window_in_force(found, found.window.until - 1) == found.window
    assert status.window_in_force(found, found.window.until) is None
    host.report()
    host.until_empty()
    assert status.load(host.state).window is None


def test_a_home_that_the_ca_did_not_sign_gets_nothing(home: Home, host: Host, tmp_path: Path) -> None:
    """Another CA, another name, out of date: no byte of a report goes there."""
    for certificate in (
        Authority(tmp_path, "other").certificate(),
        home.authority.certificate("127.0.0.2"),
        home.authority.certificate(end=START),
    ):
        home.certificate = certificate
        host.uniform = host.long_wait
        host.report()
        sender = host.start()
        found = host.until_error()
        assert found.error is not None
        assert "is not trusted: " in found.error
        assert sender.stop(10)
        host.senders.remove(sender)
        with host.state.transaction():
            status.save(host.state, HomeStatus())
    assert home.requests == []


def test_no_proxy_and_no_bundle_of_the_environment_has_a_say(
    home: Home, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    for name in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:1")
    for name in ("SSL_CERT_FILE", "REQUESTS_CA_BUNDLE"):
        monkeypatch.setenv(name, str(Authority(tmp_path, "other").file))
    host.report()
    host.start()
    host.until_empty()
    assert host.delivered() == [1]


def test_a_ca_that_is_none_is_one_clear_line(host: Host) -> None:
    host.identity.ca.write_text("nonsense")
    with pytest.raises(TransportError, match=r"home-ca\.pem cannot be used"):
        Sender(host.state, host.identity, timeout=1)


def test_stopping_delivers_what_goes_well(home: Home, host: Host) -> None:
    """The last report of a daemon says that it ended."""
    sender = host.start()
    host.report()
    host.until_empty()
    with host.state.transaction():
        host.state.enqueue(Event(time=1, kind="agent.stopped", message="bye"))
    host.reporter.compose(facts={}, interval=15, now=time.time(), max_size=1 << 30, max_age=1e9)
    assert sender.stop(10)
    assert home.marks.taken[-1].events[0].kind == "agent.stopped"


@pytest.mark.parametrize("waiting_for", ["work", "backoff", "an answer"])
def test_stopping_is_quick_whatever_it_waits_for(home: Home, host: Host, waiting_for: str) -> None:
    """Nothing to do, a long wait after a failure, or a home that hangs."""
    host.uniform = host.long_wait
    if waiting_for == "backoff":
        home.usual = server.refuse("revoked")
    elif waiting_for == "an answer":
        home.usual = server.hang
    sender = host.start(timeout=60)
    if waiting_for != "work":
        host.report()
        home.wait_for(lambda: len(home.requests) == 1)
        if waiting_for == "backoff":
            host.until_error()
    begun = time.monotonic()
    ended = sender.stop(0.5)
    assert time.monotonic() - begun < 20
    assert ended == (waiting_for != "an answer")
    home.closing.set()
    if waiting_for != "work":
        assert host.spool.waiting().reports == 1, "what was not acknowledged is still there"


def test_a_sender_that_was_never_started_can_be_stopped(host: Host) -> None:
    assert Sender(host.state, host.identity, timeout=1).stop(0)


def test_two_senders_at_once_deliver_once(home: Home, host: Host) -> None:
    """One that was left behind while it waited for an answer, and the one after it."""
    host.report(30)
    host.start()
    host.start()
    host.until_empty()
    assert host.delivered() == list(range(1, 31))


def test_a_mistake_in_the_thread_does_not_end_it(
    home: Home, host: Host, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    failed = threading.Event()

    def break_once(*arguments: object, **names: object) -> object:
        if not failed.is_set():
            failed.set()
            raise RuntimeError("a mistake")
        return original(*arguments, **names)  # type: ignore[arg-type]  # passed on as it came

    original = sender_module.judge
    monkeypatch.setattr(sender_module, "judge", break_once)
    host.report()
    host.start()
    host.until_empty()
    assert host.delivered() == [1]
    assert "a mistake" in caplog.text
