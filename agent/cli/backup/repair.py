"""`hostward backup repair`: index, packs and snapshots of a damaged repository."""

from __future__ import annotations

import argparse

from agent.cli.backup.access import opened
from agent.cli.backup.output import plural, print_json, print_path, warn
from agent.cli.backup.picking import add_filters, pick_all
from agent.cli.backup.progress import Phase, progress
from agent.cli.backup.replacing import Teller
from backup.errors import RepositoryError
from backup.format.pack import PackedBlob
from backup.maintain.repair_index import RepairIndexOptions, repair_index
from backup.maintain.repair_packs import repair_packs
from backup.maintain.repair_snapshots import RepairSnapshotsOptions, repair_snapshots
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from kit.commands import Command

_NOTES = """\
The order is: check, repair index, repair packs, repair snapshots, check. A copy of the repository is a good thing to
have before. The next `run` over files that are still there brings lost parts back, unless snapshots were repaired.
exit codes: 0 done; 1 failed; 2 bad usage; 10 no repository; 11 locked; 12 wrong password."""


def _configure_index(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--read-all-packs", action="store_true", help="trust no index: read the end of every pack")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")


def _configure_packs(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("packs", nargs="+", metavar="PACK", help="ids or their beginnings, as `check` names them")


def _configure_snapshots(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("snapshots", nargs="*", metavar="SNAPSHOT", help="these alone; else all that fit")
    add_filters(parser)
    parser.add_argument("--forget", action="store_true", help="remove the broken snapshots")
    parser.add_argument("-n", "--dry-run", action="store_true", help="only say what would be done")


def run_index(options: argparse.Namespace) -> int:
    """Make the index agree with the packs."""
    phase = Phase()
    wanted = RepairIndexOptions(options.read_all_packs, options.dry_run, phase.update)
    with opened(options, "exclusive") as repository, progress(options, phase.status):
        result = repair_index(repository, wanted)
    figures = {
        "damaged": sorted(result.damaged),
        "added": result.added,
        "corrected": result.corrected,
        "gone": result.gone,
        "unreadable": sorted(result.unreadable),
    }
    if options.json:
        print_json({"message_type": "summary", "dry_run": options.dry_run, **figures})
    elif not options.quiet:
        if options.read_all_packs:
            print(
                f"{'would read' if options.dry_run else 'read'} {plural(len(result.added), 'pack')} for a new index"
            )
            figures["added"] = []
        meanings = {
            "damaged": "index files that could not be read",
            "added": "packs that were in no index",
            "corrected": "packs of another size than the index said",
            "gone": "packs of the index that are not there",
            "unreadable": "packs whose list of blobs cannot be read",
        }
        for name, meaning in meanings.items():
            for id in figures[name]:
                print(f"{meaning}: {id}")
        if not options.read_all_packs and not any(figures.values()):
            print("the index is right: nothing was changed")
    return RepositoryError.exit_code if result.unreadable else 0


def run_packs(options: argparse.Namespace) -> int:
    """Save what is good in damaged packs."""
    phase = Phase()

    def lost(blob: PackedBlob, error: RepositoryError) -> None:
        warn(f"lost: {error}")

    with opened(options, "exclusive") as repository:
        packs = _named(repository, options.packs)
        with progress(options, phase.status):
            result = repair_packs(
                repository, packs, on_lost=lost, on_pack=lambda done, total: phase.update("packs", done, total)
            )
    for name, error in result.not_removed.items():
        warn(f"pack {name[:8]} could not be removed: {error}; the next prune tries again")
    if options.json:
        ids = [id.hex() for _, id in result.lost]
        print_json({"message_type": "summary", "packs": len(packs), "saved": result.saved, "lost": ids})
    elif not options.quiet:
        print(f"saved {plural(result.saved, 'blob')} of {plural(len(packs), 'pack')}, lost {len(result.lost)}")
        if result.lost:
            print("next: hostward backup repair snapshots --forget")
    return RepositoryError.exit_code if result.not_removed else 0


def run_snapshots(options: argparse.Namespace) -> int:
    """Make snapshots whole without what is lost."""
    teller = Teller(options)

    def repaired(path: bytes, what: str) -> None:
        if not options.json and not options.quiet:
            print_path("", path, f" {what}")

    wanted = RepairSnapshotsOptions(options.forget, options.dry_run, repaired, teller.tell)
    left_out: list[str] = []
    with opened(options, "exclusive") as repository:
        done = repair_snapshots(repository, pick_all(repository, options, options.snapshots, left_out), wanted)
    teller.end(done)
    return RepositoryError.exit_code if left_out else 0


def _named(repository: Repository, names: list[str]) -> list[bytes]:
    """Whole ids from their beginnings; of those that are in the store or the index. Raises RepositoryError."""
    known = {name for name, _ in repository.names(FileKind.PACK)} | {pack.hex() for pack in repository.blobs.packs}
    found = []
    for name in names:
        fit = [pack for pack in known if name and pack.startswith(name)]
        if len(fit) != 1:
            there = f"{len(fit)} packs have ids that begin" if fit else "there is no pack whose id begins"
            raise RepositoryError(f'{there} with "{name}"')
        found.append(bytes.fromhex(fit[0]))
    return found


INDEX = Command(
    run=run_index,
    configure=_configure_index,
    examples="""\
  hostward backup repair index                    for packs that are gone, new, or of another size
  hostward backup repair index --read-all-packs   writes the whole index anew""",
    notes=_NOTES,
)

PACKS = Command(
    run=run_packs,
    configure=_configure_packs,
    examples="""\
  hostward backup repair packs 5c4f17a2 0b1d9e3f""",
    notes=_NOTES,
)

SNAPSHOTS = Command(
    run=run_snapshots,
    configure=_configure_snapshots,
    examples="""\
  hostward backup repair snapshots --dry-run    what would be lost
  hostward backup repair snapshots --forget""",
    notes="""\
Files lose the parts that are lost, folders that cannot be read become empty. Without --forget the broken snapshots
stay, and the new ones have the tag `repaired`; of a snapshot whose root is lost there is no new one.
"""
    + _NOTES,
)
