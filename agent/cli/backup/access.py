"""Opening the repository that options and environment name."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from agent.cli.backup.options import chosen, require_words, setting
from agent.cli.backup.output import warn
from agent.cli.backup.password import ask_password, is_person, told_password, ways
from agent.paths import state_folder
from backup.errors import WrongPasswordError
from backup.format.compression import Compression
from backup.format.pack import PACK_SIZE
from backup.repository.kept import KeyKeeper
from backup.repository.keys import Meanwhile
from backup.repository.opening import open_repository
from backup.stores.cache import CachedStore, folder_of_caches
from backup.stores.caches import is_own, remove_old
from backup.stores.contract import Store, StoreError
from backup.stores.limit import LimitedStore
from backup.stores.registry import EXPECTED, open_store
from backup.stores.retry import RetryingStore
from kit.errors import UsageError
from kit.terminal import clean
from kit.units import format_duration

if TYPE_CHECKING:  # it is loaded while the password's key is derived
    from backup.repository.repository import Repository

HOME = "home"
"""In the place of a location: this host's repository at its collector. A folder of this name is written ./home."""
TRIES = 3
"""How often a person may type the password."""

_PACK_SIZES = (4, 128)
"""MiB, least and most, as restic has it."""

Locking = Literal["none", "read", "write", "exclusive"]


def loading(*modules: str) -> Meanwhile:
    """For `opened`: what loads the modules that a command works with while the password's key is derived."""

    def load(_enough: Callable[[], bool]) -> None:
        for module in modules:
            import_module(module)

    return load


@contextmanager
def opened(
    options: argparse.Namespace,
    locking: Locking,
    *,
    source: str = "",
    meanwhile: Meanwhile | None = None,
    keeper: KeyKeeper | None = None,
) -> Iterator[Repository]:
    """The repository, locked: `exclusive` keeps everybody else out; a dry run only reads, and then --no-lock counts.

    `meanwhile` may be called while the password's key is derived: what is done there costs no time. Who runs often
    has a `keeper` of that key, by which a password that is told, and not typed, need not be tried again.
    Raises UsageError, NoRepositoryError, LockedError, WrongPasswordError.
    """
    if getattr(options, "dry_run", False) and locking != "none":
        locking = "read"
    if options.no_lock and locking == "exclusive":
        raise UsageError("--no-lock is for reading; what changes the repository takes it only with --dry-run")
    mode = compression(options)
    store = open_place(options, source=source)
    try:
        repository = _opened(options, store, source, meanwhile, keeper)
        repository.compression = mode
        if (folder := cache_folder(options)) is not None:
            if store.is_remote:
                repository.store = CachedStore(repository.store, folder, repository.config.id)
            if options.cleanup_cache:
                with suppress(OSError):  # no reason to do nothing
                    remove_old(folder, now=time.time())
        repository.extra_verify = not options.no_extra_verify
        if locking == "none" or (locking == "read" and options.no_lock):
            yield repository
        else:
            with repository.lock(exclusive=locking == "exclusive", wait=options.retry_lock):
                yield repository
    finally:
        store.close()


def open_place(options: argparse.Namespace, *, source: str = "") -> Store:
    """The store that is named, which tries again what may pass, and keeps to the limits.

    Raises UsageError, and HomeAccessError where this host has no repository at home.
    """
    environment = options.environment.for_stores()
    if options.cacert:
        environment["RESTIC_CACERT"] = options.cacert
    if options.tls_client_cert:
        environment["RESTIC_TLS_CLIENT_CERT"] = options.tls_client_cert
    location = place(options, source=source)
    if location == HOME:
        # Loaded where it is used: libsodium, TLS.
        from agent.home.backup_access import home_access

        access = home_access(state_folder(options.state_dir))
        # Home's certificate is signed by its own authority and by no other.
        environment = {**environment, **access.environment()}
        environment.pop("RESTIC_TLS_CLIENT_CERT", None)
        location = access.location
    store = open_store(location, environment, dict(options.option))
    if options.limit_upload or options.limit_download:
        store = LimitedStore(store, upload=options.limit_upload, download=options.limit_download)
    return RetryingStore(store, report=_report)


