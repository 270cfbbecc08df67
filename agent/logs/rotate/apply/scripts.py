"""The scripts around a rotation: run by /bin/sh as root, or programs without a shell."""

from __future__ import annotations

import os

from agent.logs.rotate.apply import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.apply.su import Identity
    from agent.logs.rotate.rule import Script
    from agent.logs.rotate.say import Voice

_LOG_DESCRIPTOR = 3
"""Where a script finds the file of `--log`."""


def run(script: Script, arguments: list[str], *, voice: Voice, identity: Identity, pretend: bool) -> bool:
    """Whether all that is in it did well. `arguments` are the log, or the pattern, and the rotated log."""
    if pretend:
        shown = script.text or "\n".join(" ".join(command) for command in script.commands)
        second = arguments[1] if len(arguments) > 1 else ""
        voice.verbose(f'running script with args {arguments[0]} {second}: "{shown}"')
        return True
    standard = {} if voice.log_descriptor is None else {_LOG_DESCRIPTOR: voice.log_descriptor}
    identity.lay_down()
    try:
        if script.text:
            return (
                programs.run("/bin/sh", ["sh", "-c", script.text, "logrotate_script", *arguments], standard=standard)
                == 0
            )
        for command in script.commands:
            if programs.run(command[0], list(command), standard=standard) != 0:
                voice.error(f"{' '.join(command)} failed")
                return False
    except OSError as error:
        voice.error(f"cannot run a script: {os.strerror(error.errno or 0)}")
        return False
    finally:
        identity.take_up()
    return True
