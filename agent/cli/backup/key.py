"""`hostward backup key`: the passwords that open a repository."""

from __future__ import annotations

import argparse
import json

from agent.cli.backup.access import opened
from agent.cli.backup.output import local_time, warn
from agent.cli.backup.password import ask_new_password, read_password_file
from backup.errors import RepositoryError
from backup.repository.keys import add_key, read_keys, remove_key
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from kit.commands import Command
from kit.errors import UsageError
from kit.terminal import clean, table

NOTES = """\
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password."""


def _configure_new(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--new-password-file", metavar="FILE", help="a file that holds the new password")
    parser.add_argument("--new-insecure-no-password", action="store_true", help="the new password is empty")
    parser.add_argument("--user", default="", help="who the key is for; you, if nothing is said")
    parser.add_argument("--host", default="", help="which host it is for; this one")


def _configure_remove(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID", help="the beginning of its id, as `key list` shows it")


def list_keys(options: argparse.Namespace) -> int:
    """Print all keys; the one that opened the repository is marked."""
    with opened(options, "read") as repository:
        keys = list(read_keys(repository.store, lambda name, error: warn(f"left out: key {name[:8]}: {error}")))
    shown = [
        {
            "current": name == repository.key_name,
            "id": name,
            "userName": key.username,
            "hostName": key.hostname,
            "created": local_time(key.created.datetime()),
        }
        for name, key in keys
    ]
    if options.json:
        print(json.dumps(shown))
        return 0
    rows = [
        (("*" if key["current"] else " ") + name[:8], key["userName"], key["hostName"], key["created"])
        for key, (name, _) in zip(shown, keys, strict=True)
    ]
    print(table((" id", "user", "host", "created"), [tuple(map(str, row)) for row in rows]))
    return 0


def add(options: argparse.Namespace) -> int:
    """Ask for the password and add it."""
    with opened(options, "write") as repository:
        name = _add(options, repository)
    if not options.quiet:
        print(f"added the key {name}")
    return 0


def remove(options: argparse.Namespace) -> int:
    """Remove the one that was named."""
    with opened(options, "exclusive") as repository:
        name = _find(repository, options.id)
        remove_key(repository.store, name, current=repository.key_name)
    if not options.quiet:
        print(f"removed the key {name}")
    return 0


def passwd(options: argparse.Namespace) -> int:
    """Add the new password, then remove the one that opened the repository."""
    with opened(options, "exclusive") as repository:
        name = _add(options, repository)
        remove_key(repository.store, repository.key_name, current=name)
    if not options.quiet:
        print(f"added the key {name} and removed the old one")
    return 0


def _add(options: argparse.Namespace, repository: Repository) -> str:
    if options.new_insecure_no_password:
        if options.new_password_file:
            raise UsageError("--new-password-file and --new-insecure-no-password exclude each other")
        password = b""
    elif options.new_password_file:
        password = read_password_file(options.new_password_file)
    else:
        password = ask_new_password("new password", otherwise="give --new-password-file")
    repository.check_lock()
    return add_key(repository.store, repository.key, password, username=options.user, hostname=options.host)


def _find(repository: Repository, prefix: str) -> str:
    names = [name for name, _ in repository.names(FileKind.KEY) if prefix and name.startswith(prefix)]
    if len(names) != 1:
        found = f"there are {len(names)} keys" if names else "there is no key"
        raise RepositoryError(
            f'{found} whose id begins with "{clean(prefix)}"; `hostward backup key list` shows them'
        )
    return names[0]


LIST = Command(
    run=list_keys,
    examples="""\
  hostward backup key list          the key that opened the repository is marked by a star
  hostward backup key list --json | jq '.[] | select(.current) | .id'""",
    notes=NOTES,
)

ADD = Command(
    run=add,
    configure=_configure_new,
    examples="""\
  hostward backup key add             asks for the new password
  hostward backup key add --new-password-file /etc/hostward/second.password""",
    notes="Every password opens the whole repository, also what was saved before.\n" + NOTES,
)

REMOVE = Command(
    run=remove,
    configure=_configure_remove,
    examples="""\
  hostward backup key remove 5c4f17a2""",
    notes="""\
The key that opened the repository stays: open it by another to remove it. Whoever knew a removed password and kept a
copy of its key file can still read every copy of the repository.
"""
    + NOTES,
)

PASSWD = Command(
    run=passwd,
    configure=_configure_new,
    examples="""\
  hostward backup key passwd          asks for the old password, then for the new one
  hostward backup key passwd --new-password-file /etc/hostward/new.password""",
    notes="The new password works before the old one stops.\n" + NOTES,
)
