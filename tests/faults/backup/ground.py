"""Repositories that faults are tried on, and what must hold of them whatever happened."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sysconfig
from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from backup.archive.backup import run_backup
from backup.archive.plan import Plan
from backup.format.pack import BlobKind
from backup.maintain.check import CheckOptions, CheckReport, check
from backup.maintain.repair_index import repair_index
from backup.repository.keys import add_key
from backup.repository.opening import open_repository
from backup.repository.repository import Repository
from backup.stores.cache import CachedStore, folder_of_caches
from backup.stores.contract import FileKind
from backup.stores.local import SPOOL, LocalStore
from backup.stores.spool import PREFIX
from tests.faults.backup.lives import CHEAP
from tests.peers import newest_restic

PASSWORD, SECOND, NEW = "the one", "the second", "the new one"
HOST = "h"
HOSTWARD = Path(sysconfig.get_path("scripts"), "hostward")
BASES = ("empty", "aged", "known", "unindexed", "torn", "lossy")
Listing = frozenset[tuple[str, int]]
"""(path, size) of files; a name is the hash of what is in the file, so equal listings are equal repositories."""


def opened(folder: Path, password: str = PASSWORD) -> Repository:
    """By our own code."""
    return open_repository(LocalStore(folder), password.encode())


def restic(
    program: Path, folder: Path, *words: str | Path, password: str = PASSWORD, code: int | None = 0
) -> subprocess.CompletedProcess[str]:
    """Run it."""
    done = subprocess.run(
        [program, "--no-cache", "-r", folder, *words],
        env={**os.environ, "RESTIC_PASSWORD": password},
        capture_output=True,
        text=True,
        timeout=100,
    )
    assert code in (None, done.returncode), f"restic {words}: {done.stdout}{done.stderr}"
    return done


def back_up(folder: Path, source: Path, *, pack_size: int = 16 << 20, force: bool = False) -> str:
    """By our own code; the name of the snapshot."""
    repository = opened(folder)
    plan = Plan(targets=(os.fsencode(source),), hostname=HOST, workers=1, pack_size=pack_size, force=force)
    with repository.lock():
        name = run_backup(repository, plan).snapshot.id
    repository.store.close()
    return name


def tree_at(folder: Path, snapshot: str, path: Path) -> bytes:
    """The tree of a folder in a snapshot."""
    repository = opened(folder)
    tree = repository.load_snapshot(snapshot).tree
    for name in path.parts[1:]:
        assert tree is not None
        tree = next(node.subtree for node in repository.load_tree(tree) if node.name == os.fsencode(name))
    assert tree is not None
    return tree


def checked(folder: Path) -> CheckReport:
    """What our check with all data says."""
    return check(opened(folder), CheckOptions(read_data=True, processes=1))


def manifest(folder: Path) -> dict[str, str]:
    """What is in a folder: a hash of each file by its path."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file()
    }


def files(folder: Path, kind: FileKind) -> list[Path]:
    """The files of a kind, sorted."""
    return sorted(path for path in (folder / kind.value).rglob("*") if path.is_file())


def names(folder: Path, kind: FileKind) -> set[str]:
    """Their names."""
    return {path.name for path in files(folder, kind)}


def listing(folder: Path) -> Listing:
    """All files of a repository, but for locks and what is not a part of it."""
    return frozenset(
        (str(path.relative_to(folder)), path.stat().st_size)
        for path in folder.rglob("*")
        if path.is_file() and path.relative_to(folder).parts[0] not in (FileKind.LOCK.value, SPOOL)
    )


def spooled(folder: Path) -> list[Path]:
    """What was being written to it, wherever."""
    return list(folder.rglob(f"{PREFIX}*"))


def flip(file: Path, at: int) -> None:
    """Flip one bit of a file that is read-only, at a byte counted from the end if it is negative."""
    mode = file.stat().st_mode
    file.chmod(0o600)
    content = bytearray(file.read_bytes())
    content[at] ^= 0x10
    file.write_bytes(content)
    file.chmod(mode)


