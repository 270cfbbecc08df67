"""What the stores that speak HTTP have in common: time limits, certificates, what errors mean."""

from __future__ import annotations

import ssl
from collections.abc import Iterator, Mapping
from contextlib import suppress
from pathlib import Path

from backup.stores.contract import (
    FileKind,
    FileMissingError,
    PermanentStoreError,
    SpooledFile,
    Store,
    StoreError,
)
from kit.errors import UsageError
from kit.terminal import bounded, clean

CONNECT = 20.0
"""Seconds for a connection, and for each piece that is sent: a link that takes no piece for so long is dead."""
READ = 120.0
"""Seconds without a byte of an answer. A server may take its time to store what it was sent."""

_MAY_PASS = {408, 423, 425, 429}
"""Status codes from 400 to 499 that speak of the moment: RFC 9110, 8470 and 6585."""
_WILL_NOT_PASS = {501, 505, 507, 508}
"""Status codes from 500 on that speak of the request, or of a full disk: RFC 9110 and 4918."""


def authorities(environment: Mapping[str, str]) -> str | None:
    """The file (PEM) or folder (hashed names) with the certificates to trust: RESTIC_CACERT, or the system's.

    None where the system has none; then the libraries' own may serve. Raises UsageError.
    """
    named = environment.get("RESTIC_CACERT")
    if named:
        try:
            ssl.create_default_context(cafile=named)
        except OSError as error:  # also what is no certificate: ssl.SSLError
            raise UsageError(
                f"RESTIC_CACERT={clean(named)}: {error.strerror or error}: expected a file with certificates (PEM)"
            ) from error
        return named
    places = ssl.get_default_verify_paths()
    if places.cafile:
        return places.cafile
    return places.capath if places.capath and any(Path(places.capath).iterdir()) else None


def tidy(store: Store, kind: FileKind, name: str, content: bytes | SpooledFile) -> None:
    """After an upload that failed: remove what there is of it, where the server is one that keeps a part.

    A config may be that of somebody who made a repository at the same time, and stays.
    """
    if kind is FileKind.CONFIG:
        return
    size = content.size if isinstance(content, SpooledFile) else len(content)
    with suppress(StoreError):
        if store.size(kind, name) != size:
            store.remove(kind, name)


def require_length(what: str, headers: Mapping[str, str]) -> None:
    """Raise StoreError for an answer that does not say where it ends: a cut one would look whole."""
    length = headers.get("Content-Length", "")
    if not (length.isascii() and length.isdigit()) and headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise StoreError(f"{what}: the server does not say how long its answer is")


def refused(what: str, status: int, reason: str) -> StoreError:
    """The error that an answer with this status (400 or more, or a redirection) is."""
    if status == 404:
        return FileMissingError(f"{what}: there is no such file")
    text = f"{what}: the server answered {status} {bounded(reason, 200)}".rstrip()
    passing = status in _MAY_PASS or (status >= 500 and status not in _WILL_NOT_PASS)
    return StoreError(text) if passing else PermanentStoreError(text)


def failed(what: str, error: BaseException) -> StoreError:
    """The error that a failed connection is. A certificate that is not trusted stays so; all else may pass."""
    certificate = _certificate_error(error)
    if certificate is not None:
        return PermanentStoreError(f"{what}: the server's certificate is not trusted: {certificate.verify_message}")
    return StoreError(f"{what}: {bounded(_innermost(error), 300)}")


def _chain(error: BaseException) -> Iterator[BaseException]:
    """The error and those that it wraps, in all the ways that requests and urllib3 have."""
    seen: list[BaseException] = []
    waiting: list[object] = [error]
    while waiting and len(seen) < 20:
        one = waiting.pop(0)
        if isinstance(one, BaseException) and one not in seen:
            seen.append(one)
            yield one
            waiting += [getattr(one, "reason", None), *one.args, one.__cause__, one.__context__]


def _certificate_error(error: BaseException) -> ssl.SSLCertVerificationError | None:
    return next((one for one in _chain(error) if isinstance(one, ssl.SSLCertVerificationError)), None)


def _innermost(error: BaseException) -> str:
    """The words of the operating system rather than those of four libraries around them."""
    for one in _chain(error):
        if isinstance(one, OSError) and one.strerror and one.errno is not None:
            return one.strerror
    return str(error) or type(error).__name__
