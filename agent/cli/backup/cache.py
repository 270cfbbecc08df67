"""`hostward backup cache`: what this host keeps of repositories elsewhere."""

from __future__ import annotations

import argparse
import time

from agent.cli.backup.access import cache_folder
from agent.cli.backup.options import positive
from agent.cli.backup.output import plural, print_json
from backup.stores.caches import MAX_AGE, find_caches, remove_old
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.terminal import clean, table
from kit.units import format_size


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its options."""
    parser.add_argument("--cleanup", action="store_true", help="remove those that are old")
    parser.add_argument(
        "--max-age", type=positive, default=int(MAX_AGE), metavar="DAYS", help="without use they are old then; 30"
    )
    parser.add_argument("--no-size", action="store_true", help="do not add up how large they are")


def run(options: argparse.Namespace) -> int:
    """List the caches, or remove the old ones."""
    folder = cache_folder(options)
    if folder is None:
        raise UsageError("there is no folder of caches: name one by --cache-dir, and leave out --no-cache")
    now = time.time()
    try:
        if options.cleanup:
            removed = remove_old(folder, now=now, days=options.max_age)
            if options.json:
                print_json([{"id": cache.id} for cache in removed])
            elif not options.quiet:
                print(f"removed {plural(len(removed), 'old cache')}")
            return 0
        caches = find_caches(folder)
    except OSError as error:
        raise HostwardError(f"{clean(str(folder))}, where caches are: {error.strerror}") from error
    sizes = [None if options.no_size else cache.size() for cache in caches]
    ages = [cache.age(now) for cache in caches]
    if options.json:
        print_json(
            [
                {"id": cache.id, "days": int(age), "old": age > options.max_age, "size": size}
                for cache, age, size in zip(caches, ages, sizes, strict=True)
            ]
        )
        return 0
    rows = [
        [cache.id[:10], plural(int(age), "day"), "old" if age > options.max_age else "", format_size(size or 0)]
        for cache, age, size in zip(caches, ages, sizes, strict=True)
    ]
    columns = 3 if options.no_size else 4
    if rows:
        print(table(["repository", "unused for", "", "size"][:columns], [row[:columns] for row in rows]))
    print(f"{plural(len(caches), 'cache')} in {clean(str(folder))}")
    return 0


CACHE = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward backup cache
  hostward backup cache --cleanup --max-age 90""",
    notes="""\
Caches are of repositories on other hosts, for their indexes and trees. To remove one costs only time.
exit codes: 0 done; 1 failed; 2 bad usage.""",
)
