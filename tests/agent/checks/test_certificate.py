"""Certificates: chains of an authority of the tests' own, in files and shown by real servers."""

from __future__ import annotations

import datetime
import socket
import ssl
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import example, given
from hypothesis import strategies as st

from agent.checks.certificate import Certificate, CertificateCheck, CertificateOptions, Chain, is_for, judge_chains
from agent.checks.certificate_files import describe, parse_certificates
from agent.checks.contract import CheckError, Context, Floor, Override, Sample
from agent.checks.runner import Plan, judge
from agent.paths import System
from kit.units import Duration
from tests.agent.checks.authority import Holder, issue
from tests.agent.checks.servers import listen, serve
from tests.agent.checks.tree import said, values

NOW = datetime.datetime(2026, 6, 1, tzinfo=datetime.UTC)


@pytest.fixture(scope="module")
def root() -> Holder:
    return issue("Test Root", authority=True, days=3650, now=NOW)


@pytest.fixture(scope="module")
def middle(root: Holder) -> Holder:
    return issue("Test Middle", root, authority=True, days=1000, now=NOW)


@pytest.fixture(scope="module")
def leaf(middle: Holder) -> Holder:
    return issue("shop.example", middle, names=["shop.example", "*.shop.example", "127.0.0.1"], days=90, now=NOW)


def looked(system: System | None = None, **options: Any) -> Sample:
    """The check's sample at NOW."""
    settings = {"timeout": Duration(10)} | options
    check = CertificateCheck(CertificateOptions(**settings))
    return check.collect(Context(system=system or System(), now=NOW.timestamp()))


@contextmanager
def shown(holder: Holder, folder: Path, chain: Sequence[Holder] = ()) -> Iterator[int]:
    """A server with TLS from the start that shows the certificate and the chain; gives its port."""
    with serve(holder.context(folder, chain)) as server:
        yield server.port


def verdict(sample: Sample, **options: Any) -> tuple[str, str]:
    """State and message as the runner judges it."""
    check = CertificateCheck(CertificateOptions(**({"host": "h"} | options)))
    plan = Plan("certificate", "certificate", check, check.options)
    state = judge(plan, sample, None, now=NOW.timestamp(), ticks=1, duration=0).state
    return state.state, state.message


def test_a_chain_that_is_trusted_is_ok(root: Holder, middle: Holder, leaf: Holder, tmp_path: Path) -> None:
    """Each of its certificates has its days and its end."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    with shown(leaf, tmp_path, [middle]) as port:
        sample = looked(host="127.0.0.1", port=port, server_name="a.shop.example", ca_file=str(tmp_path / "ca.pem"))
    place = f"127.0.0.1:{port}"
    assert said(sample) == []
    assert values(sample) == {
        f"certificate_trusted {place}": 1,
        f"certificate_expiry_days {place} shop.example": 90,
        f"certificate_expiry_days {place} Test Middle": 1000,
        f"certificate_not_after_timestamp_seconds {place} shop.example": NOW.timestamp() + 90 * 86400,
        f"certificate_not_after_timestamp_seconds {place} Test Middle": NOW.timestamp() + 1000 * 86400,
    }
    assert sample.summary == "shop.example has 90 days left, the least of 2 certificates"
    assert verdict(sample) == ("ok", sample.summary)


def test_a_chain_without_its_middle_is_not_trusted(root: Holder, leaf: Holder, tmp_path: Path) -> None:
    """By OpenSSL's words; what was shown has its readings all the same."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    with shown(leaf, tmp_path) as port:
        sample = looked(host="127.0.0.1", port=port, ca_file=str(tmp_path / "ca.pem"))
        place = f"127.0.0.1:{port}"
        assert said(sample) == [("critical", f"{place} is not to be trusted: unable to get local issuer certificate")]
        assert values(sample)[f"certificate_trusted {place}"] == 0
        assert values(sample)[f"certificate_expiry_days {place} shop.example"] == 90
        careless = looked(host="127.0.0.1", port=port, verify=False)
        assert said(careless) == []
        assert f"certificate_trusted {place}" not in values(careless)


def test_a_self_signed_certificate_is_trusted_by_nobody_but_its_own(tmp_path: Path) -> None:
    """The system's authorities do not know it; `ca_file` may name it itself."""
    alone = issue("alone.example", names=["127.0.0.1"], days=90, now=NOW)
    (tmp_path / "alone.pem").write_bytes(alone.pem)
    with shown(alone, tmp_path) as port:
        ((state, message),) = said(looked(host="127.0.0.1", port=port))
        assert (state, message) == ("critical", f"127.0.0.1:{port} is not to be trusted: self-signed certificate")
        assert said(looked(host="127.0.0.1", port=port, ca_file=str(tmp_path / "alone.pem"))) == []


