"""`python -m rollout.engine`: carries out orders. rollout/protocol.py has what it reads and writes."""

from __future__ import annotations

import os
import sys

from gevent import monkey


def _own(descriptor: int, instead: int) -> int:
    """Keep what `descriptor` is for ourselves, under a number that children do not get, and put another there."""
    kept = os.dup(descriptor)
    os.dup2(instead, descriptor)
    return kept


def main() -> int:
    """0 when everything was told, whatever became of the hosts."""
    nothing = os.open(os.devnull, os.O_RDONLY)
    reading, writing = _own(0, nothing), _own(1, 2)
    os.close(nothing)
    # Everything that waits must wait by gevent's leave, which is decided when a module is loaded.
    monkey.patch_all()
    from rollout.engine.serve import serve
    from rollout.engine.work import load_deploy, prepare, work

    prepare()
    return serve(reading, writing, load_deploy, work)


if __name__ == "__main__":
    sys.exit(main())
