"""`make fleet`: hosts to try things on, until Ctrl-C."""

from __future__ import annotations

import argparse
import os
import shlex
import shutil
import signal
import sys
from pathlib import Path

from tests.fleet.command import FleetError
from tests.fleet.fleet import HOSTS, fleet

PROGRAMS = ("mmdebstrap", "systemd-nspawn", "ip", "ssh", "ssh-keygen")
MOST = 50
ENDS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def main() -> int:
    """Start the hosts, say how to reach them, and wait; 0 once all is removed, 1 when they cannot be made here."""
    parser = argparse.ArgumentParser(prog="make fleet", description=__doc__)
    parser.add_argument("--hosts", type=int, default=HOSTS, choices=range(1, MOST + 1), metavar="NUMBER")
    count = parser.parse_args().hosts
    missing = [program for program in PROGRAMS if shutil.which(program) is None]
    if os.geteuid() != 0 or missing:
        wanted = "root" if os.geteuid() != 0 else " and ".join(missing)
        print(f"fleet: hosts are made with {wanted}, and that is missing here", file=sys.stderr)
        return 1
    checkout = Path(__file__).resolve().parents[2]
    for number in ENDS:
        signal.signal(number, _end)
    try:
        with fleet(checkout) as made, made.hosts(count) as hosts:
            for host in hosts:
                print(f"{host.name}  {host.address}  {shlex.join(host.ssh)}")
            print(
                f"""
The agent is installed on each, neither enrolled nor started. Nothing but this machine can be reached from there:
it is {made.address}. For a home, in another terminal:

  .venv/bin/hostward-collector init --data-dir DIR --name {made.address}
  .venv/bin/hostward-collector serve --data-dir DIR --host {made.address}

Ctrl-C ends the hosts, and removes all that they were.""",
                flush=True,
            )
            while True:
                signal.pause()
    except FleetError as error:
        print(f"fleet: {error}", file=sys.stderr)
        return 1


def _end(number: int, frame: object) -> None:
    """What was made so far is removed on the way out, and a second Ctrl-C does not stop that."""
    for each in ENDS:
        signal.signal(each, signal.SIG_IGN)
    sys.exit(0)


if __name__ == "__main__":
    sys.exit(main())
