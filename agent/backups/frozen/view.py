"""A run's view: its paths as they were at one moment, under the names that they always have.

Snapshots are made, and mounted over the paths in a mount namespace of the run alone: nobody else sees it, and it ends
with the run, however that ends. The snapshots themselves outlive a killed run. Each has its maker's process in its
name, and the next run that freezes the same volume removes those of the dead.
"""

from __future__ import annotations

import os
import posixpath
import tempfile
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from agent.backups.frozen import namespace
from agent.backups.frozen.contract import FrozenError, System, Volume
from agent.backups.frozen.mounts import Cover, Mounted, covers, holding, parse, within
from agent.backups.frozen.names import Owner, is_alive, name_of, owner_of, this_owner
from agent.backups.frozen.registry import load, offered
from kit.errors import HostwardError
from kit.terminal import clean

Tell = Callable[[str], None]

_MOUNTS = Path("/proc/self/mountinfo")
_TOLD_KINDS = ("nfs", "nfs4", "overlay", "zfs")
"""File systems without a device of which people would expect snapshots."""


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One that was made for this run."""

    kind: str
    """The name of its system."""
    volume: Volume
    name: str

    @property
    def system(self) -> System:
        return load(self.kind)

    @property
    def place(self) -> tuple[str, str]:
        """What it is of."""
        return self.kind, self.volume.place

    @property
    def point(self) -> Path:
        """Where that is seen."""
        return Path(os.fsdecode(self.volume.mounted.point))

    def require_good(self) -> None:
        """Raises FrozenError where it does not hold any more what it held."""
        self.system.require_good(self.volume, self.name)


@dataclass(frozen=True, slots=True)
class View:
    """What a run sees."""

    snapshots: Sequence[Snapshot] = ()
    devices: Mapping[int, int] = field(default_factory=dict)
    """st_dev of each snapshot, to that of its volume."""


@contextmanager
def frozen(
    paths: Sequence[bytes], how: str, *, size: int | None = None, live: Sequence[Path] = (), tell: Tell
) -> Iterator[View]:
    """Show snapshots at the paths and below them, for the calling thread, and the processes that it starts.

    `how` is the name of a system, which must then make snapshots of what holds each path; or `auto`: of each mount
    what it offers, and none where it offers nothing. `live` is what the run itself writes to: it stays as it is.
    `tell` hears what is not frozen, and what could not be removed. Raises FrozenError and ProgramError.
    """
    if os.geteuid() != 0:
        raise FrozenError("snapshots of file systems are made by root; the job's table `privileged` lets root run it")
    with ExitStack() as stack:
        try:
            view = _freeze_and_cover([_real(path) for path in paths], how, size, live, stack, tell)
        except OSError as error:
            where = f"{clean(str(error.filename))}: " if error.filename else ""
            raise FrozenError(f"{where}{error.strerror}: the paths cannot be frozen, so nothing is saved") from None
        yield view


def _freeze_and_cover(
    paths: Sequence[bytes], how: str, size: int | None, live: Sequence[Path], stack: ExitStack, tell: Tell
) -> View:
    mounts = parse(_MOUNTS.read_bytes())
    volumes = _volumes(paths, mounts, how, tell)
    if not volumes:
        return View()
    owner = this_owner()
    snapshots = _freeze(volumes.values(), owner, size, stack, tell)
    namespace.leave()
    shown = _show(snapshots, owner, stack)
    places = {mounted: shown[kind, volume.place] / volume.inner for mounted, (kind, volume) in volumes.items()}
    devices = {_device(shown[each.place]): _device(each.point) for each in snapshots}
    within_volumes = [mounted for mounted in places if mounted not in mounts]
    over, hidden = covers(paths, [*mounts, *within_volumes], places.__contains__)
    _cover(over, hidden, places, [*live, Path(tempfile.gettempdir())], stack)
    return View(snapshots, devices)


def _device(path: Path) -> int:
    return path.stat().st_dev


def _real(path: bytes) -> bytes:
    """Absolute, without links above its last name: a link that is named is saved itself."""
    folder, name = posixpath.split(posixpath.abspath(path))
    return posixpath.join(posixpath.realpath(folder), name) if name else folder


def _volumes(
    paths: Sequence[bytes], mounts: Sequence[Mounted], how: str, tell: Tell
) -> dict[Mounted, tuple[str, Volume]]:
    """What there are snapshots of. Raises FrozenError for a path whose file system has none, where they must be."""
    holders = {holding(mounts, path) for path in paths}
    waiting = [*holders, *(each for each in mounts if any(within(each.point, path) for path in paths))]
    found: dict[Mounted, tuple[str, Volume]] = {}
    for mounted in dict.fromkeys(waiting):
        offer = offered(mounted, how)
        if offer is None:
            where = f"{clean(os.fsdecode(mounted.point))} ({mounted.kind})"
            if how != "auto" and mounted in holders:
                raise FrozenError(f"{where} is not what {how} makes snapshots of; nothing is saved")
            if mounted.source.startswith("/") or mounted.kind in _TOLD_KINDS:
                tell(f"{where} has no snapshots: it is read as it is")
            continue
        found[mounted] = offer
        system = load(offer[0])
        for inner in system.nested(mounted):
            is_meant = any(within(inner.point, path) or within(path, inner.point) for path in paths)
            if is_meant and (volume := system.volume(inner)) is not None:
                found.setdefault(inner, (offer[0], volume))
    return found


def _freeze(
    volumes: Iterable[tuple[str, Volume]], owner: Owner, size: int | None, stack: ExitStack, tell: Tell
) -> list[Snapshot]:
    """Make the snapshots, after those of dead runs are removed; at the end they are, too. A volume that is seen at
    several places is frozen once.
    """
    snapshots = []
    once = {(kind, volume.place): (kind, volume) for kind, volume in volumes}
    for number, (kind, volume) in enumerate(once.values()):
        snapshots.append(Snapshot(kind, volume, name_of(owner, number)))
        for name in load(kind).names(volume):
            maker = owner_of(name)
            if maker is not None and not is_alive(maker):
                _remove(Snapshot(kind, volume, name), tell)
    for kind in dict.fromkeys(each.kind for each in snapshots):
        those = [each for each in snapshots if each.kind == kind]
        for each in those:
            stack.callback(_remove_made, each, tell)
        load(kind).freeze([each.volume for each in those], [each.name for each in those], size)
    return snapshots


def _remove_made(snapshot: Snapshot, tell: Tell) -> None:
    """What is there of it: making it may have failed."""
    try:
        is_there = snapshot.name in snapshot.system.names(snapshot.volume)
    except (HostwardError, OSError):
        is_there = True
    if is_there:
        _remove(snapshot, tell)


def _remove(snapshot: Snapshot, tell: Tell) -> None:
    try:
        snapshot.system.remove(snapshot.volume, snapshot.name)
    except HostwardError as error:
        what = f"the snapshot {snapshot.name} of {clean(snapshot.volume.place)}"
        tell(f"{what} could not be removed, which the next run tries again: {error}")


def _show(snapshots: Sequence[Snapshot], owner: Owner, stack: ExitStack) -> dict[tuple[str, str], Path]:
    """Make each snapshot visible somewhere, in this namespace alone; where, by what it is of."""
    above = Path("/run") if os.access("/run", os.W_OK) else Path(tempfile.gettempdir())
    for entry in above.glob("hostward-*"):
        maker = owner_of(entry.name)
        if maker is not None and not is_alive(maker):
            with suppress(OSError):
                entry.rmdir()
    places = {}
    for each in snapshots:
        folder = above / each.name
        folder.mkdir(mode=0o700)
        stack.callback(_drop, folder)
        places[each.place] = each.system.show(each.volume, each.name, folder)
    return places


def _drop(folder: Path) -> None:
    with suppress(OSError):  # there was no need to mount it
        namespace.unmount(os.fsencode(folder))
    with suppress(OSError):
        folder.rmdir()


def _cover(
    shown: Sequence[Cover],
    hidden: Sequence[bytes],
    places: Mapping[Mounted, Path],
    live: Sequence[Path],
    stack: ExitStack,
) -> None:
    """Mount the snapshots over the paths, and what must stay over these. All is opened before anything is covered."""
    writable = {os.fsencode(path.resolve()) for path in live if path.exists()}
    staying = {*hidden, *(path for path in writable if any(within(path, cover.path) for cover in shown))}
    with ExitStack() as opened:

        def reach(path: bytes) -> bytes:
            descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
            opened.callback(os.close, descriptor)
            return b"/proc/self/fd/%d" % descriptor

        above = [(path, reach(path)) for path in sorted(staying, key=len)]
        binds = []
        for cover in shown:
            for target, source in _binds(cover.path, posixpath.join(os.fsencode(places[cover.mounted]), cover.inner)):
                binds.append((target, reach(source)))
        for target, source in binds:
            namespace.bind(source, target)
            stack.callback(namespace.unmount, target)
        for target, source in above:
            if posixpath.lexists(target):
                namespace.bind(source, target, with_below=True)
                stack.callback(namespace.unmount, target)


def _binds(target: bytes, source: bytes) -> Iterator[tuple[bytes, bytes]]:
    """What is mounted over what. The root folder cannot be covered, but what is in it can; a link needs it not."""
    if target != b"/":
        if posixpath.lexists(source) and not posixpath.islink(target):
            yield target, source
        return
    for entry in sorted(os.scandir(source), key=lambda entry: entry.name):
        inner = b"/" + entry.name
        if posixpath.lexists(inner) and not entry.is_symlink() and not posixpath.ismount(inner):
            yield inner, entry.path
