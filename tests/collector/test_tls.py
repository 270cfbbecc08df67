"""Home's certificate authority, and certificates that clients accept."""

from __future__ import annotations

import datetime
import socket
import ssl
import stat
import threading
from pathlib import Path

import pytest
from cryptography import x509

from collector import tls
from kit.errors import HostwardError, UsageError

NOW = datetime.datetime.now(datetime.UTC)
DAY = datetime.timedelta(days=1)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """With an authority and a server certificate."""
    tls.create_authority(tmp_path, NOW)
    tls.issue_server_certificate(tmp_path, ["localhost", "127.0.0.1", "::1", "home.example.org"], NOW)
    return tmp_path


def certificate(file: Path) -> x509.Certificate:
    """The first in the file."""
    return x509.load_pem_x509_certificate(file.read_bytes())


def shake_hands(folder: Path, name: str, context: ssl.SSLContext | None = None) -> None:
    """What a client does that trusts ca.pem alone and asks for `name`. Raises ssl.SSLError."""
    ours, theirs = socket.socketpair()
    context = context or tls.server_context(folder)
    with ours, theirs:

        def serve() -> None:
            try:
                with context.wrap_socket(ours, server_side=True):
                    pass
            except (ssl.SSLError, OSError):
                pass

        thread = threading.Thread(target=serve)
        thread.start()
        try:
            client = ssl.create_default_context(cafile=str(folder / "ca.pem"))
            client.verify_flags |= ssl.VERIFY_X509_STRICT  # as Python 3.13 does by default
            with client.wrap_socket(theirs, server_hostname=name):
                pass
        finally:
            theirs.close()
            thread.join()


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1", "::1", "home.example.org"])
def test_a_client_that_trusts_the_authority_accepts_each_name(folder: Path, name: str) -> None:
    """By the strict reading of RFC 5280."""
    shake_hands(folder, name)


def test_a_client_refuses_another_name(folder: Path) -> None:
    """The certificate is for the names that were given, and for no others."""
    with pytest.raises(ssl.SSLCertVerificationError):
        shake_hands(folder, "elsewhere.example.org")


def test_keys_are_for_nobody_else(folder: Path) -> None:
    """The authority's certificate is for everybody."""
    assert stat.S_IMODE((folder / "ca.key").stat().st_mode) == 0o600
    assert stat.S_IMODE((folder / "server.pem").stat().st_mode) == 0o600
    assert b"PRIVATE" not in (folder / "ca.pem").read_bytes()


def test_a_certificate_is_renewed_for_the_same_names_when_its_end_is_near(folder: Path) -> None:
    """With a new key, by the same authority; not before."""
    before, authority = (folder / "server.pem").read_bytes(), (folder / "ca.pem").read_bytes()
    assert not tls.renew_server_certificate(folder, NOW + 59 * DAY)
    assert (folder / "server.pem").read_bytes() == before
    assert tls.renew_server_certificate(folder, NOW + 61 * DAY)
    old, new = x509.load_pem_x509_certificate(before), certificate(folder / "server.pem")
    names = x509.SubjectAlternativeName
    assert new.extensions.get_extension_for_class(names) == old.extensions.get_extension_for_class(names)
    assert new.public_key() != old.public_key()
    assert (folder / "ca.pem").read_bytes() == authority
    new.verify_directly_issued_by(certificate(folder / "ca.pem"))


def test_a_certificate_of_somebody_elses_authority_is_left_to_them(folder: Path, tmp_path: Path) -> None:
    """Hosts that trust that authority would not trust home's own."""
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    tls.create_authority(theirs, NOW)
    tls.issue_server_certificate(theirs, ["home.example.org"], NOW)
    given = (theirs / tls.SERVER).read_bytes()
    (folder / tls.SERVER).write_bytes(given)
    assert not tls.renew_server_certificate(folder, NOW + 89 * DAY)
    assert (folder / tls.SERVER).read_bytes() == given


def test_a_new_certificate_serves_new_connections_of_a_context_in_use(folder: Path) -> None:
    """The server need not be started again when the old one has expired."""
    tls.issue_server_certificate(folder, ["localhost"], NOW - 100 * DAY)
    context = tls.server_context(folder)
    with pytest.raises(ssl.SSLCertVerificationError, match="expired"):
        shake_hands(folder, "localhost", context)
    assert tls.renew_server_certificate(folder, NOW)
    tls.load_server_certificate(context, folder)
    shake_hands(folder, "localhost", context)


def test_an_authority_that_is_there_is_kept(folder: Path) -> None:
    """Hosts have its certificate: it must not change under them."""
    before = (folder / "ca.pem").read_bytes()
    tls.create_authority(folder, NOW)
    assert (folder / "ca.pem").read_bytes() == before


def test_no_certificate_outlives_its_authority(folder: Path) -> None:
    """And an authority that has expired issues none."""
    almost = NOW + tls.CA_LIFETIME - DAY
    tls.issue_server_certificate(folder, ["localhost"], almost)
    end = certificate(folder / "ca.pem").not_valid_after_utc
    assert certificate(folder / "server.pem").not_valid_after_utc == end
    with pytest.raises(HostwardError, match="expired"):
        tls.issue_server_certificate(folder, ["localhost"], almost + 2 * DAY)


@pytest.mark.parametrize("name", ["", "two words", "-x.example", "a..b", "x" * 64 + ".org", "a_b/c", "https://x"])
def test_what_is_no_name_is_refused(folder: Path, name: str) -> None:
    """With a sentence that repeats it."""
    with pytest.raises(UsageError, match="neither a host name nor an IP address"):
        tls.issue_server_certificate(folder, [name], NOW)


@pytest.mark.parametrize("file", ["server.pem", "ca.pem", "ca.key"])
def test_damaged_files_are_named(folder: Path, file: str) -> None:
    """Whichever it is."""
    (folder / file).write_bytes(b"-----BEGIN NONSENSE-----")
    with pytest.raises(HostwardError, match=str(folder)):
        tls.renew_server_certificate(folder, NOW + 61 * DAY)


def test_a_key_of_another_authority_is_refused(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    """A certificate signed by it would be accepted by nobody."""
    other = tmp_path_factory.mktemp("other")
    tls.create_authority(other, NOW)
    (folder / "ca.key").write_bytes((other / "ca.key").read_bytes())
    with pytest.raises(HostwardError, match="is not the key of"):
        tls.renew_server_certificate(folder, NOW + 61 * DAY)
