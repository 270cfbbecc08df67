"""Which hosts go in which wave. Pure, and the same for the same inventory.

First the canaries, then batches; no wave has all hosts of a group, unless that group is one host.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import msgspec

from rollout.rules.amount import Amount

By = Literal["", "group", "zone"]


class PlanError(ValueError):
    """There is no such plan; the text says why."""


class Candidate(msgspec.Struct, frozen=True):
    """A host of the inventory."""

    name: str
    groups: tuple[str, ...] = ()
    zone: str = ""


class Shape(msgspec.Struct, frozen=True, kw_only=True):
    """How waves shall be."""

    canaries: Amount = Amount(1)
    """How many go first, where `named` names none; 0 for none."""
    named: tuple[str, ...] = ()
    """Who goes first."""
    batch: Amount = Amount(25, percent=True)
    """How many at one time after them; a share is one of its group or zone where waves go `by` them."""
    by: By = ""
    """Group after group, or zone after zone, in the inventory's order."""


class PlannedWave(msgspec.Struct, frozen=True):
    """Hosts that go at one time, in the inventory's order."""

    name: str
    hosts: tuple[str, ...]


class Plan(msgspec.Struct, frozen=True):
    """Every chosen host in exactly one wave."""

    waves: tuple[PlannedWave, ...]
    whole: tuple[str, ...] = ()
    """Groups that are all in one wave, because they are one host."""


def plan(inventory: Sequence[Candidate], chosen: Sequence[str], shape: Shape) -> Plan:
    """Waves of the `chosen` hosts of the inventory. Raises PlanError."""
    known = {host.name: host for host in inventory}
    members: dict[str, set[str]] = {}
    for host in inventory:
        for group in host.groups:
            members.setdefault(group, set()).add(host.name)
    rest = [known[name] for name in dict.fromkeys(chosen)]
    if not rest:
        raise PlanError("no host is chosen")
    waves: list[PlannedWave] = []
    canaries = _canaries(rest, shape)
    batches = _batches(canaries, max(1, len(canaries)), members)
    for number, hosts in enumerate(batches, 1):
        waves.append(PlannedWave("canary" if len(batches) == 1 else f"canary {number}", hosts))
    rest = [host for host in rest if host not in canaries]
    number = 0
    for label, section in _sections(rest, shape.by):
        for hosts in _batches(section, shape.batch.at_least_one(len(section)), members):
            number += 1
            waves.append(PlannedWave(f"batch {number}" + (f" ({label})" if label else ""), hosts))
    whole = {group for wave in waves for group, names in members.items() if names <= set(wave.hosts)}
    return Plan(tuple(waves), tuple(sorted(whole)))


def _canaries(hosts: Sequence[Candidate], shape: Shape) -> list[Candidate]:
    """Those that are named, or the first ones, of as many different groups as there are."""
    if shape.named:
        if unknown := sorted(set(shape.named) - {host.name for host in hosts}):
            raise PlanError(f"the canary {unknown[0]} is not among the chosen hosts")
        return [host for host in hosts if host.name in shape.named]
    wanted = 0 if shape.canaries == Amount(0) else min(shape.canaries.at_least_one(len(hosts)), len(hosts))
    found: list[Candidate] = []
    while len(found) < wanted:
        groups: set[str] = set()
        for host in hosts:
            if len(found) < wanted and host not in found and host.groups[:1] and host.groups[0] not in groups:
                groups.add(host.groups[0])
                found.append(host)
        if not groups:
            found += [host for host in hosts if host not in found][: wanted - len(found)]
    return [host for host in hosts if host in found]


def _sections(hosts: Sequence[Candidate], by: By) -> list[tuple[str, list[Candidate]]]:
    """Hosts that are batched together. A host of several groups goes with its first."""
    found: dict[str, list[Candidate]] = {}
    for host in hosts:
        label = host.zone if by == "zone" else host.groups[0] if by == "group" and host.groups else ""
        found.setdefault(label, []).append(host)
    return list(found.items())


def _batches(hosts: Sequence[Candidate], size: int, members: dict[str, set[str]]) -> list[tuple[str, ...]]:
    """At most `size` at one time, and never a whole group of several; who would complete one waits for the next."""
    waiting, batches = list(hosts), []
    while waiting:
        batch: list[Candidate] = []
        names: set[str] = set()
        for host in waiting:
            together = names | {host.name}
            if len(batch) < size and not any(len(members[g]) > 1 and members[g] <= together for g in host.groups):
                batch.append(host)
                names = together
        waiting = [host for host in waiting if host not in batch]
        batches.append(tuple(host.name for host in batch))
    return batches
