"""The certificates that a server shows. Loads `ssl` and, by certificate_files, `cryptography`."""

from __future__ import annotations

import _ssl
import socket
import ssl
import time
from collections.abc import Callable
from typing import Any

from agent.checks.certificate import CertificateOptions, Chain
from agent.checks.certificate_files import describe, parse_certificates
from agent.checks.contract import CheckError
from kit.units import format_duration

MAX_LINE = 4096
"""Bytes of a line that a server says before TLS."""
MAX_LINES = 100

_NO_CHECK_TIME = 0x200000
"""X509_V_FLAG_NO_CHECK_TIME: that one ran out is said by itself, and must not hide whether it is trusted."""
_PARTIAL_CHAIN = 0x80000
"""X509_V_FLAG_PARTIAL_CHAIN: who stands in `ca_file` is trusted, may they be a root or not."""
_LDAP_STARTTLS = bytes.fromhex("301d02010177188016") + b"1.3.6.1.4.1.1466.20037"
"""RFC 4511, section 4.14.1: an extended request with the number 1."""
_POSTGRESQL_SSL = bytes.fromhex("0000000804d2162f")
"""SSLRequest: https://www.postgresql.org/docs/current/protocol-message-formats.html"""


class _RefusedError(Exception):
    """The server does not begin TLS; the text says what it said instead."""


def look(options: CertificateOptions) -> Chain:
    """The chain that the server shows, and whether a trusted authority vouches for it.

    Raises CheckError where the authorities in `ca_file` cannot be used.
    """
    deadline = time.monotonic() + options.patience
    place = f"{options.host}:{options.port}"
    trusting = _trusting(options.ca_file) if options.verify else None
    distrust = ""
    try:
        try:
            shown = _shown(options, trusting or _careless(), deadline)
        except ssl.SSLCertVerificationError as error:
            # OpenSSL does not hand over what it does not trust: so the server is asked again.
            distrust = error.verify_message
            shown = _shown(options, _careless(), deadline)
    except (OSError, _RefusedError) as error:
        return Chain(place, unreachable=_explain(error, options.patience))
    try:
        certificates = [describe(parse_certificates(data)[0]) for data in shown]
    except CheckError:
        return Chain(place, unreachable="it shows a certificate that cannot be read")
    return Chain(place, certificates, distrust, verified=options.verify)


def _trusting(ca_file: str) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    # The name is compared with what was shown, also where that is not to be trusted.
    context.check_hostname = False
    context.verify_flags |= _NO_CHECK_TIME | _PARTIAL_CHAIN
    if not ca_file:
        context.load_default_certs()
        return context
    try:
        context.load_verify_locations(ca_file)
    except ssl.SSLError:
        raise CheckError(f"{ca_file} holds no certificate that can be read") from None
    except OSError as error:
        raise CheckError(f"{ca_file} cannot be read: {error.strerror}") from None
    return context


