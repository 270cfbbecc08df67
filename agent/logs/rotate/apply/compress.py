"""Compressing a log: by the rule's command, or by our own hands. What is not whole never has the final name.

The pieces are apart, so that whoever compresses long logs can do the long part without holding anything.
"""

from __future__ import annotations

import os

from agent.logs.rotate.apply import files, operations, programs
from agent.logs.rotate.rule import NO_PATH

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.apply.folders import Folder
    from agent.logs.rotate.apply.su import Identity
    from agent.logs.rotate.rule import Rule
    from agent.logs.rotate.say import Voice


class CompressError(Exception):
    """The command did not do well; it has been told of what it said."""


def write_temporary(
    rule: Rule,
    source: int,
    status: os.stat_result,
    folder: Folder,
    name: str,
    *,
    modified: int = 0,
    voice: Voice,
    identity: Identity,
) -> int:
    """Compress an open log into a temporary file beside it, with its owners, mode, times and access list, on disk.

    It is called `files.temporary(name + rule.compressext)`; giving it the final name is the caller's. `modified` is
    the time that it gets, in nanoseconds; 0: the log's. Returns its inode. Raises OSError or CompressError, and then
    leaves nothing.
    """
    unfinished = files.temporary(name + rule.compressext)
    target = files.create_anew(folder, unfinished, flags=os.O_RDWR)
    try:
        try:
            if rule.codec:
                from agent.logs.rotate.apply import codecs  # is needed by native rules only

                codecs.pour(rule.codec, source, target, level=rule.level, threads=rule.threads)
            else:
                _by_command(rule, source, target, f"{folder.path}/{name}", voice, identity)
            files.make_alike(target, source, status)
            operations.set_times(target, status.st_atime_ns, modified or status.st_mtime_ns)
            operations.fsync(target)
            return os.fstat(target).st_ino
        finally:
            os.close(target)
    except BaseException:
        files.remove_if_there(folder, unfinished)
        raise


def _by_command(rule: Rule, source: int, target: int, path: str, voice: Voice, identity: Identity) -> None:
    command = rule.compresscmd
    if command == NO_PATH:
        voice.error(f"failed to compress log {path}")
        raise CompressError
    try:
        status, words = programs.with_words(
            lambda error: programs.start(
                command,
                [command, *(rule.compressoptions or ())],
                standard={0: source, 1: target, 2: error},
                environment={"LOGROTATE_COMPRESSED_FILENAME": path},
                identity=identity,
            )
        )
    except OSError as error:
        status, words = 1, f"error: cannot execute compress command '{command}': {error.strerror}\n".encode()
    if words:
        voice.error(
            f"Compressing program wrote following message to stderr when compressing log {path}:\n"
            + words.decode(errors="surrogateescape").removesuffix("\n")
        )
    if status != 0:
        voice.error(f"failed to compress log {path}")
        raise CompressError
