"""`hostward-collector api-token`: tokens with which programs use the API."""

from __future__ import annotations

import argparse
import secrets
import time

from collector.cli.command import duration, json_option, moment, note, opened
from collector.credentials import new_token
from collector.store import accounts
from collector.store.accounts import ROLES
from kit.commands import Command
from kit.errors import HostwardError
from kit.jsontext import json_text
from kit.terminal import table


def _configure_create(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--role", choices=ROLES, default="viewer", help="what it may do (viewer)")
    parser.add_argument("--description", default="", metavar="TEXT", help="what it is for")
    parser.add_argument("--expires", type=duration, metavar="DURATION", help="how long it can be used (for ever)")


def _create(options: argparse.Namespace) -> int:
    token, token_hash = new_token("hwa")
    now = time.time()
    token_id = secrets.token_hex(4)
    expires = None if options.expires is None else now + options.expires
    with opened(options) as database, database.write() as connection:
        accounts.add_api_token(
            connection,
            token_id,
            token_hash,
            role=options.role,
            description=options.description,
            now=now,
            expires=expires,
        )
        until = "for ever" if expires is None else f"until {moment(expires)}"
        note(connection, "api-token.created", subject=f"api-token:{token_id}", detail=f"{options.role}, {until}")
    print(token)
    return 0


def _list(options: argparse.Namespace) -> int:
    with opened(options) as database, database.read() as connection:
        found = accounts.api_token_list(connection)
    if options.json:
        print(json_text(found, indent=False))
        return 0
    rows = [
        (token.id, token.role, moment(token.created), moment(token.expires), moment(token.used), token.description)
        for token in found
    ]
    print(table(("id", "role", "created", "expires", "last used", "description"), rows))
    return 0


def _configure_revoke(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", metavar="ID")


def _revoke(options: argparse.Namespace) -> int:
    with opened(options) as database, database.write() as connection:
        if not accounts.delete_api_token(connection, options.id):
            raise HostwardError(
                f"there is no API token with the id {options.id} (hostward-collector api-token list shows them)"
            )
        note(connection, "api-token.revoked", subject=f"api-token:{options.id}")
    return 0


CREATE = Command(
    run=_create,
    configure=_configure_create,
    examples="""\
  hostward-collector api-token create --description "wall display"
  hostward-collector api-token create --role operator --expires 90d
  curl --cacert ca.pem -H "Authorization: Bearer $TOKEN" https://localhost:8443/api/v1/hosts""",
)
LIST = Command(run=_list, configure=json_option, examples="  hostward-collector api-token list")
REVOKE = Command(run=_revoke, configure=_configure_revoke, examples="  hostward-collector api-token revoke 1f2e3d4c")
