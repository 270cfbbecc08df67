"""A certificate authority of the tests' own: chains, good and bad."""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.x509.oid import NameOID

Key = ec.EllipticCurvePrivateKey | rsa.RSAPrivateKey


@dataclass(frozen=True)
class Holder:
    """A certificate, its key, and those who vouch for it."""

    certificate: x509.Certificate
    key: Key
    above: tuple[Holder, ...] = ()

    @property
    def pem(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(serialization.Encoding.DER)

    def context(self, folder: Path, shown: Sequence[Holder] = ()) -> ssl.SSLContext:
        """A server's, that shows this certificate and then `shown`."""
        chain, key = folder / "shown.pem", folder / "shown.key"
        chain.write_bytes(self.pem + b"".join(holder.pem for holder in shown))
        key.write_bytes(
            self.key.private_bytes(
                serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
            )
        )
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.set_ciphers("DEFAULT@SECLEVEL=0")
        context.load_cert_chain(chain, key)
        return context


def issue(
    name: str,
    by: Holder | None = None,
    *,
    names: Sequence[str] = (),
    days: float = 365,
    began: float = -1,
    authority: bool = False,
    now: datetime.datetime | None = None,
    key: Key | None = None,
) -> Holder:
    """A certificate called `name` that `by` vouches for, or itself; from `began` to `days` days from `now`."""
    now = now or datetime.datetime.now(datetime.UTC)
    key = key or ec.generate_private_key(ec.SECP256R1())
    subject = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)] if name else [])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(by.certificate.subject if by else subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now + datetime.timedelta(days=began))
        .not_valid_after(now + datetime.timedelta(days=days))
        .add_extension(x509.BasicConstraints(ca=authority, path_length=None), critical=True)
    )
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName([_general(one) for one in names]), critical=False)
    signed = builder.sign(by.key if by else key, hashes.SHA256())
    return Holder(signed, key, (by, *by.above) if by else ())


def _general(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        return x509.DNSName(name)
