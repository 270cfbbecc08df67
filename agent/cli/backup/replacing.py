"""What `rewrite` and `repair snapshots` tell."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from agent.cli.backup.output import plural, print_json
from backup.maintain.replace import Replacement


class Teller:
    """Says what became of each snapshot."""

    def __init__(self, options: argparse.Namespace) -> None:
        self._options = options

    def tell(self, replacement: Replacement) -> None:
        """One that was looked at."""
        if self._options.json or self._options.quiet:
            return
        if not replacement.changed and replacement.new is not None:
            if self._options.verbose:
                print(f"snapshot {replacement.old.short_id}: nothing to change")
            return
        new, would = replacement.new, "would be " if self._options.dry_run else ""
        if new is None:
            what = f"{would}removed" if replacement.forgotten else "stays; --forget removes it"
            what += ": nothing is left of it"
        else:
            what = f"{would}saved anew" + (f" as {new.short_id}" if new.id else "")
            what += ", the old one removed" if replacement.forgotten else ""
        print(f"snapshot {replacement.old.short_id} {what}")

    def end(self, done: Sequence[Replacement]) -> None:
        """All of them."""
        if self._options.json:
            print_json(
                [
                    {
                        "old": each.old.id,
                        "new": each.new.id if each.new is not None and each.new.id else None,
                        "changed": each.changed,
                        "forgotten": each.forgotten,
                    }
                    for each in done
                ]
            )
        elif not self._options.quiet:
            would = "would change" if self._options.dry_run else "changed"
            print(f"{would} {sum(each.changed for each in done)} of {plural(len(done), 'snapshot')}")
