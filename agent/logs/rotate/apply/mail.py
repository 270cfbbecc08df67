"""Sending a log by mail: the mail command gets it, unpacked, as its standard input."""

from __future__ import annotations

import os

from agent.logs.rotate.apply import programs

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.apply.su import Identity
    from agent.logs.rotate.rule import Rule
    from agent.logs.rotate.say import Voice


def send(
    rule: Rule,
    path: str,
    descriptor: int,
    subject: str,
    *,
    packed: bool,
    command: str,
    voice: Voice,
    identity: Identity,
) -> bool:
    """Whether the file that is open went out. `path` is for messages."""
    reading, unpacking = descriptor, 0
    if packed:
        reading, end = os.pipe()
        try:
            unpacking = programs.start(
                rule.uncompresscmd, [rule.uncompresscmd], standard={0: descriptor, 1: end}, identity=identity
            )
        except OSError as error:
            os.close(reading)
            voice.error(f"cannot execute uncompress command '{rule.uncompresscmd}': {error.strerror}")
            return False
        finally:
            os.close(end)
    identity.lay_down()
    nowhere = os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC)
    try:
        status = programs.run(command, [command, "-s", subject, rule.mail or ""], standard={0: reading, 1: nowhere})
    except OSError as error:
        voice.error(f"cannot execute mail command: {error.strerror}")
        status = 1
    finally:
        os.close(nowhere)
        identity.take_up()
        if packed:
            os.close(reading)
    well = status == 0
    if not well:
        voice.error(f"mail command failed for {path}")
    if packed and programs.wait(unpacking) != 0:
        voice.error(f"uncompress command failed mailing {path}")
        well = False
    return well