def _careless() -> ssl.SSLContext:
    """Takes whatever is shown, weak keys too, since saying so is what it is shown for."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    context.set_ciphers("DEFAULT@SECLEVEL=0")
    return context


def _shown(options: CertificateOptions, context: ssl.SSLContext, deadline: float) -> list[bytes]:
    """The chain as the server sent it, DER. Raises OSError (ssl.SSLError is one) and _RefusedError."""
    with socket.create_connection((options.host, options.port), _left(deadline)) as connection:
        if options.starttls:
            _PREFACES[options.starttls](_Talk(connection, deadline))
        connection.settimeout(_left(deadline))
        with context.wrap_socket(connection, server_hostname=options.expected_name) as secured:
            return _chain(secured)


def _chain(secured: ssl.SSLSocket) -> list[bytes]:
    """Python 3.13 has a method for it; before, only the object underneath has."""
    if hasattr(secured, "get_unverified_chain"):
        return list(secured.get_unverified_chain())
    inner: Any = secured._sslobj  # type: ignore[attr-defined]
    return [certificate.public_bytes(_ssl.ENCODING_DER) for certificate in inner.get_unverified_chain() or ()]


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


class _Talk:
    """What is said before TLS. Bytes are read one by one: what follows the last line belongs to TLS."""

    def __init__(self, connection: socket.socket, deadline: float) -> None:
        self.connection = connection
        self.deadline = deadline

    def say(self, data: bytes) -> None:
        self.connection.settimeout(_left(self.deadline))
        self.connection.sendall(data)

    def read(self, count: int) -> bytes:
        """So many bytes. Raises _RefusedError where the connection ends before."""
        data = b""
        while len(data) < count:
            self.connection.settimeout(_left(self.deadline))
            more = self.connection.recv(count - len(data))
            if not more:
                raise _RefusedError("the connection was closed before TLS began")
            data += more
        return data

    def line(self) -> str:
        data = b""
        while not data.endswith(b"\n"):
            if len(data) == MAX_LINE:
                raise _RefusedError("it says lines without an end before TLS began")
            data += self.read(1)
        return data.decode("utf-8", "replace").strip()

    def expect(self, beginning: str, *, last: Callable[[str], bool] = lambda line: True) -> None:
        """Lines up to the first for which `last` holds, which must begin so."""
        for _ in range(MAX_LINES):
            line = self.line()
            if last(line):
                if not line.startswith(beginning):
                    raise _RefusedError(f"it does not begin TLS: {line[:80]!r}")
                return
        raise _RefusedError("it says lines without an end before TLS began")


def _is_last(line: str) -> bool:
    """Of an answer in SMTP or FTP: `250-more`, `250 last` (RFC 5321, section 4.2.1)."""
    return line[3:4] != "-" and line[:3].isdigit()


def _smtp(talk: _Talk) -> None:
    """RFC 3207."""
    talk.expect("220", last=_is_last)
    talk.say(b"EHLO localhost\r\n")
    talk.expect("250", last=_is_last)
    talk.say(b"STARTTLS\r\n")
    talk.expect("220", last=_is_last)


def _ftp(talk: _Talk) -> None:
    """RFC 4217."""
    talk.expect("220", last=_is_last)
    talk.say(b"AUTH TLS\r\n")
    talk.expect("234", last=_is_last)


def _imap(talk: _Talk) -> None:
    """RFC 9051, section 6.2.1."""
    talk.expect("* OK")
    talk.say(b"a STARTTLS\r\n")
    talk.expect("a OK", last=lambda line: line.startswith("a "))


def _pop3(talk: _Talk) -> None:
    """RFC 2595, section 4."""
    talk.expect("+OK")
    talk.say(b"STLS\r\n")
    talk.expect("+OK")


def _ldap(talk: _Talk) -> None:
    """RFC 4511, section 4.14: the answer's result code, the first enumeration in it, is 0."""
    talk.say(_LDAP_STARTTLS)
    tag, length = talk.read(2)
    answer = talk.read(length) if tag == 0x30 and length < 0x80 else b""
    if b"\x78" not in answer or b"\x0a\x01\x00" not in answer:
        raise _RefusedError("it does not begin TLS when asked in LDAP")


def _postgresql(talk: _Talk) -> None:
    """One letter: S for yes."""
    talk.say(_POSTGRESQL_SSL)
    if talk.read(1) != b"S":
        raise _RefusedError("it does not begin TLS when asked in PostgreSQL's protocol")


_PREFACES: dict[str, Callable[[_Talk], None]] = {
    "ftp": _ftp,
    "imap": _imap,
    "ldap": _ldap,
    "pop3": _pop3,
    "postgresql": _postgresql,
    "smtp": _smtp,
}


def _explain(error: OSError | _RefusedError, patience: float) -> str:
    match error:
        case TimeoutError():
            return f"no certificate within {format_duration(patience)}"
        case ssl.SSLError():
            return f"TLS failed: {error.reason or error.strerror or 'the other side broke it off'}"
        case OSError():
            return error.strerror or str(error)
        case _:
            return str(error)
