"""`hostward backup init`: a new repository."""

from __future__ import annotations

import argparse
import json

from agent.cli.backup.access import open_place
from agent.cli.backup.password import ask_new_password, told_password, ways
from backup.repository.repository import Repository
from kit.commands import Command


def run(options: argparse.Namespace) -> int:
    """Make it, and say where."""
    store = open_place(options)
    try:
        told = told_password(options)
        if told is None:
            told = ask_new_password(f"new password for {store.location}", otherwise=ways())
        repository = Repository.create(store, told)
    finally:
        store.close()
    if options.json:
        print(json.dumps({"message_type": "initialized", "id": repository.config.id, "repository": store.location}))
    elif not options.quiet:
        print(f"made the repository {repository.config.id[:10]} in {store.location}")
        print("Without the password nobody can read it again: keep a copy of it in another place.")
    return 0


INIT = Command(
    run=run,
    examples="""\
  hostward backup init --repo /srv/backup --password-file /etc/hostward/backup.password
  HOSTWARD_REPOSITORY=rest:https://home.example.net:8000/web1/ hostward backup init""",
    notes="""\
It has restic's format, version 2: restic reads it, and may write to it too.
exit codes: 0 done; 1 failed, for one if there is a repository already; 2 bad usage.""",
)
