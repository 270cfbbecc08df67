"""Opening a repository with a password.

Apart from what it opens: a password's key takes a third of a second to derive, on purpose, and meanwhile there is
time to load what works with repositories.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from backup.errors import NoRepositoryError
from backup.format.config import CONFIG, is_config_of, parse_config
from backup.format.crypto import MasterKey
from backup.repository.kept import KeyKeeper, keep, open_kept
from backup.repository.keys import Meanwhile, search_key
from backup.stores.contract import FileKind, FileMissingError, Store

if TYPE_CHECKING:
    from backup.repository.repository import Repository


def open_repository(
    store: Store,
    password: bytes,
    *,
    key_hint: str = "",
    keeper: KeyKeeper | None = None,
    meanwhile: Meanwhile | None = None,
) -> Repository:
    """What is in a store. Raises NoRepositoryError, WrongPasswordError, DamagedError.

    With a `keeper` the password's key is derived only where no earlier opening has left it there (kept.py).
    `meanwhile` is called, once at most, while it is derived (keys.py).
    """
    try:
        sealed = store.load(FileKind.CONFIG, CONFIG)
    except FileMissingError:
        # `init` is not what helps: on a disk that is not mounted it would begin another repository.
        mounted = "" if store.is_remote else ", and what it lies on mounted"
        raise NoRepositoryError(f"there is no repository in {store.location}: is the place right{mounted}?") from None

    def load(enough: Callable[[], bool]) -> None:
        from backup.repository import repository as repository

        if meanwhile is not None:
            meanwhile(enough)

    def fits(key: MasterKey) -> bool:
        # A key may be that of somebody who began to make a repository here at the same time.
        return is_config_of(key, sealed)

    found = None
    kept = None if keeper is None else keeper.recall()
    if keeper is not None and kept:
        names = [name for name, _ in store.list(FileKind.KEY) if name.startswith(key_hint)]
        found = open_kept(kept, password, names)
        if found is None or not fits(found[1]):
            keeper.keep(b"")  # the password that it was sealed with may have been taken away
            found = None
    if found is None:
        found = search_key(store, password, hint=key_hint, fits=fits, meanwhile=load)
        if keeper is not None and kept is not None:
            keeper.keep(keep(*found, password))
    name, master = found
    from backup.repository.repository import Repository

    return Repository(store, master, name, parse_config(master.open(sealed)))
