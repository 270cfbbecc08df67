"""Leave to do what not many hosts may do at once, as a reboot is.

By itself a deploy may. In waves the runner gives leave, and takes back what a dead run held: whoever has leave asks
right before the act whether that still holds, for the machine of the administrator may have slept since.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from pyinfra.api.host import Host

Holds = Callable[[], bool]
"""Whether leave that was given still holds."""
Giver = Callable[[Host, str], AbstractContextManager[Holds]]


@contextmanager
def _at_once(_host: Host, _what: str) -> Iterator[Holds]:
    yield lambda: True


_giver: Giver = _at_once


def ask(giver: Giver) -> None:
    """Have `giver` asked from now on."""
    global _giver
    _giver = giver


def permit(host: Host, what: str) -> AbstractContextManager[Holds]:
    """Wait for leave to do `what` (`reboot`), and hold it until the block ends. Raises PyinfraError when refused."""
    return _giver(host, what)
