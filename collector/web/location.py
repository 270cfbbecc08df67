"""Where a login leads: only ever to a page of this home."""

from __future__ import annotations

from urllib.parse import urlsplit

START = "/"


def local_path(target: str) -> str:
    """`target` where it is a path on this very server, else the start page.

    Browsers read `//host`, `/\\host` and paths with tabs or line ends as addresses of other servers, so whatever
    is not printable ASCII, and any backslash, is refused.
    """
    if not target.startswith("/") or target.startswith("//") or len(target) > 2000:
        return START
    if "\\" in target or any(not "!" <= character <= "~" for character in target):
        return START
    try:
        parts = urlsplit(target)
    except ValueError:
        return START
    if parts.scheme or parts.netloc or parts.path in ("/login", "/logout"):
        return START
    return target


def path_of(url: str) -> str:
    """Path and query of a page's whole URL, as htmx names it, made safe."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return START
    return local_path(f"{parts.path}?{parts.query}" if parts.query else parts.path)
