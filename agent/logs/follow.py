"""Following logs: each complete line is read once, whatever happens to the files between two looks.

A file is known by device, inode and content: a digest of its beginning and of what lies before the place to which it
was read. At each look the files that the patterns mean, and their rotated pieces beside them, are put in order before
anything is read:

- A known inode with the content before its place is the same file, whatever it is called now (rename and create).
- Content that is gone from its inode (copytruncate, a file system that came back with other numbers) is looked for in
  the files of the same log that are new, and is read on there.
- A rotated piece that is new and is the beginning of another file is its copy, made but not yet followed by the
  truncation: it is not read as long as the other is there.
- All else that is new is read from its beginning, or from its end when nobody asked for it before.

Bytes that were read are given only once the file has proved again that they follow what was read before, so that a
truncation in the middle of it does no harm. What cannot be followed is said as a `Loss`: lines that were written and
truncated away, removed or compressed between two looks.

Two things are beyond telling. A file that begins again with exactly what was read of it counts as the same; and a
rotated piece that was never seen under its first name, and whose whole content is the beginning of another piece,
counts as a copy of that.
"""

from __future__ import annotations

import os
from collections import defaultdict
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from fnmatch import fnmatchcase
from glob import glob, has_magic
from stat import S_ISREG

from agent.logs import evidence, names
from agent.logs.lines import split
from agent.logs.place import Folder, Gone, Place, Places, Seen, holds, is_beginning, mark

CHUNK = 2**18
"""Bytes that are read, proved and given at once."""
MAX_FILES = 10_000
"""That are followed; what is remembered of so many must fit a job's answer."""
MAX_GONE = 1000
RETURNS_WITHIN = 7 * 86400.0
"""Seconds for which content that is gone is known again when it comes back."""
OLD = 86400.0
"""Seconds before the last look at which a rotated piece that turns up ended, to be history that somebody unpacked."""