def test_the_certificate_must_be_for_the_name(root: Holder, middle: Holder, leaf: Holder, tmp_path: Path) -> None:
    """That was asked for, which is the host's where none is."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    with shown(leaf, tmp_path, [middle]) as port:
        settings: dict[str, Any] = {"host": "localhost", "port": port, "ca_file": str(tmp_path / "ca.pem")}
        names = "*.shop.example, 127.0.0.1, shop.example"
        assert said(looked(**settings)) == [
            ("critical", f"the certificate at localhost:{port} is for {names}, not for localhost")
        ]
        assert said(looked(**settings, server_name="shop.example")) == []


@pytest.mark.parametrize(
    ("began", "days", "message"),
    [
        (-10, -2, "shop at {} expired 2026-05-30 00:00 UTC"),
        (3, 100, "shop at {} is not valid before 2026-06-04 00:00 UTC"),
    ],
)
def test_time_is_judged_by_itself(root: Holder, tmp_path: Path, began: float, days: float, message: str) -> None:
    """An expired certificate is no reason to say that it is not trusted."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    odd = issue("shop", root, names=["127.0.0.1"], began=began, days=days, now=NOW)
    with shown(odd, tmp_path) as port:
        sample = looked(host="127.0.0.1", port=port, ca_file=str(tmp_path / "ca.pem"))
    place = f"127.0.0.1:{port}"
    assert said(sample) == [("critical", message.format(place))]
    assert values(sample)[f"certificate_expiry_days {place} shop"] == days
    assert values(sample)[f"certificate_trusted {place}"] == 1


@pytest.mark.parametrize(
    ("days", "state", "message"),
    [
        (31, "ok", "shop has 31 days left"),
        (30, "warning", "shop at h:443 has 30 days left, warning at or below 30 days"),
        (7, "critical", "shop at h:443 has 7 days left, critical at or below 7 days"),
        (-1, "critical", "shop at h:443 expired 2026-05-31 00:00 UTC; shop at h:443 has -1 days left"),
    ],
)
def test_days_have_bounds(days: float, state: str, message: str) -> None:
    """30 and 7 where nothing else is said."""
    one = Certificate("shop", 0, NOW.timestamp() + days * 86400)
    found = verdict(judge_chains([Chain("h:443", [one])], "", NOW.timestamp()))
    assert found[0] == state
    assert found[1].startswith(message)


def test_bounds_of_some_certificates_can_be_others() -> None:
    """Downwards, too: what is renewed each week may be short."""
    one = Certificate("shop", 0, NOW.timestamp() + 5 * 86400)
    sample = judge_chains([Chain("h:443", [one])], "", NOW.timestamp())
    override = Override(labels={"subject": "shop"}, warning=3, critical=1)
    assert verdict(sample, days=Floor(warning=30, critical=7, overrides=(override,)))[0] == "ok"
    assert verdict(sample, days=Floor(warning=30, critical=7))[0] == "critical"


def test_weak_certificates_are_a_warning(root: Holder, tmp_path: Path) -> None:
    """Signed with a broken hash, or with a key that is too short."""
    key = rsa.generate_private_key(65537, 1024)
    weak = issue("weak", root, names=["127.0.0.1"], key=key, now=NOW)
    with shown(weak, tmp_path) as port:
        sample = looked(host="127.0.0.1", port=port, verify=False)
    assert said(sample) == [("warning", f"weak at 127.0.0.1:{port} has a key of 1024 bits (RSA)")]
    # cryptography signs with SHA-1 no more; a real certificate of that kind stands in.
    sha1 = Path(__file__).with_name("sha1.pem")
    sample = looked(System(sha1.parent), files=("/sha1.pem",))
    assert ("warning", "old.example at /sha1.pem is signed with sha1") in said(sample)


def preface(*lines: tuple[bytes, bytes]) -> Callable[[socket.socket], None]:
    """What a server says before TLS: first a greeting, then after each line that ends so, an answer."""

    def talk(connection: socket.socket) -> None:
        for heard, answer in lines:
            data = b""
            while not data.endswith(heard) or (heard and not data):
                data += connection.recv(1)
            connection.sendall(answer)

    return talk