def place(options: argparse.Namespace, *, source: str = "") -> str:
    """The location of the repository. Raises UsageError."""
    require_words(options, f"{source}repository", f"{source}repository_file")
    named = chosen(options, f"{source}repository", f"{source}repository_file")
    location, file = named.get(f"{source}repository"), named.get(f"{source}repository_file")
    if location and file:
        raise UsageError(f"the repository is named twice: {clean(location)}, and by the file {clean(file)}")
    if location:
        return location
    if file:
        return _read_place(file)
    flag, name = source.replace("_", "-"), source.upper()
    raise UsageError(
        f"no repository is named: give --{flag}repo PLACE, or set HOSTWARD_{name}REPOSITORY, or put it into a file "
        f"and name that by --{flag}repository-file; {EXPECTED}"
    )


def cache_folder(options: argparse.Namespace) -> Path | None:
    """Where this host may keep copies of what it reads again and again; None: nowhere, or nowhere that is safe."""
    if options.no_cache:
        return None
    environment = options.environment.for_stores()
    if options.cache_dir:
        environment["RESTIC_CACHE_DIR"] = options.cache_dir
    folder = folder_of_caches(environment)
    if not is_own(folder):
        warn(f"{folder} is not used: caches are kept in a folder that belongs to you and that only you can write to")
        return None
    return folder


def compression(options: argparse.Namespace) -> Compression:
    """The mode that is asked for. Raises UsageError."""
    mode = setting(options, "compression") or Compression.AUTO
    try:
        return Compression(mode)
    except ValueError:
        raise UsageError(f'--compression "{clean(mode)}": expected auto, off or max') from None


def pack_size(options: argparse.Namespace) -> int:
    """Bytes at which a pack is full. Raises UsageError."""
    text = setting(options, "pack_size")
    if text is None:
        return PACK_SIZE
    if not text.isascii() or not text.isdigit() or not _PACK_SIZES[0] <= int(text[:9]) <= _PACK_SIZES[1]:
        raise UsageError(f'--pack-size "{clean(text)}": expected MiB from {_PACK_SIZES[0]} to {_PACK_SIZES[1]}')
    return int(text) << 20


def _opened(
    options: argparse.Namespace, store: Store, source: str, meanwhile: Meanwhile | None, keeper: KeyKeeper | None
) -> Repository:
    hint = setting(options, f"{source}key_hint") or ""
    told = told_password(options, source=source)
    if told is not None:
        return open_repository(store, told, key_hint=hint, keeper=keeper, meanwhile=meanwhile)
    if getattr(options, "stdin", False):
        raise UsageError("standard input is what is to be saved, and cannot tell the password: use --password-file")

    def asked() -> bytes:
        return ask_password(f"password of {store.location}", otherwise=ways(source))

    for _ in range(TRIES - 1 if is_person() else 0):
        try:
            return open_repository(store, asked(), key_hint=hint)
        except WrongPasswordError as error:
            print(f"hostward: {error}", file=sys.stderr)
    return open_repository(store, asked(), key_hint=hint)


def _read_place(file: str) -> str:
    try:
        location = Path(file).read_text(encoding="utf-8-sig").strip()
    except OSError as error:
        raise UsageError(f"{clean(file)}, which should name the repository: {error.strerror}") from None
    except UnicodeDecodeError:
        raise UsageError(f"{clean(file)}, which should name the repository: is not UTF-8 text") from None
    if not location:
        raise UsageError(f"{clean(file)}, which should name the repository: is empty")
    return location


def _report(error: StoreError, wait: float) -> None:
    print(f"hostward: {error}; trying again in {format_duration(wait)}", file=sys.stderr)
