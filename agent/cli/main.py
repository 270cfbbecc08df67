"""`hostward`: one file per command, loaded when it is called."""

from __future__ import annotations

import gc
import sys

from kit.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:  # `typing` and `collections.abc` take longer to load than to say a version
    from collections.abc import Sequence


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (kit.errors says which there are)."""
    words = list(sys.argv[1:] if arguments is None else arguments)
    if words[:1] in (["--version"], ["-V"]):
        print(f"hostward {__version__}")
        return 0
    try:
        if words[:1] == ["logrotate"]:
            from agent.cli import logrotate  # has options of its own, and no time for argparse (its docstring)

            return logrotate.run(words[1:])
        from agent.cli.dispatch import dispatch  # argparse alone costs as much as starting Python

        return dispatch(words)
    except KeyboardInterrupt:  # while modules are loaded; `dispatch` tells of others
        return 130


def program() -> int:
    """What a process of ours is: one command, and no more."""
    code = main()
    # Else the interpreter goes through all that was loaded, for cycles that are freed with it anyway: 20 ms.
    gc.freeze()
    return code
