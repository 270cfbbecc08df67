"""A restore of PostgreSQL: the base backup, the WAL, and what tells the server how far to go.

The order makes a kill harmless: `global/pg_control`, without which no server starts, comes last. Nothing that is
there is overwritten.

The folders belong to the server's user in the end, and often lie in folders that are theirs. Until all is done they
are root's alone, and reached by descriptors: nobody can put a link in the way of what root writes. Nor can the base
backup, of which no link is followed.
"""

from __future__ import annotations

import errno
import os
import pwd
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from agent.backups.wal.base import DATA, FILE, TABLESPACES, BaseFile
from agent.backups.wal.batch import FOLDER
from agent.backups.wal.commits import ends_behind
from agent.backups.wal.plan import Kind, RestorePlan, Target, segments_between
from agent.backups.wal.points import KEPT, content_of, find_point
from agent.backups.wal.settings import Action, recovery_settings, without_recovery
from agent.backups.wal.tools import verify_backup
from backup.errors import RepositoryError
from backup.format.pack import BlobKind
from backup.format.snapshot import Snapshot
from backup.repository.repository import Repository
from backup.restore.locate import find_entry, find_folder
from backup.restore.options import Options, Progress
from backup.restore.restorer import Restorer
from backup.select.wal import Chain
from backup.select.wal_names import parse_segment
from kit.errors import HostwardError, UsageError
from kit.files import fsync_folder, read_regular, write_durably
from kit.terminal import clean

_CONTROL = b"/global/pg_control"
_NANO = 10**9
_SETTINGS = "postgresql.auto.conf"
_MAX_SETTINGS = 1 << 20
_MAX_BASE_FILE = 1 << 24
_FOLDER = os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW | os.O_CLOEXEC


class RestoreError(HostwardError):
    """The restore is not whole; the message says what it lacks. The server does not start from it."""


@dataclass(frozen=True, slots=True)
class Places:
    """Where a restore goes."""

    data: Path
    wal: Path
    tablespaces: Mapping[str, Path]
    """OID to folder."""
    owner: str = ""
    """To whom all is given; empty: as it was saved."""


@dataclass(slots=True)
class Restored:
    """What was done."""

    progress: Progress
    segments: int = 0
    verified: bool = False
    """Whether pg_verifybackup compared the data with its manifest."""


def read_base_file(repository: Repository, snapshot: Snapshot) -> BaseFile:
    """What a base backup says of itself. Raises RepositoryError, ManifestError."""
    return BaseFile.decode(_content(repository, snapshot, f"{_base_of(snapshot)}/{FILE}", _MAX_BASE_FILE))


