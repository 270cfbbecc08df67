"""`hostward backup mount`: the snapshots as a file system."""

from __future__ import annotations

import argparse
from pathlib import Path

from agent.cli.backup.access import opened
from agent.cli.backup.picking import add_filters, pick_all
from kit.commands import Command
from kit.errors import HostwardError


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("point", type=Path, metavar="DIR", help="an empty folder")
    add_filters(parser)
    parser.add_argument("--allow-other", action="store_true", help="let other users look, as far as modes let them")


def run(options: argparse.Namespace) -> int:
    """Mount, and wait until it is unmounted."""
    try:
        from backup.mount import mount  # takes the library of FUSE, which not every host has
    except (ImportError, OSError) as error:
        raise HostwardError(
            f"mounting takes FUSE, which is not installed ({error}): install the system's package fuse3, and run "
            "`make install EXTRAS=fuse` in the checkout that the agent was installed from"
        ) from None

    def tell() -> None:
        if not (options.quiet or options.json):  # restic has no JSON for it
            print(f"mounted on {options.point}; umount it, or Ctrl-C, ends this", flush=True)

    with opened(options, "read") as repository:
        snapshots = pick_all(repository, options, [])
        mount(repository, snapshots, options.point, others=options.allow_other, on_mounted=tell)
    return 0


MOUNT = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup mount /mnt/backup
  hostward backup mount /mnt/backup --host web1 --allow-other""",
    notes="""\
In it are ids, snapshots (by time, with a link latest), hosts and tags. It is read-only, and shows the snapshots that
there were when it was mounted.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
