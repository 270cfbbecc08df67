"""What `prune` and `forget --prune` are told and tell."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from agent.cli.backup.access import pack_size
from agent.cli.backup.options import parsed
from agent.cli.backup.output import print_json, warn
from agent.cli.backup.shapes import Object
from backup.errors import RepositoryError
from backup.maintain.prune import PruneOptions, PruneResult
from backup.maintain.prune_plan import PruneRules
from backup.select.sizes import parse_size, parse_unused_limit
from kit.errors import UsageError
from kit.units import format_size


def add_rules(parser: argparse.ArgumentParser) -> None:
    """Add the options that say what may be written anew."""
    parser.add_argument(
        "--max-unused",
        type=parsed(parse_unused_limit),
        default="5%",
        metavar="LIMIT",
        help="tolerate so much unused data: 5%%, 2G, unlimited",
    )
    parser.add_argument(
        "--max-repack-size", type=parsed(parse_size), metavar="SIZE", help="write at most so much of packs anew"
    )
    parser.add_argument("--repack-cacheable-only", action="store_true", help="write only packs of trees anew")
    parser.add_argument("--repack-small", action="store_true", help="join packs below 80 %% of the pack size")
    parser.add_argument(
        "--repack-smaller-than", type=parsed(parse_size), default=0, metavar="SIZE", help="join packs below this size"
    )
    parser.add_argument("--repack-uncompressed", action="store_true", help="compress what is not compressed")


def prune_options(options: argparse.Namespace, on_progress: Callable[[str, int, int], None]) -> PruneOptions:
    """What the options ask for. Raises UsageError."""
    full = pack_size(options)
    if options.repack_smaller_than >= full:
        # New packs would be too small as well, and be written anew each time.
        raise UsageError(f"--repack-smaller-than: expected less than the size of a pack, {format_size(full)}")
    rules = PruneRules(
        max_unused=options.max_unused,
        max_repack=options.max_repack_size,
        cacheable_only=options.repack_cacheable_only,
        small=options.repack_small,
        smaller_than=options.repack_smaller_than,
        uncompressed=options.repack_uncompressed,
        pack_size=full,
    )
    return PruneOptions(rules, dry_run=options.dry_run, on_progress=on_progress)


def print_pruned(result: PruneResult, options: argparse.Namespace) -> int:
    """Say what was done, or would be; returns the exit code."""
    stats = result.stats
    if options.json:
        print_json({"message_type": "summary", "dry_run": options.dry_run, **_figures(result)})
    elif not options.quiet:
        if options.verbose or options.dry_run:
            _print_row("used", stats.used.blobs, stats.used.bytes)
            _print_row("unused", stats.unused.blobs, stats.unused.bytes)
            _print_row("duplicate", stats.duplicate.blobs, stats.duplicate.bytes)
        _print_row("in packs that are written anew", stats.repacked.blobs, stats.repacked.bytes)
        _print_row("  of which is left out", stats.dropped.blobs, stats.dropped.bytes)
        _print_row("in packs that are removed", stats.removed.blobs, stats.removed.bytes)
        print(
            f"packs: {stats.packs_kept} kept, {stats.packs_repacked} written anew, {stats.packs_removed} removed, "
            f"{stats.packs_unreferenced} that no index knew"
        )
        would = "would free" if options.dry_run else "freed"
        print(f"{would} {format_size(stats.bytes_freed)}; {format_size(stats.bytes_unused_after)} unused remain")
    for name, error in result.not_removed.items():
        warn(f"pack {name[:8]} could not be removed: {error}; the next prune tries again")
    return RepositoryError.exit_code if result.not_removed else 0


def _figures(result: PruneResult) -> Object:
    stats = result.stats
    amounts = {
        name: {"blobs": amount.blobs, "bytes": amount.bytes}
        for name in ("used", "unused", "duplicate", "repacked", "dropped", "removed")
        if (amount := getattr(stats, name)) is not None
    }
    packs = {name: getattr(stats, f"packs_{name}") for name in ("kept", "repacked", "removed", "unreferenced")}
    return {**amounts, "packs": packs, "freed": stats.bytes_freed, "unused_after": stats.bytes_unused_after}


def _print_row(name: str, blobs: int, size: int) -> None:
    print(f"{name + ':':<32} {blobs:>9,} blobs  {format_size(size):>8}")
