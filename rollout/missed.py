"""What home missed of rollouts that nobody runs any more, told when the tool is used again on this machine.

A home that was away when a rollout ended, and a run that was killed, would leave it there as one that goes on for
ever.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path

from kit.errors import HostwardError
from rollout.home import AtHome, HomeAwayError
from rollout.journal import JournalError, ids, is_running, note_told, read, rollouts, standing, untold

AGE = 30 * 86400.0
"""Seconds after its last event for which a rollout is still told of."""


def tell_missed(say: Callable[[str], None]) -> None:
    """Tell home, and close the windows that it could not be asked to close. What comes of it is said; a home that
    cannot be had stops nothing.
    """
    homes: dict[str, AtHome] = {}
    away: set[str] = set()
    try:
        for name in reversed(ids()):
            folder = rollouts() / name
            try:
                size = untold(folder, time.time() - AGE)
                if size is None or is_running(folder):
                    continue
                state = read(folder)
            except JournalError:
                continue  # `list` tells of it
            file = state.settings.home
            if file is None:
                note_told(folder, size)
            if file is None or file in away:
                continue
            record = standing(folder, state.record_for_home)
            try:
                if file not in homes:
                    homes[file] = AtHome(Path(file), required=True, complain=lambda _: None)
                homes[file].tell(record)
            except (HomeAwayError, HostwardError) as error:
                away.add(file)
                say(f"{name}: home does not know yet that it is {record.state}: {error}")
                continue
            if state.record.state != "running":
                for wave in state.waves:
                    if wave.window is not None:
                        homes[file].close_window(wave.window)
            note_told(folder, size)
            say(f"{name}: home knows now that it is {record.state}")
    finally:
        for home in homes.values():
            home.close()