@dataclass
class Ground:
    """Repositories of which each trial gets a copy, and what was saved in them."""

    top: Path
    source: Path
    """A folder that has changed since it was saved last."""
    known: Path
    """Another, of which the cache knows what it was then."""
    cache: Path
    """What this host keeps of the repository `known`; more than there is in the others."""
    second_key: str = ""
    """The key file of the second password."""
    torn_pack: str = ""
    contents: dict[str, dict[str, str]] = field(default_factory=dict)
    """The manifest of what each snapshot was made of."""
    _accepted: set[tuple[Listing, Path | None]] = field(default_factory=set)
    _trees: dict[tuple[str, Path], bytes] = field(default_factory=dict)

    @classmethod
    def make(cls, top: Path) -> Ground:
        """All of them."""
        ground = cls(top, top / "source", top / "known-source", top / "cache")
        for name, password in (("one", PASSWORD), ("second", SECOND), ("new", NEW)):
            path = top / f"password-{name}"
            path.write_text(password)
            path.chmod(0o600)
        Repository.create(LocalStore(top / "empty"), PASSWORD.encode(), cost=CHEAP)
        ground._make_aged()
        ground._make_known()
        ground._make_unindexed()
        ground._make_torn()
        ground._make_lossy()
        for name in BASES:
            _slim(top / name)
        return ground

    def copy(self, name: str, to: Path) -> Path:
        """A copy that may be changed."""
        shutil.copytree(self.top / name, to)
        return to

    def accepts(
        self, folder: Path, required: Collection[str] = (), *, programs: Sequence[Path] | None = None
    ) -> None:
        """Fail unless both, restic and we, find all data of a repository without a fault, with these snapshots.

        By these programs of restic, by default the newest. What was accepted once is not looked at again.
        """
        lost = set(required) - names(folder, FileKind.SNAPSHOT)
        assert not lost, f"snapshots are gone: {lost}"
        now = listing(folder)
        for program in [newest_restic()] if programs is None else programs:
            if (now, program) not in self._accepted:
                restic(program, folder, "check", "--read-data", "--no-lock")
                self._accepted.add((now, program))
        if (now, None) not in self._accepted:
            report = checked(folder)
            assert report.sound, [problem.message for problem in report.problems]
            self._accepted.add((now, None))

    def tree(self, base: str, source: Path) -> bytes:
        """The tree that a folder becomes where everything is read."""
        if (base, source) not in self._trees:
            scratch = self.copy(base, self.top / "scratch")
            self._trees[base, source] = tree_at(scratch, back_up(scratch, source, force=True), source)
            shutil.rmtree(scratch)
        return self._trees[base, source]

    def restores(self, folder: Path, snapshot: str, to: Path, program: Path | None = None) -> None:
        """Fail unless restic gives back what was saved."""
        restic(program or newest_restic(), folder, "restore", "--no-lock", snapshot, "--target", to)
        assert manifest(to / self.source.relative_to("/")) == self.contents[snapshot]
        shutil.rmtree(to)

    def _make_aged(self) -> None:
        """Three snapshots, ours and restic's, and waste of a forgotten one beside what is needed; two passwords."""
        folder, source = self.top / "aged", self.source
        repository = Repository.create(LocalStore(folder), PASSWORD.encode(), cost=CHEAP)
        self.second_key = add_key(LocalStore(folder), repository.key, SECOND.encode(), cost=CHEAP)
        (source / "deep/er").mkdir(parents=True)
        for number in range(6):
            (source / f"file{number}").write_bytes(os.urandom(1000 + 3000 * number))
        (source / "deep/er/text").write_bytes(b"a line of text\n" * 3000)
        (source / "deep/empty").touch()
        (source / "large").write_bytes(os.urandom(800_000))
        self._note(back_up(folder, source))
        (source / "gone").write_bytes(os.urandom(60_000))
        (source / "stays").write_bytes(os.urandom(50_000))
        forgotten = back_up(folder, source)
        (source / "gone").unlink()
        (source / "deep/er/more").write_bytes(b"more\n" * 2000)
        before = names(folder, FileKind.SNAPSHOT)
        restic(newest_restic(), folder, "backup", source, "--host", HOST, "--tag", "peer")
        self._note(*names(folder, FileKind.SNAPSHOT) - before)
        (source / "file1").write_bytes(os.urandom(20_000))
        self._note(back_up(folder, source))
        (folder / FileKind.SNAPSHOT.value / forgotten).unlink()
        (source / "file2").write_bytes(os.urandom(30_000))
        (source / "new").mkdir()
        (source / "new/file").write_bytes(os.urandom(10_000))

    def _make_known(self) -> None:
        """A fourth snapshot, of the other folder, which has changed since; and the cache of who made it."""
        folder, cache = self.copy("aged", self.top / "known"), folder_of_caches({"RESTIC_CACHE_DIR": str(self.cache)})
        shutil.copytree(self.source, self.known)
        command = [str(HOSTWARD), "backup", "run", str(self.known), "--host", HOST, "--cache-dir", str(self.cache)]
        environment = {**os.environ, "HOSTWARD_REPOSITORY": str(folder), "HOSTWARD_PASSWORD": PASSWORD}
        subprocess.run(command, env=environment, check=True, stdout=subprocess.DEVNULL, timeout=100)
        repository = opened(folder)
        repository.store = CachedStore(repository.store, cache, repository.config.id)
        assert check(repository).sound
        (self.known / "stays").unlink()
        (self.known / "file3").write_bytes(os.urandom(20_000))
        (self.known / "deep/er/fresh").write_bytes(b"fresh\n" * 1000)

    def _note(self, snapshot: str) -> None:
        self.contents[snapshot] = manifest(self.source)

    def _make_unindexed(self) -> None:
        """An index file is gone."""
        folder = self.copy("aged", self.top / "unindexed")
        files(folder, FileKind.INDEX)[0].unlink()

    def _make_torn(self) -> None:
        """The header of a pack is damaged; all that it holds can be read."""
        folder = self.copy("aged", self.top / "torn")
        self.torn_pack = self._pack_of_large()
        flip(folder / "data" / self.torn_pack[:2] / self.torn_pack, -20)

    def _make_lossy(self) -> None:
        """A pack is gone with what some snapshots need, and the index knows that."""
        folder = self.copy("aged", self.top / "lossy")
        (folder / "data" / self.torn_pack[:2] / self.torn_pack).unlink()
        repository = opened(folder)
        with repository.lock(exclusive=True):
            repair_index(repository)
        repository.store.close()

    def _pack_of_large(self) -> str:
        """The pack that holds the data of the first backup."""
        blobs = list(opened(self.top / "aged").blobs)
        return max((place.length, place.pack.hex()) for kind, _, place in blobs if kind is BlobKind.DATA)[1]


def _slim(folder: Path) -> None:
    """Remove empty folders of packs: there are 256, and every copy would make them."""
    for inner in (folder / FileKind.PACK.value).iterdir():
        if not any(inner.iterdir()):
            inner.rmdir()
