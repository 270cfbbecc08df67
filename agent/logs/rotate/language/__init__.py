"""logrotate's language: from the text of its configuration to sections with their logs.

What is understood, what is refused, and each message are those of logrotate 3.22, found by running it. Where they are
not, docs/logs.md tells.
"""

from __future__ import annotations

from agent.logs.rotate.language.reader import Reader

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from agent.logs.rotate.rule import Section
    from agent.logs.rotate.say import Voice


def read(paths: Iterable[str], voice: Voice, *, debug: bool = False) -> tuple[list[Section], bool]:
    """Read files and folders of configuration, in their order; with `debug` nothing is made for `createolddir`.

    Returns the sections, which are to be rotated all the same when there were errors, and whether there were any. The
    errors have been said by then.
    """
    reader = Reader(voice, debug=debug)
    # What is in force after one file is so for the next.
    failed = [path for path in paths if not reader.read(path)]
    return reader.sections, bool(failed)
