"""Making the index agree with the packs that are there."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from itertools import islice

from backup.errors import DamagedError, RepositoryError
from backup.format.pack import PackedBlob
from backup.maintain.contents import PackContents, sizes_and_kinds
from backup.maintain.reindex import rewrite_index
from backup.repository.repository import Repository
from backup.stores.contract import FileKind


@dataclass(frozen=True, slots=True)
class RepairIndexOptions:
    """How to go about it."""

    read_all_packs: bool = False
    """Trust no index file: read the header of every pack. Of those whose header is damaged the old index tells."""
    dry_run: bool = False
    on_progress: Callable[[str, int, int], None] = lambda phase, done, total: None
    """Told of `index` (files) and `headers` (packs)."""
    never_good: Callable[[bytes], bool] = lambda pack: False
    """Whether a pack with a damaged header surely came like that, so that the index need not have it."""


@dataclass(slots=True)
class RepairIndexResult:
    """What was done, or would be. Names of files."""

    damaged: dict[str, RepositoryError] = field(default_factory=dict)
    """Index files that could not be read, and were replaced."""
    added: list[str] = field(default_factory=list)
    """Packs that were in no index."""
    corrected: list[str] = field(default_factory=list)
    """Packs whose size was not that which the index said."""
    gone: list[str] = field(default_factory=list)
    """Packs that the index had and that are not there."""
    unreadable: dict[str, DamagedError] = field(default_factory=dict)
    """Packs whose header does not read. Those that the index had it still has as before, so that `repair_packs` can
    save what is good in them, unless they never were good; the others stay in no index."""


def repair_index(repository: Repository, options: RepairIndexOptions | None = None) -> RepairIndexResult:
    """Write the index anew where it is not right; the caller holds an exclusive lock. Raises StoreError."""
    options = options or RepairIndexOptions()
    if not options.dry_run:
        repository.require_lock(exclusive=True)
    result = RepairIndexResult()
    stored = {bytes.fromhex(name): size for name, size in repository.names(FileKind.PACK)}

    def damaged(name: str, error: RepositoryError) -> None:
        if not isinstance(error, DamagedError):
            raise error  # it may be whole: nothing takes its place
        result.damaged[name] = error

    if options.read_all_packs:
        obsolete = [name for name, _ in repository.names(FileKind.INDEX)]
        indexed: dict[bytes, int] = {}
    else:
        repository.load_index(
            on_damaged=damaged,
            on_progress=lambda done, total: options.on_progress("index", done, total),
        )
        obsolete = list(result.damaged)
        indexed = _sizes(repository)
    unread = {pack: size for pack, size in stored.items() if indexed.get(pack) != size}
    result.gone = sorted(pack.hex() for pack in indexed.keys() - stored.keys())
    result.added = sorted(pack.hex() for pack in unread.keys() - indexed.keys())
    result.corrected = sorted(pack.hex() for pack in unread.keys() & indexed.keys())
    if options.dry_run:
        return result
    drop = unread.keys() | (indexed.keys() - stored.keys())

    def headers() -> Iterator[tuple[bytes, list[PackedBlob]]]:
        for pack, found in _headers(repository, unread, options):
            if isinstance(found, DamagedError):
                result.unreadable[pack.hex()] = found
                if pack in indexed and not options.never_good(pack):
                    drop.discard(pack)
            else:
                yield pack, found
        if options.read_all_packs and result.unreadable:
            yield from _as_known(repository, [bytes.fromhex(name) for name in result.unreadable])

    rewrite_index(repository, drop, obsolete=obsolete, added=headers())
    repository.drop_index()
    return result


def _as_known(repository: Repository, packs: list[bytes]) -> Iterator[tuple[bytes, list[PackedBlob]]]:
    """What index files that can be read have of these packs."""

    def damaged(name: str, error: RepositoryError) -> None:
        if not isinstance(error, DamagedError):
            raise error

    repository.load_index(on_damaged=damaged)
    contents = PackContents(repository.blobs)
    for pack in packs:
        if blobs := contents.blobs(pack):
            yield pack, blobs


def _sizes(repository: Repository) -> dict[bytes, int]:
    """What size each pack must have by the index."""
    sizes, _ = sizes_and_kinds(repository.blobs)
    return dict(zip(repository.blobs.packs, sizes, strict=True))


def _headers(
    repository: Repository, packs: dict[bytes, int], options: RepairIndexOptions
) -> Iterator[tuple[bytes, list[PackedBlob] | DamagedError]]:
    """Packs with their blobs, or why those are not known; several headers are read at once."""
    connections = max(repository.store.connections, 1)
    waiting = iter(packs.items())
    done = 0

    def read(pack: bytes, size: int) -> list[PackedBlob] | DamagedError:
        found: DamagedError
        for _ in range(2):  # it may have been the way and not the place
            try:
                return repository.clone(repository.store).read_pack_header(pack, size)
            except DamagedError as error:
                found = error
        return found

    with ThreadPoolExecutor(connections, thread_name_prefix="header") as pool:
        while batch := list(islice(waiting, connections * 4)):
            futures = [pool.submit(read, pack, size) for pack, size in batch]
            for (pack, _), future in zip(batch, futures, strict=True):
                found = future.result()
                done += 1
                options.on_progress("headers", done, len(packs))
                yield pack, found