@dataclass(frozen=True, slots=True)
class Loss:
    """Content that went away, and perhaps lines with it that nobody read."""

    path: str
    how: str
    """`was truncated`, `was removed`, `was compressed to NAME`"""
    bytes: int
    """That were there unread; 0 where it is only possible that some came after the last look."""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Something that could not be looked at."""

    path: str
    reason: str


class Follower:
    """One look: make it, `read` to the end, then keep `places` for the next one."""

    def __init__(
        self, remembered: Places, patterns: Sequence[str], *, now: float, longest: int, from_beginning: bool = False
    ) -> None:
        """`patterns` are paths with `*`, `?` and `[…]`; `now` is in seconds since the epoch; lines longer than
        `longest` bytes are cut there. `from_beginning` says where logs are begun that are met for the first time;
        their rotated pieces are always history."""
        self._patterns = [os.fsencode(pattern) for pattern in patterns]
        self._begun = set(remembered.patterns)
        self._looked = remembered.looked
        self._now = now
        self._longest = longest
        self._from_beginning = from_beginning
        self._files: list[tuple[Seen, Place]] = []
        """What can be read now."""
        self._apart: list[tuple[bytes, Place]] = []
        """Folder and place of what could not be looked at, or moved while it was: as it was, until the next look."""
        self._moving: set[tuple[bytes, bytes]] = set()
        """Folders and logs of which something could not be looked at: what may be a copy of that has to wait."""
        self._gone: list[tuple[bytes, Gone]] = []
        self._packed: list[Seen] = []
        self.losses: list[Loss] = []
        self.troubles: list[Trouble] = []
        self.missing: list[str] = []
        """Patterns without wildcards of whose log there is nothing, and was nothing."""
        self.left_out = 0
        """Files more than can be followed."""
        self.bytes = 0
        """Read by this look."""
        self.behind = 0
        """That are there and were left for the next look; an unfinished line is not among them."""
        self._copies: list[tuple[Seen, Place, Place]] = []
        """What is not read, its place, and that of the file through which it is."""
        self._new_pieces: set[tuple[bytes, bytes]] = set()
        """Folders and logs that have a rotated piece which is read from its beginning."""
        self._settle(remembered)

    @property
    def count(self) -> int:
        """Files that are followed."""
        return len(self._files) + len(self._apart)

    @property
    def places(self) -> Places:
        """What the next look needs."""
        folders: dict[bytes, Folder] = {}

        def folder(path: bytes) -> Folder:
            return folders.setdefault(path, Folder(path, [], [], []))

        for seen, place in self._files:
            folder(seen.folder).places.append(place)
        for file, place, _ in self._copies:
            folder(file.folder).places.append(place)
        for path, place in self._apart:
            folder(path).places.append(place)
        for path, gone in sorted(self._gone, key=lambda item: item[1].since)[-MAX_GONE:]:
            folder(path).gone.append(gone)
        for file in self._packed[:MAX_FILES]:
            folder(file.folder).packed.append(file.identity)
        return Places(self._patterns, self._now, list(folders.values()))

    def _settle(self, remembered: Places) -> None:
        known = {place.identity: (folder.path, place) for folder in remembered.folders for place in folder.places}
        logs = {(path, place.family) for path, place in known.values()}
        logs |= {(folder.path, gone.place.family) for folder in remembered.folders for gone in folder.gone}
        seen = self._scan(known.keys(), logs)
        if known.keys() - seen.keys():
            # Whether a folder's list has a file that is renamed meanwhile is left to chance; of two lists one has it.
            seen |= self._scan(known.keys(), logs)
        logs |= {(file.folder, file.family) for file in [*seen.values(), *self._packed]}
        self.missing = [
            os.fsdecode(pattern)
            for pattern in self._patterns
            if not has_magic(pattern) and os.path.split(pattern) not in logs
        ]
        adrift: dict[tuple[bytes, bytes], list[Gone]] = defaultdict(list)
        """Content that is looked for, by folder and log."""
        loose: list[tuple[Seen, Place | None]] = []
        for folder in remembered.folders:
            for gone in folder.gone:
                if self._now - gone.since <= RETURNS_WITHIN and self._is_meant(folder.path, gone.place.family):
                    adrift[folder.path, gone.place.family].append(gone)
        for path, place in known.values():
            file = seen.pop(place.identity, None)
            if file is None:
                if self._is_meant(path, place.family) and not place.copy:
                    adrift[path, place.family].append(Gone(place, 0))
            elif place.copy or (
                not place.offset and file.stat.st_size >= place.size and not evidence.is_unchanged(file, place)
            ):
                loose.append((file, place))  # its number alone does not tell which file it is
            elif place.offset and file.is_rotated and (path, place.name) == (file.folder, file.family):
                # Renamed, most likely; but should it be a copy that got the number of a log which was replaced, the
                # log itself comes first.
                adrift[path, place.family].append(Gone(place, 0))
                loose.append((file, None))
            elif (same := self._is_same(file, place)) is None:
                self._apart.append((path, place))
                self._moving.add((path, place.family))
            elif same:
                place.name, place.family = file.name, file.family
                self._files.append((file, place))
            else:
                adrift[path, place.family].append(Gone(place, 0))
                loose.append((file, None))
        replaced = {file.identity for file, _ in loose}
        loose += [(file, None) for file in seen.values()]
        # Logs themselves before their pieces, and the longer of these first: a copy is told by what it is a copy of.
        loose.sort(key=lambda item: (item[0].is_rotated, -item[0].stat.st_size))
        related: dict[tuple[bytes, bytes], list[tuple[Seen, Place]]] = defaultdict(list)
        for file, place in self._files:
            if not file.is_rotated:
                related[file.folder, file.family].append((file, place))
        for file, before in loose:
            key = file.folder, file.family
            self._place(file, before, adrift[key], related[key])
        self._reckon(adrift, replaced, {identity for folder in remembered.folders for identity in folder.packed})

    def _scan(
        self, known: Collection[tuple[int, int]], logs: Collection[tuple[bytes, bytes]]
    ) -> dict[tuple[int, int], Seen]:
        """The regular files that are meant, by their identity; one that has several names under that of a log.

        A name that looks rotated (`worker-1.log`) is that of a piece only where its log is there, or was.
        """
        wanted: dict[bytes, list[tuple[bytes, bool]]] = defaultdict(list)
        for pattern in self._patterns:
            head, tail = os.path.split(pattern)
            for path in sorted(glob(head)) if has_magic(head) else [head]:  # noqa: PTH207 - bytes
                wanted[path].append((tail, pattern in self._begun))
        found: dict[tuple[int, int], Seen] = {}
        self._packed.clear()
        for path, tails in wanted.items():
            try:
                with os.scandir(path) as entries:
                    files = [file for entry in entries if (file := _meant(path, entry, tails)) is not None]
                present = {file.name for file in files}
                for file in files:
                    if names.is_compressed(file.name):
                        self._packed.append(file)
                        continue
                    if file.family not in present and (path, file.family) not in logs:
                        file = file._replace(family=file.name)
                    if file.identity not in found or found[file.identity].is_rotated:
                        found[file.identity] = file
            except OSError as error:
                if not isinstance(error, FileNotFoundError):
                    self.troubles.append(Trouble(os.fsdecode(path), error.strerror or str(error)))
        self.left_out = max(0, len(found) - MAX_FILES)
        if self.left_out:
            # Those that are followed stay so, then the newest.
            ranked = sorted(
                found.values(), key=lambda file: (file.identity in known, file.stat.st_mtime), reverse=True
            )
            found = {file.identity: file for file in ranked[:MAX_FILES]}
        return found

    def _is_meant(self, folder: bytes, family: bytes) -> bool:
        """Whether the patterns, which may be others than at the last look, mean this log."""
        split_patterns = (os.path.split(pattern) for pattern in self._patterns)
        return any(fnmatchcase(folder, head) and fnmatchcase(family, tail) for head, tail in split_patterns)

    def _is_same(self, file: Seen, place: Place) -> bool | None:
        """Whether the content before the place is what was read; None where nobody can look now."""
        if evidence.is_unchanged(file, place):
            return True
        if not place.offset:
            return False  # what was there is there no more
        with self._open(file) as descriptor:
            if descriptor is not None and holds(descriptor, place):
                return True
            # Where it changed since it was listed, its content may have gone to a file that is not in the list.
            if descriptor is not None and evidence.is_as_listed(descriptor, file):
                return False
        return None

    def _place(self, file: Seen, before: Place | None, adrift: list[Gone], related: list[tuple[Seen, Place]]) -> None:
        """Find out what a file is that is new, or was a copy, and where it is to be read on. `related` is what it may
        be a copy of."""
        key = file.folder, file.family
        with self._open(file) as descriptor:
            if descriptor is None:
                self._moving.add(key)
                if before is not None:
                    self._apart.append((file.folder, before))
                return
            place = Place(file.name, file.family, *file.identity, size=file.stat.st_size)
            nearest = sorted(adrift, key=lambda gone: (gone.place.name == file.name, gone.place.offset), reverse=True)
            continued = next((gone for gone in nearest if gone.place.offset and holds(descriptor, gone.place)), None)
            if continued is not None:
                adrift.remove(continued)
                _go_on(place, continued.place)
            else:
                if before is not None and holds(descriptor, before):
                    _go_on(place, before)
                if file.is_rotated:
                    try:
                        if key in self._moving:
                            raise _MovingError
                        original = self._original(descriptor, related)
                    except _MovingError:
                        if before is not None:
                            self._apart.append((file.folder, before))
                        return  # the next look tells
                    if original is not None:
                        place.copy = True
                        self._copies.append((file, place, original))
                        return
                if before is None and self._is_history(file):
                    size = os.fstat(descriptor).st_size
                    place.offset, place.skipping = evidence.end(descriptor, size, self._longest)
                    place.mark = mark(descriptor, place.offset) or b""
                elif before is None and file.is_rotated:
                    self._new_pieces.add(key)
            self._files.append((file, place))
            if not file.is_rotated:
                related.append((file, place))

    def _original(self, descriptor: int, related: Sequence[tuple[Seen, Place]]) -> Place | None:
        """The place of the file whose beginning this one is. Raises _MovingError where one is not what it was."""
        for file, place in related:
            with self._open(file) as other:
                if other is None or not holds(other, place):
                    raise _MovingError
                if is_beginning(descriptor, other):
                    return place
        return None

    def _is_history(self, file: Seen) -> bool:
        """Whether what is in a new file was there before anybody asked for it."""
        if file.first:
            return file.is_rotated or not self._from_beginning
        return file.is_rotated and file.stat.st_mtime < min(self._looked, self._now) - OLD

    def _reckon(
        self,
        adrift: dict[tuple[bytes, bytes], list[Gone]],
        replaced: Collection[tuple[int, int]],
        packed: Collection[tuple[int, int]],
    ) -> None:
        """What of the content that is gone was perhaps not read, and what to keep for its return."""
        archives: dict[tuple[bytes, bytes], list[Seen]] = defaultdict(list)
        for file in self._packed:
            if not file.first and file.identity not in packed:
                archives[file.folder, file.family].append(file)
        for key in adrift.keys() | archives.keys():
            folder, family = key
            lost = [gone.place for gone in adrift[key] if gone.since == 0]
            for archive in archives[key]:
                size = evidence.unpacked_size(archive)
                place = evidence.content_of(size, lost)
                if place is not None:
                    lost.remove(place)
                    if size is None and evidence.was_at_end(place, archive):
                        continue
                elif archive.stat.st_mtime < self._looked - OLD:
                    continue  # history
                read, known = (place.offset, place.size) if place else (0, 0)
                if size != read:
                    unread = size - read if size else known - read
                    name = place.name if place else family
                    self._lose(folder, name, f"was compressed to {os.fsdecode(archive.name)}", unread)
            for place in lost:
                unread = place.size - place.offset
                if (unread or place.name == family) and (place.offset or key not in self._new_pieces):
                    how = "was truncated" if place.identity in replaced else "was removed"
                    self._lose(folder, place.name, how, unread)
            for gone in adrift[key]:
                if gone.place.offset:
                    self._gone.append((folder, gone if gone.since else Gone(gone.place, self._now)))

    # --- reading -------------------------------------------------------------------------------------------------

    def read(self, most: int, is_over: Callable[[], bool]) -> Iterator[tuple[str, list[bytes]]]:
        """The new complete lines, a batch at a time, with the path of their file.

        About `most` bytes at most, shared fairly by the files; none after `is_over` says so. What has been given by
        then counts as read.
        """
        pending = []
        for file, place in self._files:
            if file.stat.st_size > place.offset and place.changed != file.stat.st_ctime_ns:
                pending.append((file, place))
            else:
                place.size, place.changed = file.stat.st_size, evidence.settled(file.stat)
        pending.sort(key=lambda item: item[0].stat.st_size - item[1].offset)
        for number, (file, place) in enumerate(pending):
            if self.bytes >= most or is_over():
                place.size, place.changed = file.stat.st_size, 0
                self.behind += place.size - place.offset
                continue
            share = max((most - self.bytes) // (len(pending) - number), self._longest + 1)
            path = os.fsdecode(file.path)
            for lines in self._read(file, place, share, is_over):
                yield path, lines
        for file, place, original in self._copies:
            self._follow_copy(file, place, original)

    def _read(self, file: Seen, place: Place, share: int, is_over: Callable[[], bool]) -> Iterator[list[bytes]]:
        place.changed = 0
        with self._open(file) as descriptor:
            while descriptor is not None:
                stat = os.fstat(descriptor)
                data = os.pread(descriptor, min(max(CHUNK, self._longest + 1), share), place.offset)
                lines, used, skipping = split(data, self._longest, skipping=place.skipping)
                end = evidence.after_hole(descriptor, place.offset, data) or place.offset + used
                content = mark(descriptor, end)
                if content is None or not holds(descriptor, place) or not evidence.begins(descriptor, place, data):
                    return  # it was truncated just now
                at_end = place.offset + len(data) >= stat.st_size
                place.offset, place.mark, place.skipping, place.size = end, content, skipping, stat.st_size
                self.bytes += used
                share -= used
                if lines:
                    yield lines
                if at_end:
                    place.changed = evidence.settled(stat)
                    return
                if share <= self._longest or is_over():
                    self.behind += stat.st_size - place.offset
                    return

    def _follow_copy(self, file: Seen, place: Place, original: Place) -> None:
        """What was read of a log was read of its copy, of which only whole lines tell what it is a copy of."""
        with self._open(file) as descriptor:
            if descriptor is None:
                return
            if original.offset <= place.size:
                offset, skipping = original.offset, original.skipping
            else:
                offset, skipping = evidence.end(descriptor, place.size, self._longest)
            content = mark(descriptor, offset)
            if content is not None:
                place.offset, place.mark, place.skipping = offset, content, skipping

    def _lose(self, folder: bytes, name: bytes, how: str, unread: int) -> None:
        self.losses.append(Loss(os.fsdecode(os.path.join(folder, name)), how, max(0, unread)))  # noqa: PTH118 - bytes

    @contextmanager
    def _open(self, file: Seen) -> Iterator[int | None]:
        """A descriptor of the file; None where its name leads to another one by now, or it cannot be read. What goes
        wrong while it is used ends its use."""
        try:
            # Should it have become a pipe, opening it must not wait for a writer.
            descriptor = os.open(file.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC | os.O_NOCTTY)
        except OSError as error:
            if not isinstance(error, FileNotFoundError):
                self._fail(file, error)
            yield None
            return
        try:
            stat = os.fstat(descriptor)
            yield descriptor if (stat.st_dev, stat.st_ino) == file.identity else None
        except OSError as error:
            self._fail(file, error)
        finally:
            os.close(descriptor)

    def _fail(self, file: Seen, error: OSError) -> None:
        trouble = Trouble(os.fsdecode(file.path), error.strerror or str(error))
        if trouble not in self.troubles[-1:]:
            self.troubles.append(trouble)


class _MovingError(Exception):
    """A file changes at this moment."""


def _meant(path: bytes, entry: os.DirEntry[bytes], tails: Sequence[tuple[bytes, bool]]) -> Seen | None:
    kin = [(family, begun) for tail, begun in tails if (family := names.family(entry.name, tail)) is not None]
    if not kin:
        return None
    try:
        stat = entry.stat()
    except OSError:
        return None  # it is gone again, or a link that leads nowhere
    if not S_ISREG(stat.st_mode):
        return None
    return Seen(path, entry.name, kin[0][0], not any(begun for _, begun in kin), stat)


def _go_on(place: Place, before: Place) -> None:
    place.offset, place.mark, place.skipping = before.offset, before.mark, before.skipping
