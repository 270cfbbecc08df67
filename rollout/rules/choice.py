"""Which hosts of an inventory are meant. Pure.

web            a group, or a host
web,db1        either
debian_12,&pending_security    both
all,!web1      all but one
web*           names and groups, with * and ? as in file names
"""

from __future__ import annotations

from collections.abc import Sequence
from fnmatch import fnmatchcase

from rollout.rules.plan import Candidate, PlanError


def choose(inventory: Sequence[Candidate], limits: Sequence[str]) -> list[str]:
    """Names in the inventory's order; all where nothing limits them. Raises PlanError where nobody is meant."""
    every = [host.name for host in inventory]
    terms = [term for limit in limits for term in limit.split(",") if term]
    if not terms:
        return every
    plain = [term for term in terms if term[0] not in "&!"]
    found = set(every) if not plain else set[str]().union(*(_meant(inventory, term) for term in plain))
    for term in terms:
        if term[0] == "&":
            found &= _meant(inventory, term[1:])
        elif term[0] == "!":
            found -= _meant(inventory, term[1:])
    if not found:
        raise PlanError(f"no host is left of --limit {' '.join(limits)}")
    return [name for name in every if name in found]


def _meant(inventory: Sequence[Candidate], term: str) -> set[str]:
    found = {
        host.name
        for host in inventory
        if term == "all" or any(fnmatchcase(name, term) for name in (host.name, *host.groups))
    }
    if not found:
        raise PlanError(f'"{term}" is neither a host of the inventory nor a group with a host in it')
    return found