def find_restore_point(repository: Repository, chain: Chain, timeline: int, name: str) -> int:
    """Where the last restore point of a name is on a timeline, or on one that it comes from. Reads WAL, the newest
    first. Raises RepositoryError where there is none.
    """
    first = min((each.base.start // chain.segment_size for each in chain.bases), default=0)
    last = max((piece.span.last for piece in chain.pieces), default=0)
    needed = sorted(segments_between(chain, timeline, first, last), key=lambda each: (each.name[8:], each.name))
    after = b""
    for each in reversed(needed):
        path = f"{FOLDER}/{chain.system}/{each.name}"
        segment = _content(repository, each.snapshot, path, chain.segment_size)
        _, number = parse_segment(each.name, chain.segment_size)
        place = find_point(segment, after, number * chain.segment_size, name)
        if place is not None:
            return place
        after = content_of(segment)[:KEPT]
    raise RepositoryError(f'there is no restore point "{name}" in the WAL of cluster {chain.system}')


def check_places(places: Places) -> None:
    """Raises UsageError for a folder that has something in it, or that is a file."""
    for folder in (places.data, places.wal, *places.tablespaces.values()):
        try:
            if any(folder.iterdir()):
                raise UsageError(f"{folder} is not empty: expected a new folder, as nothing is ever overwritten")
        except FileNotFoundError:
            continue
        except NotADirectoryError:
            raise UsageError(f"{folder} is a file: expected a new folder") from None


def restore(
    repository: Repository,
    chain: Chain,
    plan: RestorePlan,
    target: Target,
    places: Places,
    *,
    action: Action,
    archiving: bool,
    progress: Progress,
    on_error: Callable[[bytes, str], None],
) -> Restored:
    """Bring all back that the plan names. The caller has checked the places. Raises RestoreError where not all came
    back as it was saved, and OSError; what is there then is no data folder that a server starts from.
    """
    snapshot = plan.base.snapshot
    tree = find_folder(repository, snapshot.root, os.fsencode(f"{_base_of(snapshot)}/{DATA}"))

    def folder(tree: bytes, into: Path, select: Callable[[bytes, bool], tuple[bool, bool]]) -> None:
        Restorer(repository, into, Options(select=select, on_error=on_error, progress=progress)).run(tree)
        if progress.errors:
            raise RestoreError(
                f"{places.data}: not all could be restored as it was saved, so no server starts from it"
            )

    with ExitStack() as held:
        data = held.enter_context(_taken(places.data))
        wal = held.enter_context(_taken(places.wal))
        spaces = {oid: held.enter_context(_taken(space)) for oid, space in places.tablespaces.items()}
        folder(tree, data, lambda path, is_folder: (path != _CONTROL, is_folder))
        for oid, space in spaces.items():
            part = find_folder(repository, snapshot.root, os.fsencode(f"{_base_of(snapshot)}/{TABLESPACES}/{oid}"))
            folder(part, space, lambda path, is_folder: (True, is_folder))
        _link(data, places.tablespaces)
        restored = Restored(progress, segments=_restore_wal(repository, chain, plan, target, wal))
        (data / "standby.signal").unlink(missing_ok=True)
        settings = recovery_settings(plan, target, str(places.wal), action=action, archiving=archiving)
        content = without_recovery(_settings_of(data)) + settings
        write_durably(data / _SETTINGS, content.encode("utf-8", "surrogateescape"), mode=0o600)
        write_durably(data / "recovery.signal", b"", mode=0o600)
        folder(tree, data, lambda path, is_folder: (path == _CONTROL, is_folder and path == b"/global"))
        if places.owner:
            for top in (data, wal, *spaces.values()):
                _give(top, places.owner)
        restored.verified = verify_backup(places.data, user=places.owner)
        fsync_folder(data)
    return restored


@contextmanager
def _taken(folder: Path) -> Iterator[Path]:
    """The folder, made where it is not there: ours alone from now on, and by a path that leads to it and to no other,
    whatever becomes of its name. Raises RestoreError for a link, and OSError.
    """
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        descriptor = os.open(folder, _FOLDER)
    except NotADirectoryError:
        raise RestoreError(f"{folder}: is a link; expected a folder") from None
    try:
        if os.fstat(descriptor).st_uid != os.geteuid():
            os.fchown(descriptor, os.geteuid(), -1)
        os.fchmod(descriptor, 0o700)
        if os.listdir(descriptor):  # noqa: PTH208 - a descriptor
            raise RestoreError(f"{folder}: something was put into it meanwhile; expected an empty folder")
        yield Path(f"/proc/self/fd/{descriptor}")
    finally:
        os.close(descriptor)


def _link(data: Path, tablespaces: Mapping[str, Path]) -> None:
    """Let `pg_tblspc` lead to where they are. Raises RestoreError."""
    if not tablespaces:
        return
    try:
        links = os.open(data / "pg_tblspc", _FOLDER)
    except OSError as error:
        raise RestoreError(f"the base backup's pg_tblspc is no folder ({error.strerror})") from None
    try:
        for oid, space in tablespaces.items():
            with suppress(FileNotFoundError):
                os.unlink(oid, dir_fd=links)
            os.symlink(space, oid, dir_fd=links)
    finally:
        os.close(links)


def _settings_of(data: Path) -> str:
    """What ALTER SYSTEM set. Raises RestoreError for a base backup in which that is no file."""
    try:
        return read_regular(data / _SETTINGS, _MAX_SETTINGS).decode("utf-8", "surrogateescape")
    except FileNotFoundError:
        return ""
    except OSError as error:
        if error.errno not in (errno.ELOOP, errno.EINVAL):
            raise
        raise RestoreError(f"the base backup's {_SETTINGS} is no regular file") from None


def _restore_wal(repository: Repository, chain: Chain, plan: RestorePlan, target: Target, folder: Path) -> int:
    """The segments, as far as recovery goes, and all history files that there are; how many segments."""

    def bring(name: str, snapshot: Snapshot) -> bytes:
        content = _content(repository, snapshot, f"{FOLDER}/{chain.system}/{name}", chain.segment_size)
        (folder / name).write_bytes(content)
        return content

    for number, snapshot in chain.histories.items():
        bring(f"{number:08X}.history", snapshot)
    count = 0
    for each in plan.segments:
        segment = bring(each.name, each.snapshot)
        count += 1
        is_behind = target.kind is Kind.TIME and each.until * _NANO > target.value
        if is_behind and ends_behind(segment, target.value, each.until):
            break
    return count


def _content(repository: Repository, snapshot: Snapshot, path: str, most: int) -> bytes:
    """Of a file. Raises RestoreError for one of more than `most` bytes: a few blobs can stand for any length."""
    node = find_entry(repository, snapshot.root, os.fsencode(path))
    content = bytearray()
    for id in (node.content or ()) if node is not None else ():
        content += repository.load_blob(BlobKind.DATA, id)
        if len(content) > most:
            raise RestoreError(f"snapshot {snapshot.short_id}: {clean(path)} has more than {most} bytes")
    return bytes(content)


def _base_of(snapshot: Snapshot) -> str:
    """The folder of a base backup in its snapshot, which is all that the snapshot is of."""
    if len(snapshot.paths) != 1:
        raise RepositoryError(f"snapshot {snapshot.short_id} is marked as a base backup, but is of several paths")
    return snapshot.paths[0]


def _give(folder: Path, owner: str) -> None:
    """All in it, and the folder itself last: until then nobody gets in who could swap something for a link."""
    entry = pwd.getpwnam(owner)
    top = os.open(folder, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for _, folders, files, here in os.fwalk(".", dir_fd=top):
            for name in (*folders, *files):
                os.chown(name, entry.pw_uid, entry.pw_gid, dir_fd=here, follow_symlinks=False)
        os.fchown(top, entry.pw_uid, entry.pw_gid)
    finally:
        os.close(top)
