"""Leave to do what not many hosts may do at once, as a reboot is.

By itself a deploy may. In waves the runner gives leave, and takes back what a dead run held.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager

from pyinfra.api.host import Host


@contextmanager
def _at_once(_host: Host, _what: str) -> Iterator[None]:
    yield


Giver = Callable[[Host, str], AbstractContextManager[None]]
_giver: Giver = _at_once


def ask(giver: Giver) -> None:
    """Have `giver` asked from now on."""
    global _giver
    _giver = giver


def permit(host: Host, what: str) -> AbstractContextManager[None]:
    """Wait for leave to do `what` (`reboot`), and hold it until the block ends. Raises PyinfraError when refused."""
    return _giver(host, what)
