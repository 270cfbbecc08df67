"""The kinds of stores, by the beginning of their locations; each is imported on first use.

Locations are written as restic's are, so that RESTIC_REPOSITORY and scripts go on to work.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping
from importlib import import_module

from backup.stores.contract import Store
from kit.errors import HostwardError, UsageError
from kit.terminal import clean

STORES: dict[str, str] = {
    "local": "backup.stores.local",
    "rest": "backup.stores.rest",
    "s3": "backup.stores.s3",
    "sftp": "backup.stores.sftp",
}
"""Scheme to module. Each has `open_location(text, environment)`: a Store, from what follows `scheme:`."""

EXTRAS = {"s3": "minio", "sftp": "paramiko"}
"""Schemes that take a package which not every host has. The extra is called like the scheme."""

SETTINGS = {"s3": ("region", "bucket-lookup", "storage-class", "list-objects-v1")}
"""What `open_location` of a scheme takes besides, by restic's names; each store has `connections` too."""

EXPECTED = "expected /PATH, sftp:USER@HOST:/PATH, s3:HOST/BUCKET/PREFIX or rest:https://HOST/PATH/"

_MOST = 1000
"""Connections."""
_SCHEME = re.compile(r"([a-zA-Z][a-zA-Z0-9+-]*):(.*)", re.DOTALL)
_SECRET = re.compile(r"(//|:)([^/@:]*):([^/]*)@")


def open_store(
    location: str, environment: Mapping[str, str] | None = None, settings: Mapping[str, str] | None = None
) -> Store:
    """The store that a location names; what it needs besides (credentials, certificates) is in `environment`.

    Of `settings` those count whose names begin with the scheme (`s3.region`).

    Nothing is connected to, nothing need be there. Raises UsageError for what is no location, HostwardError where the
    package that the store takes is not installed.
    """
    scheme, text = _split(location)
    try:
        module = import_module(STORES[scheme])
    except ModuleNotFoundError as error:
        package = EXTRAS.get(scheme)
        if package is None or (error.name or "").partition(".")[0] != package:
            raise
        raise HostwardError(
            f"repositories at {scheme}: need the package {package}, which is not installed: run `make install "
            f"EXTRAS={scheme}` in the checkout that the agent was installed from (the package's extra is "
            f"hostward[{scheme}])"
        ) from None
    own = {
        name.partition(".")[2]: value for name, value in (settings or {}).items() if name.partition(".")[0] == scheme
    }
    known = ("connections", *SETTINGS.get(scheme, ()))
    if unknown := set(own) - set(known):
        expected = ", ".join(f"{scheme}.{name}" for name in known)
        raise UsageError(f"there is no option {scheme}.{clean(min(unknown))}: expected {expected}")
    connections = own.pop("connections", None)
    more = (own,) if scheme in SETTINGS else ()
    store: Store = module.open_location(text, os.environ if environment is None else environment, *more)
    if connections is not None:
        if not connections.isascii() or not connections.isdigit() or not 1 <= int(connections[:6]) <= _MOST:
            raise UsageError(f'{scheme}.connections="{clean(connections)}": expected a number from 1 to {_MOST}')
        store.connections = int(connections)
    return store


def shown(location: str) -> str:
    """A location without its password, for messages about one that could not be opened."""
    return clean(_SECRET.sub(r"\1\2:***@", location))


def has_password(location: str) -> bool:
    """Whether a location holds a password, as `rest:https://user:password@host/`."""
    return _SECRET.search(location) is not None


def _split(location: str) -> tuple[str, str]:
    if not location or "\0" in location:
        raise UsageError(f"no repository is named: {EXPECTED}")
    matched = _SCHEME.fullmatch(location)
    if matched is None or location.startswith(("/", "./", "../")):
        return "local", location
    scheme, text = matched.groups()
    if scheme not in STORES:
        raise UsageError(
            f"{shown(location)}: there is no kind of repository {clean(scheme)}: {EXPECTED}; "
            f"a folder with a colon in its name is written local:PATH"
        )
    return scheme, text
