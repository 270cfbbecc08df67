"""Compresses the old logs of rules that a rotation has left as they were.

The long part is done without any lock, into a file that has no name of a log; while it goes on the same log may be
rotated again, and what is compressed may get another name, or be removed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import dataclass, field

from agent.config.logs import LogOptions
from agent.logs.names import is_compressed
from agent.logs.rotate.apply import codecs, compress, files, operations
from agent.logs.rotate.apply.folders import Folder
from agent.logs.rotate.apply.su import Identity
from agent.logs.rotate.facts import is_open_to_others
from agent.logs.rotate.hooks import Hooks
from agent.logs.rotate.names import Names
from agent.logs.rotate.rule import Rule
from agent.logs.rotate.say import Voice
from agent.logs.rules.retention import Old
from agent.logs.rules.sections import all_old, logs_of, old_of, rule_of
from kit.errors import HostwardError

QUIET = 5.0
"""Seconds since an old log was last written to, before it is taken: its writer may not have been told yet."""

Lock = Callable[[], AbstractContextManager[object]]
"""The lock of whoever rotates, waited for."""


@dataclass
class Packed:
    """What came of it."""

    made: int = 0
    """Old ones that are compressed now and were not before."""
    freed: int = 0
    """Bytes; less than 0 where small ones grew."""
    errors: list[str] = field(default_factory=list)
    """A sentence for each."""
    left: list[str] = field(default_factory=list)
    """Old ones that were written to just now, or while they were compressed."""


def pack(options: LogOptions, *, at_once: bool, now: float, lock: Lock, hooks: Hooks, voice: Voice) -> Packed:
    """Compress what is to be of a rule's old ones. `at_once`: nothing waits, since the disk is full."""
    packed = Packed()
    if options.compression == "none":
        return packed
    try:
        rule = rule_of(options, compress_now=at_once)
        for log, old in all_old(options, rule, logs_of(options)).items():
            if waiting := unpacked(rule, old):
                packer = _Packer(options, rule, log, lock, hooks, voice, packed)
                packer.pack(waiting, now + QUIET if at_once else now)
    except OSError as error:
        packed.errors.append(f"{error.filename}: {error.strerror}")
    except HostwardError as error:
        packed.errors.append(str(error))
    return packed


def unpacked(rule: Rule, old: Sequence[Old]) -> list[Old]:
    """Those old ones of a log, given the newest first, that should be compressed and are not, oldest first."""
    kept = old[1:] if rule.delaycompress else old
    return [one for one in reversed(kept) if not is_compressed(os.fsencode(one.path))]


class _Packer:
    """For one log."""

    def __init__(
        self,
        options: LogOptions,
        rule: Rule,
        log: str,
        lock: Lock,
        hooks: Hooks,
        voice: Voice,
        packed: Packed,
    ) -> None:
        self._options = options
        self._rule = rule
        self._log = log
        self._lock = lock
        self._hooks = hooks
        self._voice = voice
        self._identity = Identity(voice)
        self._packed = packed

    def pack(self, waiting: Sequence[Old], now: float) -> None:
        """Compress these of its old ones, but for those that were written to just now."""
        path = Names(self._rule, self._log).folder
        try:
            folder = Folder(path)
        except OSError as error:
            self._packed.errors.append(f"{path}: {error.strerror}")
            return
        try:
            if self._rule.su is not None:
                codecs.load(self._rule.codec)  # another user may not be able to read it
                self._identity.become(*self._rule.su)
            elif os.geteuid() == 0 and is_open_to_others(os.fstat(folder.descriptor)):
                self._packed.errors.append(
                    f"{path} may be written to by others than root: the option su says who rotates there"
                )
                return
            with self._alone():
                self._clear(folder)
            for old in waiting:
                if now - old.modified < QUIET:
                    self._packed.left.append(old.path)
                else:
                    self._try(folder, old)
        except OSError as error:
            self._packed.errors.append(f"{path}: {error.strerror}")
        finally:
            self._identity.leave()
            folder.close()

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Under the lock. Its file is root's, and the user who rotates cannot open it."""
        with ExitStack() as stack:
            self._identity.lay_down(aloud=False)
            try:
                stack.enter_context(self._lock())
            finally:
                self._identity.take_up()
            yield

    def _clear(self, folder: Folder) -> None:
        """Remove what one that was killed had begun. Nobody else is at it: one alone packs, and who rotates has the
        lock."""
        head, tail = "." + Names(self._rule, self._log).stem, self._rule.compressext + _MARK
        for name in list(folder.listing().names()):
            if name.startswith(head) and name.endswith(tail):
                files.remove_if_there(folder, name)

    def _try(self, folder: Folder, old: Old) -> None:
        name = old.path.rpartition("/")[2]
        try:
            self._pack_one(folder, name)
        except FileNotFoundError:
            return  # it was removed, or compressed by somebody else, meanwhile
        except OSError as error:
            self._packed.errors.append(f"{old.path} cannot be compressed: {error.strerror}")

    def _pack_one(self, folder: Folder, name: str) -> None:
        rule = self._rule
        source, status = files.open_same(folder, name, 0)
        try:
            if not self._hooks.may_compress(f"{folder.path}/{name}", status.st_dev, status.st_ino):
                return
            unfinished = files.temporary(name + rule.compressext)
            made = compress.write_temporary(
                rule, source, status, folder, name, voice=self._voice, identity=self._identity
            )
            with self._alone():
                if folder.has(unfinished, made):
                    try:
                        self._publish(folder, source, status, unfinished)
                    finally:
                        files.remove_if_there(folder, unfinished)
        finally:
            os.close(source)

    def _publish(self, folder: Folder, source: int, status: os.stat_result, unfinished: str) -> None:
        """Put what was made in the place of the old log, under the name that this has by now, if any."""
        for old in old_of(self._options, self._rule, self._log):
            name = old.path.rpartition("/")[2]
            if not folder.has(name, status.st_ino):
                continue
            if os.fstat(source).st_size != status.st_size:
                self._packed.left.append(old.path)
                return
            self._packed.freed += (status.st_blocks - folder.look(unfinished).st_blocks) * 512
            final = name + self._rule.compressext
            operations.rename(unfinished, final, old_folder=folder.descriptor, new_folder=folder.descriptor)
            operations.unlink(name, folder=folder.descriptor)
            self._packed.made += 1
            return


_MARK = files.temporary("").removeprefix(".")
