"""`hostward-collector user`: who may log in. Passwords come from a prompt or standard input, never from the line."""

from __future__ import annotations

import argparse
import getpass
import re
import sys
import time

import msgspec
from sqlalchemy import Connection

from collector.auth import LONGEST_NAME, account_key
from collector.cli.command import json_option, moment, note, opened
from collector.credentials import MAX_PASSWORD, hash_password
from collector.store import accounts, attempts
from collector.store.accounts import ROLES, Account
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.terminal import table

MIN_PASSWORD = 8
"""Characters, as NIST SP 800-63B asks at the least."""
_NAME = re.compile(rf"[A-Za-z0-9_.@+-]{{1,{LONGEST_NAME}}}")


def _named(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("name", metavar="NAME")


def _configure_create(parser: argparse.ArgumentParser) -> None:
    _named(parser)
    parser.add_argument("--role", choices=ROLES, default="viewer", help="what the person may do (viewer)")


def _create(options: argparse.Namespace) -> int:
    if _NAME.fullmatch(options.name) is None:
        raise UsageError(
            f'"{options.name}" cannot be a name: 1 to {LONGEST_NAME} letters, digits and _ . @ + - are expected'
        )
    with opened(options) as database:
        hashed = hash_password(_password())
        with database.write() as connection:
            if accounts.find_account(connection, options.name) is not None:
                raise HostwardError(f"there is a user {options.name} already")
            accounts.add_account(connection, options.name, hashed, options.role, time.time())
            note(connection, "user.created", subject=f"user:{options.name}", detail=options.role)
    return 0


def _list(options: argparse.Namespace) -> int:
    with opened(options) as database, database.read() as connection:
        found = accounts.accounts(connection)
    if options.json:
        print(
            msgspec.json.encode(
                [{"name": user.name, "role": user.role, "created": user.created} for user in found]
            ).decode()
        )
        return 0
    print(table(("name", "role", "created"), [(user.name, user.role, moment(user.created)) for user in found]))
    return 0


def _set_password(options: argparse.Namespace) -> int:
    with opened(options) as database:
        with database.read() as connection:
            _account(connection, options.name)
        hashed = hash_password(_password())
        with database.write() as connection:
            accounts.set_password(connection, _account(connection, options.name).id, hashed)
            note(connection, "user.password", subject=f"user:{options.name}")
    return 0


def _delete(options: argparse.Namespace) -> int:
    with opened(options) as database, database.write() as connection:
        account = _account(connection, options.name)
        if account.role == "admin" and accounts.count_admins(connection) == 1:
            raise HostwardError(f"{account.name} is the only administrator; make another one first")
        accounts.delete_account(connection, account.id)
        note(connection, "user.deleted", subject=f"user:{account.name}", detail=account.role)
    return 0


def _unlock(options: argparse.Namespace) -> int:
    with opened(options) as database, database.write() as connection:
        account = _account(connection, options.name)
        if not attempts.forget(connection, account_key(account.name)):
            raise HostwardError(f"{account.name} is not locked: no login under this name failed of late")
        note(connection, "login.unlocked", subject=f"user:{account.name}")
    return 0


def _account(connection: Connection, name: str) -> Account:
    found = accounts.find_account(connection, name)
    if found is None:
        raise HostwardError(f"there is no user {name} (hostward-collector user list shows them)")
    return found


def _password() -> str:
    """Typed twice at a terminal, else the first line of standard input. Raises UsageError."""
    if sys.stdin.isatty():
        password = getpass.getpass("Password: ")
        if getpass.getpass("Once more: ") != password:
            raise UsageError("the two passwords differ; nothing was changed")
    else:
        password = sys.stdin.readline().rstrip("\n")
    if not MIN_PASSWORD <= len(password) <= MAX_PASSWORD:
        raise UsageError(f"the password must have {MIN_PASSWORD} to {MAX_PASSWORD} characters; nothing was changed")
    return password


CREATE = Command(
    run=_create,
    configure=_configure_create,
    examples="""\
  hostward-collector user create anna --role operator
  pass show hostward | hostward-collector user create anna""",
)
LIST = Command(run=_list, configure=json_option, examples="  hostward-collector user list")
PASSWORD = Command(run=_set_password, configure=_named, examples="  hostward-collector user password anna")
UNLOCK = Command(
    run=_unlock,
    configure=_named,
    examples="  hostward-collector user unlock anna",
    notes="An address from which too many logins failed stays locked until its time is over, a quarter of an hour.",
)
DELETE = Command(run=_delete, configure=_named, examples="  hostward-collector user delete anna")
