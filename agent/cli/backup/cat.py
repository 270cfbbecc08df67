"""`hostward backup cat`: one object of the repository, as it is."""

from __future__ import annotations

import argparse
import os
import re
import sys

import msgspec

from agent.cli.backup.access import opened
from agent.cli.backup.output import harmless_json
from agent.cli.backup.picking import all_snapshots
from backup.errors import DamagedError, RepositoryError
from backup.format.config import encode_config
from backup.format.keyfile import encode_master
from backup.format.pack import BlobKind
from backup.format.snapshot import encode_snapshot
from backup.repository.files import content_of
from backup.repository.repository import Repository
from backup.restore.locate import find_folder
from backup.select.snapshots import find_snapshot
from backup.stores.contract import FileKind
from kit.commands import Command
from kit.errors import UsageError
from kit.terminal import clean

KINDS = ("config", "masterkey", "snapshot", "index", "key", "lock", "pack", "blob", "tree")
_FILES = {"index": FileKind.INDEX, "key": FileKind.KEY, "lock": FileKind.LOCK, "pack": FileKind.PACK}
_ID = re.compile(r"[0-9a-f]{64}")


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its arguments."""
    parser.add_argument("kind", metavar="KIND", help=", ".join(KINDS))
    parser.add_argument("id", nargs="?", metavar="ID", help="an id or its beginning; of a tree SNAPSHOT[:FOLDER]")


def run(options: argparse.Namespace) -> int:
    """Print it: JSON indented, packs and blobs byte by byte."""
    kind, id = options.kind, options.id
    if kind not in KINDS:
        raise UsageError(f'there is no kind of objects "{kind}": expected {", ".join(KINDS)}')
    if (id is None) != (kind in ("config", "masterkey")):
        raise UsageError(f"cat {kind} takes no id" if id is not None else f"cat {kind} takes the id of one")
    with opened(options, "none" if kind == "lock" else "read") as repository:
        content = read(repository, kind, id or "")
    if kind == "tree" and sys.stdout.isatty():
        print(harmless_json(content.decode(errors="replace")), end="")
    elif kind in ("pack", "blob", "tree"):
        sys.stdout.buffer.write(content)
    else:
        print(harmless_json(_text(kind, content)))
    return 0


def _text(kind: str, content: bytes) -> str:
    try:
        # An index is long.
        return (content if kind == "index" else msgspec.json.format(content, indent=2)).decode()
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise DamagedError(f"the {kind} is no JSON: {error}") from None


def read(repository: Repository, kind: str, id: str) -> bytes:
    """An object's content. Raises RepositoryError."""
    match kind:
        case "config":
            return encode_config(repository.config)
        case "masterkey":
            return encode_master(repository.key)
        case "snapshot":
            return encode_snapshot(find_snapshot(all_snapshots(repository), id).snapshot)
        case "tree":
            snapshot, subfolder = find_snapshot(all_snapshots(repository), id)
            tree = find_folder(repository, snapshot.root, os.fsencode(subfolder))
            return repository.load_blob(BlobKind.TREE, tree)
        case "blob":
            return _blob(repository, id)
        case "key" | "pack":
            return content_of(repository.store, _FILES[kind], _name(repository, kind, id))
        case _:
            return repository.load_file(_FILES[kind], _name(repository, kind, id))


def _blob(repository: Repository, id: str) -> bytes:
    if not _ID.fullmatch(id):
        raise UsageError(f"{clean(id)}: expected the whole id of a blob, 64 hexadecimal digits")
    for kind in BlobKind:
        if repository.blobs.has(kind, bytes.fromhex(id)):
            return repository.load_blob(kind, bytes.fromhex(id))
    raise RepositoryError(f"there is no blob {id}")


def _name(repository: Repository, kind: str, id: str) -> str:
    names = [name for name, _ in repository.names(_FILES[kind]) if id and name.startswith(id)]
    if len(names) != 1:
        found = f"{len(names)} have ids that begin" if names else "there is none whose id begins"
        raise RepositoryError(f'{kind}: {found} with "{id}"')
    return names[0]


CAT = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup cat config                  what the repository is; exit code 10 where there is none
  hostward backup cat snapshot latest
  hostward backup cat tree latest:/etc | jq '.nodes[].name'""",
    notes="""\
`cat masterkey` prints the key that all content is sealed with: whoever has it needs no password.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password.""",
)
