"""Home's own certificate authority, and the server certificate that it issues and renews.

ca.key   the authority's key, 0600        ca.pem  its certificate, to be carried to every host
server.pem  the server's key, its certificate and the authority's, 0600: one file, so that it changes at once
"""

from __future__ import annotations

import datetime
import ipaddress
import ssl
from collections.abc import Iterable
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from kit.errors import HostwardError, UsageError
from kit.files import write_durably

CA_LIFETIME = datetime.timedelta(days=3650)
SERVER_LIFETIME = datetime.timedelta(days=90)
RENEW_BEFORE = datetime.timedelta(days=30)
"""What is left of a server certificate's life when it is renewed."""
BACKDATED = datetime.timedelta(days=1)
"""A host whose clock is a little behind must not find the certificate to be of tomorrow."""

CA_KEY = "ca.key"
CA_CERTIFICATE = "ca.pem"
SERVER = "server.pem"


def create_authority(folder: Path, now: datetime.datetime) -> None:
    """Make the authority's files. A pair that is already there is kept; half of one is made anew."""
    key_file, certificate_file = folder / CA_KEY, folder / CA_CERTIFICATE
    if key_file.exists() and certificate_file.exists():
        return
    key = ec.generate_private_key(ec.SECP256R1())
    # The random part tells two homes apart in a trust store; a certificate is looked up by its issuer's name.
    serial = x509.random_serial_number()
    name = x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATION_NAME, "Hostward"),
            x509.NameAttribute(NameOID.COMMON_NAME, f"Hostward home {serial:x}"[:40]),
        ]
    )
    certificate = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(serial)
        .not_valid_before(now - BACKDATED)
        .not_valid_after(now + CA_LIFETIME)
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(_usage(signs_certificates=True), critical=True)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .sign(key, hashes.SHA256())
    )
    write_durably(key_file, _key_pem(key), mode=0o600)
    write_durably(certificate_file, certificate.public_bytes(serialization.Encoding.PEM))


def issue_server_certificate(folder: Path, names: Iterable[str], now: datetime.datetime) -> None:
    """Issue a certificate, with a new key, for `names`: host names and IP addresses.

    Raises UsageError for what is neither, HostwardError where the authority's files are not usable.
    """
    alternatives = [_alternative(name) for name in dict.fromkeys(names)]
    _issue(folder, alternatives, now)


def check_name(name: str) -> None:
    """Raises UsageError for what is neither a host name nor an IP address."""
    _alternative(name)


def renew_server_certificate(folder: Path, now: datetime.datetime) -> bool:
    """Issue the certificate again, for the same names, when its end is near. Returns whether it was.

    One of somebody else's authority stays: hosts that trust that authority would not trust home's own.
    Raises HostwardError where a file is missing or damaged.
    """
    certificate, alternatives = _load_server_certificate(folder)
    if certificate.not_valid_after_utc - now > RENEW_BEFORE:
        return False
    if certificate.issuer != _load_authority(folder)[1].subject:
        return False
    _issue(folder, alternatives, now)
    return True


def names(folder: Path) -> list[str]:
    """The host names and addresses that the server certificate is for. Raises HostwardError."""
    return [str(name.value) for name in _load_server_certificate(folder)[1]]


def server_certificate_stamp(folder: Path) -> tuple[int, int]:
    """Another one for another file. Raises HostwardError where there is none."""
    try:
        found = (folder / SERVER).stat()
    except OSError as error:
        raise HostwardError(f"{folder / SERVER} cannot be read as a certificate: {error}") from error
    return found.st_ino, found.st_mtime_ns


def server_context(folder: Path) -> ssl.SSLContext:
    """TLS 1.2 and later, with the server certificate. Raises HostwardError where that cannot be loaded."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    context.set_alpn_protocols(["http/1.1"])
    load_server_certificate(context, folder)
    return context


def load_server_certificate(context: ssl.SSLContext, folder: Path) -> None:
    """Let new connections have the certificate that is in `folder` now. Raises HostwardError."""
    try:
        context.load_cert_chain(folder / SERVER)
    except OSError as error:  # ssl.SSLError is one
        raise HostwardError(f"{folder / SERVER} cannot be loaded as a certificate with its key: {error}") from error


def _load_server_certificate(folder: Path) -> tuple[x509.Certificate, list[x509.GeneralName]]:
    file = folder / SERVER
    try:
        certificate = x509.load_pem_x509_certificate(file.read_bytes())
        alternatives = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (OSError, ValueError, x509.ExtensionNotFound) as error:
        raise HostwardError(f"{file} cannot be read as a certificate: {error}") from error
    return certificate, list(alternatives)


def _issue(folder: Path, alternatives: list[x509.GeneralName], now: datetime.datetime) -> None:
    authority_key, authority = _load_authority(folder)
    if authority.not_valid_after_utc <= now:
        raise HostwardError(f"{folder / CA_CERTIFICATE} expired on {authority.not_valid_after_utc:%Y-%m-%d}")
    key = ec.generate_private_key(ec.SECP256R1())
    identifier = authority.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    certificate = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Hostward collector")]))
        .issuer_name(authority.subject)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - BACKDATED)
        .not_valid_after(min(now + SERVER_LIFETIME, authority.not_valid_after_utc))
        .add_extension(x509.SubjectAlternativeName(alternatives), critical=False)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .add_extension(_usage(signs_certificates=False), critical=True)
        .add_extension(x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH]), critical=False)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)
        .add_extension(x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(identifier), critical=False)
        .sign(authority_key, hashes.SHA256())
    )
    pem = serialization.Encoding.PEM
    write_durably(
        folder / SERVER,
        _key_pem(key) + certificate.public_bytes(pem) + authority.public_bytes(pem),
        mode=0o600,
    )


def _load_authority(folder: Path) -> tuple[ec.EllipticCurvePrivateKey, x509.Certificate]:
    try:
        certificate = x509.load_pem_x509_certificate((folder / CA_CERTIFICATE).read_bytes())
        key = serialization.load_pem_private_key((folder / CA_KEY).read_bytes(), password=None)
    except (OSError, ValueError) as error:
        raise HostwardError(f"the certificate authority in {folder} cannot be read: {error}") from error
    if not isinstance(key, ec.EllipticCurvePrivateKey) or key.public_key() != certificate.public_key():
        raise HostwardError(f"{folder / CA_KEY} is not the key of {folder / CA_CERTIFICATE}")
    return key, certificate


def _alternative(name: str) -> x509.GeneralName:
    try:
        return x509.IPAddress(ipaddress.ip_address(name))
    except ValueError:
        pass
    try:
        ascii_name = name.rstrip(".").encode("idna").decode("ascii")
    except UnicodeError:
        ascii_name = ""
    labels = ascii_name.split(".")
    if not all(label.replace("-", "").isalnum() and not label.startswith("-") for label in labels):
        raise UsageError(f'"{name}" is neither a host name nor an IP address, and cannot be in a certificate')
    return x509.DNSName(ascii_name)


def _key_pem(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )


def _usage(*, signs_certificates: bool) -> x509.KeyUsage:
    return x509.KeyUsage(
        digital_signature=not signs_certificates,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=signs_certificates,
        crl_sign=signs_certificates,
        encipher_only=False,
        decipher_only=False,
    )
