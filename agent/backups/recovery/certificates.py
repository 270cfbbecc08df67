"""Fingerprints of certificates: what a person compares before a password is typed."""

from __future__ import annotations

import hashlib
import re
import ssl
from pathlib import Path

_PEM = re.compile(r"-----BEGIN CERTIFICATE-----.+?-----END CERTIFICATE-----", re.DOTALL)


def fingerprints(file: Path) -> tuple[str, ...]:
    """SHA-256 of each certificate in a PEM file, in pairs of digits as openssl prints it.

    Raises OSError, and ValueError for a certificate that is none.
    """
    found = _PEM.findall(file.read_text(encoding="ascii", errors="replace"))
    return tuple(hashlib.sha256(ssl.PEM_cert_to_DER_cert(pem)).digest().hex(":").upper() for pem in found)
