"""A repository that has been opened with a password."""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from typing import Self

from backup.errors import DamagedError, RepositoryError
from backup.format.cipher import Cipher
from backup.format.codec import BlobCodec, compress_file, decompress_file
from backup.format.compression import Compression
from backup.format.config import CONFIG, Config, encode_config, is_config_of, new_config
from backup.format.crypto import MasterKey
from backup.format.index import encode_index, parse_index
from backup.format.keyfile import Cost
from backup.format.node import Node, parse_tree
from backup.format.pack import LENGTH_FIELD, BlobKind, PackedBlob, header_length, pack_length, parse_header
from backup.format.snapshot import Snapshot, encode_snapshot, parse_snapshot
from backup.repository import keys, locks
from backup.repository.blobs import BlobIndex, Location
from backup.repository.files import content_of, name_of
from backup.stores.contract import FileKind, FileMissingError, Store, StoreError
from backup.uncollected import uncollected

_HEADER_GUESS = 32 << 10
"""Bytes read from the end of a pack at first: enough for the header of some 800 blobs."""


class Repository:
    """What is in a store, decrypted and verified. Not for several threads at once, but for `load_blob` on clones.

    `save_file` and `remove_file` first make sure that the lock is held; who saves packs and keys does so by
    `check_lock`.
    """

    def __init__(self, store: Store, key: MasterKey, key_name: str, config: Config) -> None:
        self.store = store
        self.key = key
        self.key_name = key_name
        """The file of the key that it was opened with."""
        self.config = config
        self.compression = Compression.AUTO
        self.extra_verify = True
        """Whether each blob is opened again before it is written."""
        self._index: BlobIndex | None = None
        self._held: locks.Held | None = None
        self._cipher = Cipher(key)
        self._codec = BlobCodec()

    @classmethod
    def create(cls, store: Store, password: bytes, *, cost: Cost | None = None) -> Self:
        """Make a new repository. Raises RepositoryError where there is one already.

        The config comes last: without it there is no repository. What fails takes its key back, so that `create` may
        be tried again; after a kill in between, the place has to be emptied before.
        """
        try:
            store.size(FileKind.CONFIG, CONFIG)
        except FileMissingError:
            pass
        else:
            raise RepositoryError(f"there is a repository in {store.location} already")
        store.create()
        if next(store.list(FileKind.KEY), None) is not None:
            raise RepositoryError(
                f"{store.location} has keys of a repository, but no config: it was begun or is damaged; expected an"
                " empty place"
            )
        master = MasterKey.generate()
        config = new_config(os.urandom)
        name = keys.add_key(store, master, password, cost=cost)
        try:
            store.save(FileKind.CONFIG, CONFIG, master.seal(encode_config(config)))
        except BaseException:
            with suppress(StoreError):
                if not _has_config_of(store, master):
                    store.remove(FileKind.KEY, name)
            raise
        return cls(store, master, name, config)

    def clone(self, store: Store) -> Self:
        """The same with contexts of its own, for another thread or process; `store` is one that may be used there."""
        other = type(self)(store, self.key, self.key_name, self.config)
        other.compression, other.extra_verify = self.compression, self.extra_verify
        other._index, other._held = self._index, self._held
        return other

    # Locks

    @contextmanager
    def lock(self, *, exclusive: bool = False, wait: float = 0.0) -> Iterator[None]:
        """Hold a lock, trying for `wait` seconds. Raises LockedError, then or before a later change."""
        coherent = self.store.is_coherent()
        with locks.locked(self, exclusive=exclusive, wait=wait, coherent=coherent) as held:
            self._held = held
            try:
                yield
                held.check()
            finally:
                self._held = None

    def check_lock(self) -> None:
        """Raise LockedError where the lock was lost."""
        if self._held is not None:
            self._held.check()

    def require_lock(self, *, exclusive: bool) -> None:
        """For what would do harm without a lock: the caller must hold one, an exclusive one where that is asked."""
        if self._held is None or (exclusive and not self._held.exclusive):
            raise RuntimeError(f"expected {'an exclusive' if exclusive else 'a'} lock to be held")

    # Files

    def names(self, kind: FileKind) -> Iterator[tuple[str, int]]:
        """(name, size) of the files of a kind."""
        return self.store.list(kind)

    def load_file(self, kind: FileKind, name: str) -> bytes:
        """The JSON of an index, snapshot or lock. Raises DamagedError, FileMissingError."""
        sealed = content_of(self.store, kind, name)
        try:
            return decompress_file(self.key.open(sealed))
        except DamagedError as error:
            raise DamagedError(f"{kind}/{name[:8]}: {error}") from None

    def save_file(self, kind: FileKind, data: bytes, *, on_name: Callable[[str], None] | None = None) -> str:
        """Seal and save the JSON of an index, snapshot or lock; returns its name, which goes to `on_name` before."""
        sealed = self.key.seal(compress_file(data, self.compression))
        if self.extra_verify and decompress_file(self.key.open(sealed)) != data:
            raise DamagedError(
                f"what was sealed for {kind} does not open as it was; is the memory of this host sound?"
            )
        name = name_of(sealed)
        if kind is not FileKind.LOCK:
            self.check_lock()
        if on_name is not None:
            on_name(name)
        self.store.save(kind, name, sealed)
        return name

    def remove_file(self, kind: FileKind, name: str) -> None:
        """Remove a file. Raises FileMissingError."""
        if kind is not FileKind.LOCK:
            self.check_lock()
        self.store.remove(kind, name)

    # Snapshots

    def load_snapshot(self, name: str) -> Snapshot:
        """One snapshot, by its whole name. Raises DamagedError, FileMissingError."""
        return parse_snapshot(self.load_file(FileKind.SNAPSHOT, name), name)

    def save_snapshot(self, snapshot: Snapshot) -> str:
        """Save a snapshot whose tree is wholly in the repository; returns its name."""
        return self.save_file(FileKind.SNAPSHOT, encode_snapshot(snapshot))

    def snapshots(self, on_damaged: Callable[[str, RepositoryError], None] | None = None) -> list[Snapshot]:
        """All snapshots, oldest first. One that cannot be read goes to `on_damaged`; without it, raises."""
        found = []
        for name, _ in self.names(FileKind.SNAPSHOT):
            try:
                found.append(self.load_snapshot(name))
            except FileMissingError:
                continue  # somebody forgot it just now
            except (DamagedError, StoreError) as error:
                if on_damaged is None:
                    raise
                on_damaged(name, error)
        return sorted(found, key=lambda snapshot: (snapshot.time_ns, snapshot.id))

    # Blobs

    @property
    def blobs(self) -> BlobIndex:
        """Where every blob is; read from the index files when it is first asked for.

        Read the list of snapshots first: what they refer to is in an index before they are written.
        """
        if self._index is None:
            self.load_index()
        assert self._index is not None
        return self._index

    def load_index(
        self,
        *,
        on_progress: Callable[[int, int], None] | None = None,
        on_damaged: Callable[[str, RepositoryError], None] | None = None,
        on_loaded: Callable[[str, list[tuple[bytes, list[PackedBlob]]]], None] | None = None,
        stored: Mapping[bytes, int] | None = None,
    ) -> None:
        """Read all index files: (done, total) go to `on_progress`, name and content of each good one to `on_loaded`.

        One that cannot be read goes to `on_damaged` with its DamagedError or StoreError; without it, raises. With
        `stored`, the bytes of packs, whatever is said of a pack that has not just so many is left out.
        """
        index = BlobIndex()
        trees: set[str] = set()
        listed = list(self.names(FileKind.INDEX))
        for done, (name, _) in enumerate(listed):
            try:
                with uncollected():
                    packs = parse_index(self.load_file(FileKind.INDEX, name))
            except FileMissingError:
                continue  # replaced by another just now; that one is listed or holds what no snapshot needs
            except (DamagedError, StoreError) as error:
                if on_damaged is not None:
                    on_damaged(name, error)
                    continue
                if isinstance(error, StoreError):
                    raise
                raise DamagedError(f"{error}; `hostward backup repair index` reads the packs again") from None
            if stored is not None:
                packs = [(pack, blobs) for pack, blobs in packs if stored.get(pack) == pack_length(blobs)]
            index.reserve(sum(len(blobs) for _, blobs in packs))
            for pack, blobs in packs:
                index.add(pack, blobs)
                if blobs and blobs[0].kind is BlobKind.TREE:
                    trees.add(pack.hex())
            if on_loaded is not None:
                on_loaded(name, packs)
            if on_progress is not None:
                on_progress(done + 1, len(listed))
        self._index = index
        self.store.tell_trees(trees.__contains__)

    def drop_index(self) -> None:
        """Forget what is known of the index, which was changed; it is read again when it is next asked for."""
        self._index = None

    def load_blob(self, kind: BlobKind, id: bytes) -> bytes:
        """A blob, verified by its id; every place that it is in is tried. Raises DamagedError, StoreError."""
        problem: RepositoryError | None = None
        for place in self.blobs.find_all(kind, id):
            for _ in range(2):  # it may have been the way and not the place
                try:
                    sealed = self.store.load(FileKind.PACK, place.pack.hex(), place.offset, place.length)
                    return self.open_blob(kind, id, sealed, place)
                except StoreError as error:
                    problem = error
                    break
                except DamagedError as error:
                    problem = error
        if problem is None:
            raise DamagedError(f"{kind.name.lower()} {id.hex()[:8]} is in no index")
        raise problem

    def open_blob(self, kind: BlobKind, id: bytes, sealed: bytes | memoryview, place: Location) -> bytes:
        """A blob from its stored bytes, verified. Raises DamagedError that names the blob and the pack."""
        try:
            plain = self._cipher.open(sealed)
            if place.plain_length:
                plain = self._codec.decompress(plain, place.plain_length)
            if hashlib.sha256(plain).digest() != id:
                raise DamagedError("its content does not have its hash")
        except DamagedError as error:
            raise DamagedError(
                f"{kind.name.lower()} {id.hex()[:8]} in pack {place.pack.hex()[:8]}: {error}"
            ) from None
        return plain

    def load_tree(self, id: bytes) -> list[Node]:
        """The entries of a folder. Raises DamagedError, StoreError."""
        return parse_tree(self.load_blob(BlobKind.TREE, id))

    # Packs

    def read_pack_header(self, pack: bytes, size: int) -> list[PackedBlob]:
        """The blobs of a pack by its own header; `size` in bytes. Raises DamagedError."""
        name = pack.hex()
        guess = min(size, _HEADER_GUESS)
        tail = self.store.load(FileKind.PACK, name, size - guess, guess)
        length = header_length(tail[-LENGTH_FIELD:], size)
        if length + LENGTH_FIELD > guess:
            tail = self.store.load(FileKind.PACK, name, size - length - LENGTH_FIELD, length + LENGTH_FIELD)
        blobs = parse_header(self._cipher.open(tail[-length - LENGTH_FIELD : -LENGTH_FIELD]))
        if sum(blob.length for blob in blobs) != size - length - LENGTH_FIELD:
            raise DamagedError(f"pack {name[:8]} has {size} bytes, which are not those that its header lists")
        return blobs

    def save_index(self, packs: Sequence[tuple[bytes, Sequence[PackedBlob]]]) -> str:
        """Save one index file of packs that are in the store; returns its name."""
        return self.save_file(FileKind.INDEX, encode_index(packs))


def _has_config_of(store: Store, key: MasterKey) -> bool:
    """Whether there is a config, and not that of somebody who made a repository at the same time."""
    try:
        return is_config_of(key, store.load(FileKind.CONFIG, CONFIG))
    except FileMissingError:
        return False