PREFACES = {
    "smtp": preface(
        (b"", b"220-mail\r\n220 ESMTP\r\n"),
        (b"EHLO localhost\r\n", b"250-mail\r\n250-SIZE 1\r\n250 STARTTLS\r\n"),
        (b"STARTTLS\r\n", b"220 go\r\n"),
    ),
    "ftp": preface((b"", b"220 ftp\r\n"), (b"AUTH TLS\r\n", b"234 go\r\n")),
    "imap": preface((b"", b"* OK hi\r\n"), (b"a STARTTLS\r\n", b"* CAPABILITY X\r\na OK go\r\n")),
    "pop3": preface((b"", b"+OK hi\r\n"), (b"STLS\r\n", b"+OK go\r\n")),
    "ldap": preface((b"1.3.6.1.4.1.1466.20037", bytes.fromhex("300c02010178070a010004000400"))),
    "postgresql": preface((bytes.fromhex("04d2162f"), b"S")),
}


@pytest.mark.parametrize("protocol", PREFACES)
def test_tls_can_be_asked_for_in_the_servers_own_protocol(
    protocol: str, root: Holder, middle: Holder, leaf: Holder, tmp_path: Path
) -> None:
    """As clients of that protocol do it."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    context = leaf.context(tmp_path, [middle])

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        PREFACES[protocol](connection)
        with suppress(ssl.SSLError), context.wrap_socket(connection, server_side=True) as secured:
            secured.recv(1)

    with listen(talk) as port:
        sample = looked(host="127.0.0.1", port=port, starttls=protocol, ca_file=str(tmp_path / "ca.pem"))
    assert said(sample) == []
    assert values(sample)[f"certificate_expiry_days 127.0.0.1:{port} shop.example"] == 90


@pytest.mark.parametrize(
    ("protocol", "answer", "message"),
    [
        ("smtp", b"554 no\r\n", "it does not begin TLS: '554 no'"),
        ("smtp", b"", "the connection was closed before TLS began"),
        ("smtp", b"x" * 5000, "it says lines without an end before TLS began"),
        ("smtp", b"220-\r\n" * 200, "it says lines without an end before TLS began"),
        ("postgresql", b"N", "it does not begin TLS when asked in PostgreSQL's protocol"),
        ("ldap", bytes.fromhex("300c02010178070a010204000400"), "it does not begin TLS when asked in LDAP"),
    ],
)
def test_a_server_that_does_not_begin_tls_is_critical(protocol: str, answer: bytes, message: str) -> None:
    """With what it said."""

    def talk(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(answer)
        with suppress(OSError):
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(4096):
                pass

    with listen(talk) as port:
        sample = looked(host="127.0.0.1", port=port, starttls=protocol)
    assert said(sample) == [("critical", f"127.0.0.1:{port}: {message}")]
    assert values(sample) == {}


def test_a_server_that_is_silent_or_speaks_no_tls_is_critical() -> None:
    """In time, and in one sentence."""

    def silence(connection: socket.socket, stop: threading.Event) -> None:
        stop.wait(30)

    def nonsense(connection: socket.socket, stop: threading.Event) -> None:
        connection.sendall(b"220 I am not what you think\r\n")

    with listen(silence) as port:
        sample = looked(host="127.0.0.1", port=port, timeout=Duration(0.5))
        assert said(sample) == [("critical", f"127.0.0.1:{port}: no certificate within 250ms")]
    with listen(nonsense) as port:
        ((state, message),) = said(looked(host="127.0.0.1", port=port))
        assert state == "critical"
        assert message.startswith(f"127.0.0.1:{port}: TLS failed: ")
    assert said(looked(host="127.0.0.1", port=port)) == [("critical", f"127.0.0.1:{port}: Connection refused")]


def test_files_may_hold_chains(root: Holder, middle: Holder, leaf: Holder, tmp_path: Path) -> None:
    """PEM and DER, by wildcards; they are verified where it is said against what."""
    (tmp_path / "live/shop").mkdir(parents=True)
    (tmp_path / "live/shop/fullchain.pem").write_bytes(leaf.pem + middle.pem)
    (tmp_path / "live/root.der").write_bytes(root.der)
    system = System(tmp_path)
    sample = looked(system, files=("/live/*/*.pem", "/live/root.der"))
    assert said(sample) == []
    assert values(sample)["certificate_expiry_days /live/shop/fullchain.pem shop.example"] == 90
    assert values(sample)["certificate_expiry_days /live/root.der Test Root"] == 3650
    verified = looked(system, files=("/live/*/*.pem",), ca_file=str(tmp_path / "live/root.der"))
    assert said(verified) == []
    assert values(verified)["certificate_trusted /live/shop/fullchain.pem"] == 1


def test_a_file_whose_chain_is_broken_is_not_trusted(
    root: Holder, middle: Holder, leaf: Holder, tmp_path: Path
) -> None:
    """Somebody is missing, nobody vouches, or one vouches who must not."""
    (tmp_path / "ca.pem").write_bytes(root.pem)
    false_middle = issue("False Middle", root, now=NOW)
    (tmp_path / "1-short.pem").write_bytes(leaf.pem)
    (tmp_path / "2-alone.pem").write_bytes(issue("alone", now=NOW).pem)
    (tmp_path / "3-false.pem").write_bytes(issue("false", false_middle, now=NOW).pem + false_middle.pem)
    (tmp_path / "4-other.pem").write_bytes(issue("other", issue("Test Root", authority=True, now=NOW), now=NOW).pem)
    (tmp_path / "5-unordered.pem").write_bytes(leaf.pem + root.pem + middle.pem)
    sample = looked(System(tmp_path), files=("/[1-5]*.pem",), ca_file=str(tmp_path / "ca.pem"))
    assert said(sample) == [
        ("critical", "/1-short.pem is not to be trusted: nobody vouches for shop.example"),
        ("critical", "/2-alone.pem is not to be trusted: alone is signed by nobody but itself"),
        ("critical", "/3-false.pem is not to be trusted: nobody vouches for false"),
        ("critical", "/4-other.pem is not to be trusted: nobody vouches for other"),
    ]


def test_files_that_cannot_be_used_are_named(tmp_path: Path) -> None:
    """Missing, empty, no certificate, no file."""
    (tmp_path / "bad.pem").write_text("-----BEGIN CERTIFICATE-----\nnonsense\n-----END CERTIFICATE-----\n")
    (tmp_path / "empty.pem").write_text("")
    (tmp_path / "folder.pem").mkdir()
    sample = looked(System(tmp_path), files=("/bad.pem", "/empty.pem", "/folder.pem", "/none.pem", "/*.crt"))
    assert said(sample) == [
        ("unknown", "/bad.pem holds no certificate that can be read"),
        ("unknown", "/empty.pem holds no certificate that can be read"),
        ("unknown", "/folder.pem cannot be read: Is a directory"),
        ("critical", "there is no file /none.pem"),
        ("unknown", "no file matches /*.crt"),
    ]


def test_authorities_that_cannot_be_read_make_the_check_unknown(tmp_path: Path) -> None:
    """Whatever the certificates are."""
    (tmp_path / "ca.pem").write_text("")
    for settings in ({"files": ("/x",)}, {"host": "127.0.0.1", "port": 1}):
        with pytest.raises(CheckError, match=r"ca\.pem holds no certificate that can be read"):
            looked(System(tmp_path), ca_file=str(tmp_path / "ca.pem"), **settings)
        with pytest.raises(CheckError, match=r"nowhere\.pem cannot be read: No such file or directory"):
            looked(System(tmp_path), ca_file=str(tmp_path / "nowhere.pem"), **settings)


@pytest.mark.parametrize(
    ("held", "name", "expected"),
    [
        ("shop.example", "Shop.Example.", True),
        ("shop.example", "a.shop.example", False),
        ("*.shop.example", "a.shop.example", True),
        ("*.shop.example", "a.b.shop.example", False),
        ("*.shop.example", "shop.example", False),
        ("*.shop.example", ".shop.example", False),
        ("a*.shop.example", "ab.shop.example", False),
        ("*", "localhost", False),
        ("127.0.0.1", "127.0.0.1", True),
        ("*.0.0.1", "127.0.0.1", False),
        ("::1", "0:0::1", True),
    ],
)
def test_names_match_as_clients_match_them(held: str, name: str, expected: bool) -> None:
    """RFC 9525."""
    assert is_for(Certificate("x", 0, 1, frozenset({held})), name) is expected


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({}, "needs either host or files"),
        ({"host": "h", "files": ("/x",)}, "needs either host or files"),
        ({"files": ("/x",), "starttls": "smtp"}, "starttls and server_name are for a host"),
    ],
)
def test_options_that_make_no_sense_are_refused(settings: dict[str, Any], message: str) -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match=message):
        CertificateOptions(**settings)


SEED = issue("seed", names=["a"], now=NOW).der


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")  # which serials it dislikes
@given(st.binary(max_size=300) | st.tuples(st.integers(0, len(SEED) - 1), st.integers(0, 255)))
@example((SEED.index(b"\xa0\x03\x02\x01\x02") + 4, 1))  # of version 2, which nobody issues
def test_any_bytes_are_certificates_or_refused(given_data: bytes | tuple[int, int]) -> None:
    """With the one error that is documented; a certificate with one byte changed, too."""

    if isinstance(given_data, tuple):
        place, byte = given_data
        data = SEED[:place] + bytes([byte]) + SEED[place + 1 :]
    else:
        data = given_data
    try:
        found = parse_certificates(data)
    except CheckError:
        return
    for certificate in found:
        described = describe(certificate)
        assert described.subject
