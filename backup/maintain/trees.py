"""Trees of many snapshots, each once: the ground on which everything here walks.

Trees lie in packs in the order in which they were saved, so those that are wanted at the same time are mostly
neighbours. They are asked for many at once, and neighbours come in one request.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from typing import NamedTuple, Protocol, TypeVar

import msgspec

from backup.errors import DamagedError, RepositoryError
from backup.format.node import FOLDER, MAX_TREE, parse_id
from backup.format.pack import BlobKind
from backup.repository.blobs import Location
from backup.repository.repository import Repository
from backup.repository.runs import Place, Run, runs_of
from backup.stores.contract import FileKind

BATCH = 256
"""Trees that are asked for at once."""
BATCH_BYTES = 8 << 20
"""Stored bytes of them, beyond which a batch gets no more."""


class Entry(Protocol):
    """What a walk needs to know of a node."""

    @property
    def type(self) -> str: ...
    @property
    def content(self) -> Sequence[bytes] | None: ...
    @property
    def subtree(self) -> bytes | None: ...


EntryT = TypeVar("EntryT", bound=Entry)
Problem = Callable[[bytes, RepositoryError], None]
"""Told the id of a tree that could not be read, and why."""


class Reference(NamedTuple):
    """A node as far as it refers to blobs."""

    type: str
    content: Sequence[bytes] | None
    subtree: bytes | None


class _RawReference(msgspec.Struct, gc=False):
    type: str = ""
    content: list[str] | None = None
    subtree: str | None = None


class _RawTree(msgspec.Struct, gc=False):
    nodes: list[_RawReference] | None


_decode = msgspec.json.Decoder(_RawTree).decode


def parse_references(data: bytes) -> list[Reference]:
    """What the nodes of a tree refer to; several times faster than `parse_tree`. Raises DamagedError."""
    if len(data) > MAX_TREE:
        raise DamagedError(f"A tree has {len(data)} bytes; at most {MAX_TREE} are read.")
    try:
        return [
            Reference(
                node.type,
                None if node.content is None else list(map(parse_id, node.content)),
                None if node.subtree is None else parse_id(node.subtree),
            )
            for node in _decode(data).nodes or ()
        ]
    except (msgspec.DecodeError, ValueError, RecursionError) as error:
        raise DamagedError(f"A tree is damaged: {error}.") from error


class BlobReader:
    """Reads many blobs at once. To be closed, or used in a `with`."""

    def __init__(self, repository: Repository) -> None:
        self._repository = repository
        self._pool = ThreadPoolExecutor(max(repository.store.connections, 1), thread_name_prefix="read")

    def __enter__(self) -> BlobReader:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.shutdown(cancel_futures=True)

    def read(self, kind: BlobKind, ids: Iterable[bytes]) -> Iterator[tuple[bytes, bytes | RepositoryError]]:
        """(id, verified blob or why there is none), in the order of the packs; for as many as memory may hold."""
        places: list[tuple[bytes, Location]] = []
        for id in ids:
            place = self._repository.blobs.find(kind, id)
            if place is None:
                yield id, DamagedError(f"{kind.name.lower()} {id.hex()[:8]} is in no index")
            else:
                places.append((id, place))
        places.sort(key=lambda found: (found[1].pack, found[1].offset))
        runs = list(runs_of(places, lambda found: Place(*found[1][:3])))
        if len(runs) == 1:
            run, found = runs[0]
            yield from self._open(kind, run, found, self._load(run, found))
            return
        waiting: list[Future[bytes | None]] = [self._pool.submit(self._load, *run) for run in runs]
        try:
            for (run, found), future in zip(runs, waiting, strict=True):
                yield from self._open(kind, run, found, future.result())
        finally:
            for future in waiting:
                future.cancel()

    def _load(self, run: Run, found: Sequence[tuple[bytes, Location]]) -> bytes | None:
        if len(found) == 1:
            return None  # `load_blob` does as well
        try:
            return self._repository.store.load(FileKind.PACK, run.pack.hex(), run.start, run.length)
        except RepositoryError:
            return None  # one of them may be there all the same

    def _open(
        self, kind: BlobKind, run: Run, found: Sequence[tuple[bytes, Location]], content: bytes | None
    ) -> Iterator[tuple[bytes, bytes | RepositoryError]]:
        view = memoryview(content or b"")
        for id, place in found:
            at = place.offset - run.start
            if content is not None:
                try:
                    yield id, self._repository.open_blob(kind, id, view[at : at + place.length], place)
                    continue
                except DamagedError:
                    pass  # asked for again, here and wherever else it is
            try:
                yield id, self._repository.load_blob(kind, id)
            except RepositoryError as error:
                yield id, error


def each_tree(
    repository: Repository,
    roots: Iterable[bytes],
    parse: Callable[[bytes], list[EntryT]],
    is_new: Callable[[bytes], bool],
    on_problem: Problem,
) -> Iterator[tuple[bytes, list[EntryT]]]:
    """(id, nodes) of all trees under `roots` for which `is_new` says so, in no order.

    `is_new` is asked once for every reference to a tree, and remembers which it was asked for. What cannot be read
    goes to `on_problem`. Not recursive, so a chain of folders may be as long as it likes.
    """
    waiting: list[bytes] = []
    size_of = repository.blobs.find
    with BlobReader(repository) as reader:
        for root in roots:
            if is_new(root):
                waiting.append(root)
            while waiting:
                batch: list[bytes] = []
                size = 0
                while waiting and len(batch) < BATCH and size < BATCH_BYTES:
                    id = waiting.pop()
                    batch.append(id)
                    place = size_of(BlobKind.TREE, id)
                    size += place.length if place is not None else 0
                for id, data in reader.read(BlobKind.TREE, batch):
                    try:
                        if isinstance(data, RepositoryError):
                            raise data
                        nodes = parse(data)
                    except RepositoryError as error:
                        on_problem(id, error)
                        continue
                    waiting.extend(
                        node.subtree
                        for node in nodes
                        if node.type == FOLDER and node.subtree is not None and is_new(node.subtree)
                    )
                    yield id, nodes
