"""Certificates out of files and bytes. Loads `cryptography`."""

from __future__ import annotations

import os
import stat
from collections.abc import Sequence
from pathlib import Path

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, rsa
from cryptography.x509.oid import NameOID

from agent.checks.certificate import Certificate, CertificateOptions, Chain
from agent.checks.contract import CheckError, Finding
from agent.checks.patterns import named
from agent.paths import System

MAX_FILE = 4 << 20
"""Bytes; the system's own bundle of authorities is about 220 kB."""
MAX_FILES = 200
LEAST_BITS = {"RSA": 2048, "DSA": 2048, "EC": 224}
"""What NIST SP 800-131A still takes for signatures."""
WEAK_HASHES = {"md2", "md4", "md5", "sha1"}


def look_through(options: CertificateOptions, system: System) -> tuple[list[Chain], list[Finding]]:
    """The chains in the files that `options.files` names, and what is to be said of files that cannot be used.

    Raises CheckError where the authorities in `ca_file` cannot be read.
    """
    authorities = _authorities(options.ca_file) if options.ca_file and options.verify else None
    chains: list[Chain] = []
    findings: list[Finding] = []
    for pattern in options.files:
        paths, missing = _matching(system, pattern)
        findings += [missing] if missing else []
        for path in paths:
            if len(chains) + len(findings) >= MAX_FILES:
                findings.append(Finding("unknown", f"more than {MAX_FILES} files match; the others were left out"))
                return chains, findings
            place = "/" + str(path.relative_to(system.root))
            try:
                found = read_certificates(path)
            except CheckError as error:
                findings.append(Finding("unknown", f"{place} {error}"))
                continue
            distrust = distrusted(found, authorities) if authorities is not None else ""
            described = [describe(certificate) for certificate in found]
            chains.append(Chain(place, described, distrust, verified=authorities is not None))
    return chains, findings


def _matching(system: System, pattern: str) -> tuple[list[Path], Finding | None]:
    """The regular files that match; a name without wildcards stands for itself, and must be there."""
    relative = pattern.lstrip("/")
    if named([pattern]):
        path = system.path(relative)
        return ([path], None) if path.exists() else ([], Finding("critical", f"there is no file {pattern}"))
    paths = sorted(path for path in system.root.glob(relative) if path.is_file())
    return paths, None if paths else Finding("unknown", f"no file matches {pattern}")


def read_certificates(path: Path) -> list[x509.Certificate]:
    """All certificates in a PEM file, or the one in a DER file.

    Raises CheckError, which says what is wrong without naming the file.
    """
    try:
        # Should it be a pipe, opening it must not wait for a writer.
        with open(os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC), "rb") as file:
            if not stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                raise CheckError("is not a file that could hold certificates")
            data = file.read(MAX_FILE + 1)
    except OSError as error:
        raise CheckError(f"cannot be read: {error.strerror}") from None
    if len(data) > MAX_FILE:
        raise CheckError(f"is larger than the {MAX_FILE} bytes that a file of certificates may have")
    return parse_certificates(data)


def parse_certificates(data: bytes) -> list[x509.Certificate]:
    """The certificates in PEM text, or the one in DER. Raises CheckError."""
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, x509.InvalidVersion):
        raise CheckError("holds no certificate that can be read") from None


def describe(certificate: x509.Certificate) -> Certificate:
    """What there is to say of a certificate."""
    names = _names(certificate)
    return Certificate(
        subject=_subject(certificate, names),
        not_before=certificate.not_valid_before_utc.timestamp(),
        not_after=certificate.not_valid_after_utc.timestamp(),
        names=frozenset(name.lower() for name in names),
        weaknesses=tuple(_weaknesses(certificate)),
    )


def _names(certificate: x509.Certificate) -> list[str]:
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    except (x509.ExtensionNotFound, x509.DuplicateExtension, x509.UnsupportedGeneralNameType, ValueError):
        return []
    addresses = [str(address) for address in extension.get_values_for_type(x509.IPAddress)]
    return [*extension.get_values_for_type(x509.DNSName), *addresses]


def _subject(certificate: x509.Certificate, names: Sequence[str]) -> str:
    try:
        subject = certificate.subject
        common = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
        if common:
            value = common[-1].value
            return value if isinstance(value, str) else value.decode("utf-8", "replace")
        return names[0] if names else subject.rfc4514_string()
    except ValueError:
        return names[0] if names else "a certificate whose subject cannot be read"


def _weaknesses(certificate: x509.Certificate) -> list[str]:
    found = []
    try:
        hashed = certificate.signature_hash_algorithm
    except UnsupportedAlgorithm:
        hashed = None
    # Nobody looks at the signature that an authority gave itself.
    if hashed and hashed.name in WEAK_HASHES and certificate.issuer != certificate.subject:
        found.append(f"is signed with {hashed.name}")
    try:
        key = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return found
    match key:
        case rsa.RSAPublicKey():
            kind = "RSA"
        case dsa.DSAPublicKey():
            kind = "DSA"
        case ec.EllipticCurvePublicKey():
            kind = "EC"
        case _:
            return found
    if key.key_size < LEAST_BITS[kind]:
        found.append(f"has a key of {key.key_size} bits ({kind})")
    return found


def distrusted(chain: Sequence[x509.Certificate], authorities: Sequence[x509.Certificate]) -> str:
    """Why none of `authorities` vouches for the first of `chain`, or nothing.

    Who vouches for whom is followed by names and signatures, over the other certificates of the chain, each of which
    must be an authority's. Times, which are judged by themselves, do not count here.
    """
    current, others = chain[0], list(chain[1:])
    while current not in authorities:
        if any(_vouches(authority, current) for authority in authorities):
            return ""
        issuer = next((other for other in others if _vouches(other, current)), None)
        if issuer is None:
            if _signed_by(current, current):
                return f"{_subject(current, ())} is signed by nobody but itself"
            return f"nobody vouches for {_subject(current, ())}"
        others.remove(issuer)
        current = issuer
    return ""


def _signed_by(certificate: x509.Certificate, issuer: x509.Certificate) -> bool:
    try:
        certificate.verify_directly_issued_by(issuer)
    except (InvalidSignature, UnsupportedAlgorithm, TypeError, ValueError):
        return False
    return True


def _vouches(issuer: x509.Certificate, certificate: x509.Certificate) -> bool:
    """Whether `issuer` signed it, and may: certificates of version 1 say nothing about that."""
    if not _signed_by(certificate, issuer):
        return False
    try:
        return issuer.extensions.get_extension_for_class(x509.BasicConstraints).value.ca
    except x509.ExtensionNotFound:
        return issuer.version == x509.Version.v1
    except (x509.DuplicateExtension, ValueError):
        return False


def _authorities(file: str) -> list[x509.Certificate]:
    try:
        return read_certificates(Path(file))
    except CheckError as error:
        raise CheckError(f"{file} {error}") from None
