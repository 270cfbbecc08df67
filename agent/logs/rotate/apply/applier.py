"""Does the steps of one log, each so that doing it again after a kill does no harm."""

from __future__ import annotations

import errno
import os
from contextlib import suppress
from functools import partial

from agent.logs.rotate.apply import files, operations
from agent.logs.rotate.steps import (
    Compress,
    Copy,
    Create,
    Discard,
    Fail,
    Look,
    Mail,
    Missing,
    Move,
    Open,
    Remove,
    Say,
    Shift,
    Step,
    Truncate,
    Warn,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any

    from agent.logs.rotate.apply.folders import Folder, Folders
    from agent.logs.rotate.apply.su import Identity
    from agent.logs.rotate.hooks import Hooks
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule, Script
    from agent.logs.rotate.say import Voice

    Marks = dict[str, list[int]]
    Mark = Callable[[str, list[int]], None]


_MAILED, _MOVED, _EMPTIED = "mail:", "moved:", "emptied:"
"""Before a path in `Marks`: it was sent; it was renamed, and its inode may be another file's by now; it was truncated
after it was copied."""


class Applier:
    """Does steps by a rule. `mark` keeps what cannot be told from the files when the run is killed; `marks` is what
    a killed run had kept, by the path that is made; `resuming` says that the steps may have been done already."""

    def __init__(
        self,
        rule: Rule,
        pattern: str,
        now: Moment,
        *,
        folders: Folders,
        voice: Voice,
        identity: Identity,
        hooks: Hooks,
        mail_command: str,
        pretend: bool,
    ) -> None:
        self._rule = rule
        self._pattern = pattern
        self._now = now
        self._folders = folders
        self._voice = voice
        self._identity = identity
        self._hooks = hooks
        self._mail_command = mail_command
        self._pretend = pretend
        self.mark: Mark = _no_mark
        self.marks: Marks = {}
        self.resuming = False
        self.postponed: list[Step] = []
        """What was not allowed yet."""

    def do(self, step: Step) -> bool:
        """Whether it went well; what went wrong has been told."""
        if isinstance(step, Say):
            if (step.pretended or not self._pretend) and not (step.missing and os.path.lexists(step.missing)):
                self._voice.verbose(step.text)
            return True
        if isinstance(step, Fail):
            if not step.there or os.path.lexists(step.there):
                self._voice.error(step.text)
            return False
        well = _DOING[type(step)](self, step)
        if not well:
            # What the plan foresaw is not so.
            self._folders.forget()
        return well

    def is_compressed(self, step: Step) -> bool:
        """Whether a step has made its compressed file."""
        return isinstance(step, Compress) and step.path + self._rule.compressext in self.marks

    def is_rotated(self, steps: Sequence[Step]) -> bool:
        """Whether the log has been taken away, or copied."""
        for step in steps:
            try:
                if isinstance(step, Move):
                    folder, name = self._folders.of(step.new)
                    return folder.has(name, self._inode(step.new, step.inode))
                if isinstance(step, Copy):
                    return step.target in self.marks
            except OSError:
                return False
        return False

    # --- Names ---

    def _look(self, step: Look) -> bool:
        if self._pretend or self.resuming:
            return True
        try:
            folder, name = self._folders.of(step.path)
            os.stat(name, dir_fd=folder.descriptor)  # of a link it is what it points to
        except OSError as error:
            self._voice.error(f"getting file ACL {step.path}: {error.strerror}")
            return False
        return True

    def _open(self, step: Open) -> bool:
        if self._pretend or self.resuming:
            return True
        try:
            descriptor, _ = files.open_same(*self._folders.of(step.path), self._inode(step.path, step.inode))
        except OSError as error:
            self._voice.error(f"error opening {step.path}: {error.strerror}")
            return False
        os.close(descriptor)
        return True

    def _missing(self, step: Missing) -> bool:
        for words in step.words(pretend=self._pretend):
            self._voice.verbose(words)
        return True

    def _warn(self, step: Warn) -> bool:
        self._voice.error(step.text)
        return True

    def _shift(self, step: Shift) -> bool:
        if self._pretend:
            return True
        try:
            self._rename(step)
        except FileNotFoundError:
            self._voice.verbose(f"old log {step.old} does not exist")
        except OSError as error:
            self._voice.error(f"error renaming {step.old} to {step.new}: {error.strerror}")
            return False
        return True

    def _move(self, step: Shift) -> bool:
        if self._pretend or _MOVED + step.old in self.marks:
            return True
        try:
            self._rename(step)
        except OSError as error:
            self._voice.error(f"failed to rename {step.old} to {step.new}: {error.strerror}")
            return False
        rule = self._rule
        if not step.inode and (made := self.marks.get(step.old)) is not None:
            self._keep(step.new, made)
        if self.resuming or rule.rotate == 0 or (rule.compress and not rule.delaycompress):
            # The file goes in this run, and a new log may get its inode.
            self._keep(_MOVED + step.old, [])
        return True

    def _rename(self, step: Shift) -> None:
        old_folder, old = self._folders.of(step.old)
        new_folder, new = self._folders.of(step.new)
        if self.resuming and not old_folder.has(old, self._inode(step.old, step.inode)):
            return
        operations.rename(old, new, old_folder=old_folder.descriptor, new_folder=new_folder.descriptor)

    def _create(self, step: Create) -> bool:
        if self._pretend:
            return True
        try:
            folder, name = self._folders.of(step.path)
            mode, access_list = step.mode, None
            if step.like:
                with suppress(FileNotFoundError):
                    like, like_name = self._folders.of(step.like)
                    mode = like.look(like_name).st_mode & 0o777
                    access_list = files.access_list_of(like, like_name)
            make = partial(files.create_log, folder, name, mode, step.uid, step.gid, access_list)
            try:
                make()
            except FileExistsError:
                # Whoever writes it was faster; or a killed run did not come to its end with it.
                if self.resuming and files.is_raw(folder, name):
                    operations.unlink(name, folder=folder.descriptor)
                    make()
        except OSError as error:
            self._voice.error(f"error creating output file {step.path}: {error.strerror}")
            return False
        return True

    def _clear(self, folder: Folder, name: str) -> None:
        """Make a name free for what is made. Raises OSError."""
        try:
            folder.look(name)
        except FileNotFoundError:
            return
        now = self._now
        backup = f"{name}-{now.year:04}{now.month:02}{now.day:02}{now.hour:02}.backup"
        self._voice.error(f"destination {folder.path}/{name} already exists, renaming to {folder.path}/{backup}")
        operations.rename(name, backup, old_folder=folder.descriptor, new_folder=folder.descriptor)

    def _made(self, folder: Folder, name: str, path: str) -> bool:
        """Whether a killed run had made that file, and gives it its name where only that was missing."""
        made = self.marks.get(path)
        if made is None:
            return False
        if folder.has(name, made[0]):
            return True
        unfinished = files.temporary(name)
        if not folder.has(unfinished, made[0]):
            return False
        operations.rename(unfinished, name, old_folder=folder.descriptor, new_folder=folder.descriptor)
        return True

    # --- Copies ---

    def _inode(self, path: str, planned: int) -> int:
        """Of a file; of one that the rotation made, which was not known when it was planned."""
        return planned or self.marks.get(path, [0])[0]

    def _copy(self, step: Copy) -> bool:
        if self._pretend or _EMPTIED + step.source in self.marks:
            return True
        try:
            folder, new = self._folders.of(step.target)
        except OSError as error:
            self._voice.error(f"error creating output file {step.target}: {error.strerror}")
            return False
        try:
            origin, name = self._folders.of(step.source)
            if self._made(folder, new, step.target):
                return True
            inode = self._inode(step.source, step.inode)
            if self.resuming and not self._is_there(origin, name, inode):
                return True
            flags = os.O_RDWR if step.writing else os.O_RDONLY
            source, status = files.open_same(origin, name, inode, flags=flags)
        except OSError as error:
            self._voice.error(f"error opening {step.source}: {error.strerror}")
            return False
        try:
            self._clear(folder, new)
            inode, length = files.write_copy(source, status, folder, new)
            self._keep(step.target, [inode, length])
            files.publish(folder, new)
        except files.OutputError as error:
            self._voice.error(f"error creating output file {step.target}: {error.strerror}")
            return False
        except OSError as error:
            files.remove_if_there(folder, files.temporary(new))
            self._voice.error(f"error copying {step.source} to {step.target}: {error.strerror}")
            return False
        finally:
            os.close(source)
        return True

    def _keep(self, path: str, values: list[int]) -> None:
        self.marks[path] = values
        self.mark(path, values)

    def _truncate(self, step: Truncate) -> bool:
        if self._pretend:
            if not step.copy:
                self._voice.verbose(f"truncating {step.path}")
            return True
        if _EMPTIED + step.path in self.marks:
            return True
        try:
            folder, name = self._folders.of(step.path)
            log, _ = files.open_same(folder, name, self._inode(step.path, step.inode), flags=os.O_RDWR)
        except OSError as error:
            self._voice.error(f"error opening {step.path}: {error.strerror}")
            return False
        try:
            if not step.copy:
                # Where there is a copy it was open before, and this was said.
                self._voice.verbose(f"truncating {step.path}")
                operations.truncate(log, 0)
                self._keep(_EMPTIED + step.path, [])
                return True
            copies, copy_name = self._folders.of(step.copy)
            copy, _ = files.open_same(copies, copy_name, self.marks[step.copy][0], flags=os.O_RDWR)
            try:
                if self.resuming and not files.begins_alike(log, copy):
                    return True
                lost = files.empty_copied(log, copy, keep_tail=self._rule.keep_tail)
                self._keep(_EMPTIED + step.path, [])
                if self._rule.keep_tail and lost is not None:
                    self._voice.warning(lost.format(path=step.path))
            finally:
                os.close(copy)
        except OSError as error:
            self._voice.error(f"error truncating {step.path}: {error.strerror}")
            return False
        finally:
            os.close(log)
        return True

    # --- Older ones ---

    def _compress(self, step: Compress) -> bool:
        rule = self._rule
        if self._pretend:
            self._voice.verbose(f"compressing log with: {rule.codec or rule.compresscmd}")
            return True
        from agent.logs.rotate.apply import compress  # Most runs compress nothing

        try:
            folder, name = self._folders.of(step.path)
            if self.resuming and not self._is_there(folder, name, step.inode):
                return True
            if not self._may_compress(folder, name, step):
                self.postponed.append(step)
                return True
            self._voice.verbose(f"compressing log with: {rule.codec or rule.compresscmd}")
            new = name + rule.compressext
            path = step.path + rule.compressext
            try:
                source, status = files.open_same(
                    folder, name, step.inode, flags=os.O_RDWR if rule.shred else os.O_RDONLY
                )
            except OSError as error:
                how = "read-write" if rule.shred else "read-only"
                self._voice.error(f"unable to open {step.path} ({how}) for compression: {error.strerror}")
                return False
            try:
                if not self._made(folder, new, path):
                    self._clear(folder, new)
                    inode = compress.write_temporary(
                        rule,
                        source,
                        status,
                        folder,
                        name,
                        modified=step.modified,
                        voice=self._voice,
                        identity=self._identity,
                    )
                    self._keep(path, [inode])
                    files.publish(folder, new)
                if not self._preremove(step.path):
                    return False
                try:
                    self._unlink(*self._folders.of(step.path), step.path, source)
                except OSError as error:
                    self._voice.error(f"cannot remove {step.path}, which is compressed now: {error.strerror}")
                    return False
            finally:
                os.close(source)
        except compress.CompressError:
            return False
        except files.OutputError as error:
            self._voice.error(f"error creating output file {step.path}{rule.compressext}: {error.strerror}")
            return False
        except OSError as error:
            self._voice.error(f"failed to compress log {step.path}: {error.strerror}")
            return False
        return True

    def _is_there(self, folder: Folder, name: str, inode: int) -> bool:
        if inode:
            return folder.has(name, inode)
        try:
            folder.look(name)
        except FileNotFoundError:
            return False
        return True

    def _may_compress(self, folder: Folder, name: str, step: Compress) -> bool:
        try:
            status = folder.look(name)
        except FileNotFoundError:
            return True  # Opening it says so.
        if self._hooks.may_compress(step.path, status.st_dev, status.st_ino):
            return True
        self._voice.verbose(f"leaving {step.path} as it is until it has been read to its end")
        return False

    def _remove(self, step: Remove) -> bool:
        opened: int | None = None
        try:
            if self.resuming and not self._is_there(*self._folders.of(step.path), step.inode):
                return True
            self._voice.verbose(f"removing old log {step.path}")
            if self._pretend:
                return True
            if self._rule.shred:
                try:
                    opened, _ = files.open_same(*self._folders.of(step.path), 0, flags=os.O_WRONLY)
                except OSError as error:
                    self._voice.error(f"error opening {step.path}: {error.strerror}")
                    return False
            if not self._preremove(step.path):
                self._voice.error(f"Failed to remove old log {step.path}: {os.strerror(errno.ENOENT)}")
                return False
            self._unlink(*self._folders.of(step.path), step.path, opened)
        except FileNotFoundError as error:
            # It is gone, which is what was wanted.
            self._voice.error(f"error unlinking log file {step.path}: {error.strerror}")
        except OSError as error:
            self._voice.error(f"Failed to remove old log {step.path}: {error.strerror}")
            return False
        finally:
            if opened is not None:
                os.close(opened)
        return True

    def _preremove(self, path: str) -> bool:
        """Whether the rule's script lets that file go."""
        script = self._rule.preremove
        if script is None:
            return True
        self._voice.verbose("running preremove script")
        if self.script(script, [path]):
            return True
        self._voice.error(f"error running preremove script for {path} of '{self._pattern}'. Not removing this file.")
        return False

    def _discard(self, step: Discard) -> bool:
        if self._pretend:
            return True
        try:
            folder, name = self._folders.of(step.path)
            if self._is_there(folder, name, step.inode):
                operations.unlink(name, folder=folder.descriptor)  # and not shred it, as logrotate does
        except OSError as error:
            self._voice.error(f"error removing {step.path}: {error.strerror}")
            return False
        return True

    def _unlink(self, folder: Folder, name: str, path: str, opened: int | None) -> None:
        """Remove a file, which is open where it is to be shredded. Raises OSError."""
        if opened is not None and self._rule.shred:
            from agent.logs.rotate.apply import shred  # few rules have it

            self._voice.verbose(f"Using shred to remove the file {path}")
            if not shred.overwrite(opened, self._rule.shredcycles, self._identity):
                raise OSError(errno.EIO, "shred failed")
        operations.unlink(name, folder=folder.descriptor)

    def _mail(self, step: Mail) -> bool:
        from agent.logs.rotate.apply import mail  # few rules have it

        if self._pretend or _MAILED + step.path in self.marks:
            return True
        try:
            folder, name = self._folders.of(step.path)
            descriptor, _ = files.open_same(folder, name, 0)
        except OSError as error:
            self._voice.error(f"failed to open {step.path} for mailing: {error.strerror}")
            return False
        try:
            well = mail.send(
                self._rule,
                step.path,
                descriptor,
                step.subject,
                packed=step.packed,
                command=self._mail_command,
                voice=self._voice,
                identity=self._identity,
            )
        finally:
            os.close(descriptor)
        if well:
            self._keep(_MAILED + step.path, [])
        return well

    # --- Scripts ---

    def script(self, script: Script, arguments: list[str]) -> bool:
        """Whether a script did well. What it changed is looked at anew."""
        from agent.logs.rotate.apply import scripts  # is needed by rules with scripts only

        well = scripts.run(script, arguments, voice=self._voice, identity=self._identity, pretend=self._pretend)
        self._folders.forget()
        return well


def _no_mark(path: str, values: list[int]) -> None:
    return


_DOING: dict[type[Step], Callable[[Applier, Any], bool]] = {
    Look: Applier._look,
    Open: Applier._open,
    Warn: Applier._warn,
    Missing: Applier._missing,
    Shift: Applier._shift,
    Move: Applier._move,
    Create: Applier._create,
    Copy: Applier._copy,
    Truncate: Applier._truncate,
    Compress: Applier._compress,
    Remove: Applier._remove,
    Discard: Applier._discard,
    Mail: Applier._mail,
}
