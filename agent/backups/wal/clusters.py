"""Which cluster of a repository is meant."""

from __future__ import annotations

from collections.abc import Mapping

from backup.errors import RepositoryError
from backup.select.wal import Chain
from kit.errors import UsageError


def pick_cluster(chains: Mapping[int, Chain], system: int | None) -> Chain:
    """The one that is named, or the only one. Raises RepositoryError for none, UsageError where one must be named."""
    if system is not None:
        if system not in chains:
            known = ", ".join(map(str, chains)) or "none"
            raise RepositoryError(f"there is nothing of the cluster {system} in the repository; there are: {known}")
        return chains[system]
    if not chains:
        raise RepositoryError("there is neither a base backup nor WAL of PostgreSQL in the repository")
    if len(chains) > 1:
        hosts = {
            number: sorted({snapshot.hostname for snapshot, _ in [*chain.bases, *chain.pieces]})
            for number, chain in chains.items()
        }
        known = ", ".join(f"{number} ({', '.join(names)})" for number, names in hosts.items())
        raise UsageError(f"the repository has several clusters: name one by --system: {known}")
    return next(iter(chains.values()))
