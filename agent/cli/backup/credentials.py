"""`hostward backup credentials`: what restic needs for this host's repository at home."""

from __future__ import annotations

import argparse
import shlex
from urllib.parse import quote

from agent.cli.backup.options import configure_without_repository
from agent.cli.backup.output import print_json
from agent.home.backup_access import home_access
from agent.paths import state_folder
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument(
        "--in-url",
        action="store_true",
        help="put user and password into RESTIC_REPOSITORY, for restic before 0.16.1, which reads no others",
    )
    parser.add_argument(
        "--renew", action="store_true", help="have home make a new password, which ends the one before it"
    )


def run(options: argparse.Namespace) -> int:
    """Print the environment."""
    access = home_access(state_folder(options.state_dir), renew=options.renew)
    found = access.environment()
    if options.in_url:
        user, password = found.pop("RESTIC_REST_USERNAME"), found.pop("RESTIC_REST_PASSWORD")
        found["RESTIC_REPOSITORY"] = access.location.replace("://", f"://{quote(user)}:{quote(password)}@", 1)
    if options.json:
        print_json(found)
        return 0
    for name, value in found.items():
        print(f"export {name}={shlex.quote(value)}")
    return 0


CREDENTIALS = Command(
    run=run,
    configure=configure,
    shared=configure_without_repository,
    examples="""\
  eval "$(hostward backup credentials)"; restic snapshots
  hostward backup credentials --json""",
    notes="""\
It prints a password. The commands of `hostward backup` need none of it: they take `--repo home`.

exit codes: 0 done; 1 home refuses, or cannot be reached and this host holds nothing yet; 2 bad usage.""",
)
