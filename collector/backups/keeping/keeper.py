"""Keeps and verifies repositories: looks, judges, tells, and only then removes what the policy does not keep.

Each step is written down before the next one begins, so whatever ends this in the middle leaves books that the next
time brings to their end. What touches a repository is done by a process of its own (child.py).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from datetime import tzinfo
from functools import partial
from typing import NamedTuple, Protocol, TypeVar

from msgspec.structs import replace
from sqlalchemy import Connection

from collector.backups import records as stock
from collector.backups.keeping import books, records
from collector.backups.keeping.alerts import PASSING, PATIENCE, Alert, alerts_of, named
from collector.backups.keeping.books import Books
from collector.backups.keeping.facts import Facts
from collector.backups.keeping.judge import judge
from collector.backups.keeping.messages import (
    Failed,
    Limits,
    Look,
    Order,
    Remove,
    Removed,
    Seen,
    Task,
    Verified,
    Verify,
)
from collector.backups.keeping.plan import GroupPlan, plan
from collector.backups.keeping.process import ask
from collector.backups.keeping.results import Result, WorkKind
from collector.backups.keeping.target import Target, access, held
from collector.backups.places import Places
from collector.store.database import Database
from kit.errors import HostwardError
from kit.units import format_size

HOME = "home"
"""Who did it, in the audit log, where it was nobody's command."""
LOCK_WAIT = 60.0
"""Seconds that a backup under way is waited for, before it is tried again later."""

BLIND = (
    "home has no password of it: it sees only when snapshots came, and their data stays until somebody with the"
    " password prunes"
)

log = logging.getLogger(__name__)

R = TypeVar("R")


class Write(Protocol):
    """Runs a function in a writing transaction of its own."""

    def __call__(self, function: Callable[[Connection], R], /) -> Awaitable[R]: ...


class Plans(NamedTuple):
    """What would be done now."""

    groups: list[GroupPlan]
    whole: str
    """Why nothing at all is removed for now, or ''."""
    unknown: int
    """Snapshots that are there and that home did not see come: they stay."""
    no_indexes: int = 0
    """Index files that came as none: a prune replaces them by what the packs say."""

    @property
    def going(self) -> dict[str, str]:
        """Names of snapshots that are removed now, and why."""
        if self.whole:
            return {}
        return {one.snapshot.name: one.reasons[0] for group in self.groups for one in group.removed}

    @property
    def waiting(self) -> int:
        """Snapshots that no rule keeps and that an alert does."""
        return sum(not one.keep for group in self.groups for one in group.decisions) - len(self.going)


class FailedError(HostwardError):
    """The working process could not do it."""

    def __init__(self, failed: Failed) -> None:
        super().__init__(failed.message)
        self.failed = failed


@dataclass(frozen=True, slots=True)
class Keeper:
    """For all repositories. Its methods raise HostwardError only before anything is begun."""

    database: Database
    write: Write
    places: Places
    clock: Callable[[], float]
    zone: tzinfo

    async def plan(self, target: Target, *, by: str = HOME) -> Plans:
        """What keeping it would do now. What is odd is noted and told; nothing is removed."""
        with held(self.places.folder, target.name) as holding:
            return await self._look(target, holding, by)

    async def keep(self, target: Target, *, by: str = HOME, always: bool = False) -> Result:
        """Remove what the policy does not keep. `always` prunes also where nothing was removed."""
        return await self._work(target, "keep", partial(self._keep, target, by=by, always=always))

    async def verify(self, target: Target) -> Result:
        """Check the structure and a part of the data."""
        if target.password_file is None:
            raise HostwardError(
                f"home has no password of the repository {target.title}, so it cannot verify it: set password_file"
                f' in [backups.repositories."{target.title}"]'
            )
        return await self._work(target, "verify", partial(self._verify, target))

    async def _work(self, target: Target, kind: WorkKind, work: Callable[[int], Awaitable[Result]]) -> Result:
        with held(self.places.folder, target.name) as holding:
            began = self.clock()
            id = await self.write(lambda connection: records.begin(connection, target.name, kind, began))
            alerts = []
            try:
                result = await work(holding)
            except FailedError as error:
                failed = error.failed
                waits = failed.locked or failed.absent
                result = Result(outcome="waiting" if waits else "failed", message=failed.message)
                if failed.damaged:
                    alerts.append(Alert("damaged", None, failed.message, began))
                elif not waits:
                    alerts.append(Alert("failed", None, failed.message, began))
                elif failed.locked and await self._waits_long(target, kind, began):
                    alerts.append(await self._of_locks(target, failed.message, began))
            except HostwardError as error:
                result = Result(outcome="failed", message=str(error))
                alerts.append(Alert("failed", None, str(error), began))
            await self.write(partial(_finish, target=target, id=id, result=result, alerts=alerts, now=self.clock()))
            log.log(
                logging.INFO if result.outcome == "done" else logging.WARNING, "%s: %s", target.title, result.message
            )
            return result

    async def _keep(self, target: Target, holding: int, *, by: str, always: bool) -> Result:
        plans = await self._look(target, holding, by)
        going, now = plans.going, self.clock()
        await self.write(lambda connection: records.intend(connection, target.name, going))
        known, prune_owed = await asyncio.to_thread(self._read, target, _owed)
        snapshots = [one.facts for one in known.there]
        result = Result(
            outcome="done",
            message="",
            kept=len(snapshots) - len(going),
            flagged=sum(one.flagged for one in snapshots),
            stopped=plans.waiting,
        )
        # Under an alert about the whole repository nothing is pruned either: packs may be all that a snapshot left.
        owed = plans.no_indexes or (prune_owed and target.password_file is not None)
        if plans.whole or not (going or always or owed):
            return _told(result, target, plans)
        held_locks, stale_locks = await self.write(lambda connection: books.locks(connection, target.name, now))
        task = Remove(
            names=tuple(going),
            broken=tuple(one.name for one in snapshots if one.broken),
            locks=held_locks,
            stale_locks=stale_locks,
            ranks=await asyncio.to_thread(self._read, target, books.ranks),
            now=now,
            wait=LOCK_WAIT,
        )
        removed = await self._ask(target, task, holding, Removed)
        await self.write(
            lambda connection: books.write_removed(connection, target.name, going, by=by, now=self.clock())
        )
        return _told(_with(result, removed), target, plans)

    async def _look(self, target: Target, holding: int, by: str) -> Plans:
        """See what came, write down what is odd about it, and decide."""
        known = await asyncio.to_thread(self._read, target, books.read)
        new = known.new if target.password_file is None else known.unopened
        names = dict.fromkeys(one.name for one in new)
        task = Look(new=tuple(names), bases=tuple(name for name in known.bases if name not in names))
        seen = await self._ask(target, task, holding, Seen)
        arrived = await asyncio.to_thread(self._arrived, target, known, seen)
        again = {one.name for one in arrived}
        before = [one.facts for one in known.snapshots if one.facts.name not in again]
        judged = await asyncio.to_thread(judge, arrived, before, known.usual_since(), self.zone)
        present = set(seen.present)
        missing = [one for one in known.there if one.facts.name not in present]
        planned = {one.facts.name: one.reason for one in missing if one.reason}
        lost = [one.facts for one in missing if not one.reason]
        gone = {one.name: "it is gone, and home did not remove it" for one in lost}
        lost = lost if target.append_only else []  # its hosts may have removed them
        now = self.clock()
        alerts = [*alerts_of(judged), *_of_losses(seen, lost, now)]
        raised = await self.write(
            partial(
                books.write_look,
                repository=target.name,
                judged=judged,
                alerts=alerts,
                planned=planned,
                gone=gone,
                by=by,
                now=now,
            )
        )
        for alert in raised:
            log.warning("%s: %s%s", target.title, f"{named(alert.group)}: " if alert.group else "", alert.message)
        after = await asyncio.to_thread(self._read, target, books.read)
        whole, stopped = after.stopped()
        facts = [one.facts for one in after.there]
        groups = await asyncio.to_thread(plan, facts, target.rules, stopped, now=now, zone=self.zone)
        unknown = len(present - {one.name for one in facts} - set(seen.rotten) - {one.name for one in new})
        return Plans(groups, whole, unknown, seen.no_indexes)

    def _arrived(self, target: Target, known: Books, seen: Seen) -> list[Facts]:
        present = set(seen.present)
        if target.password_file is not None:
            looked = {one.name: one for one in seen.looked}
            return [books.opened(one, looked[one.name]) for one in known.unopened if one.name in looked]
        with self.database.read() as connection:
            there = [one.facts for one in known.snapshots]
            return books.unopened(connection, [one for one in known.new if one.name in present], there)

    async def _verify(self, target: Target, holding: int) -> Result:
        task = Verify(part=self.places.options.keeping.verify_part)
        verified = await self._ask(target, task, holding, Verified)
        read = (
            f"{verified.snapshots} snapshots, {verified.packs_read} packs read ({format_size(verified.bytes_read)})"
        )
        if not verified.count:
            message = f"no problem was found: {read}"
        else:
            lost = f", of {len(verified.touched)} snapshots something is lost" if verified.touched else ""
            message = f"{verified.count} problems were found{lost}; the first: {verified.problems[0]}"
            alert = Alert("damaged", None, message, self.clock())
            await self.write(lambda connection: records.raise_alerts(connection, target.name, [alert], self.clock()))
        return Result(
            outcome="failed" if verified.count else "done",
            message=message,
            snapshots=verified.snapshots,
            packs_read=verified.packs_read,
            bytes_read=verified.bytes_read,
            problems=verified.problems,
        )

    async def _ask(self, target: Target, task: Task, holding: int, expected: type[R]) -> R:
        """The answer. What was done to files is in the receipts by then. Raises FailedError."""
        options = self.places.options.keeping
        order = Order(
            access=await asyncio.to_thread(access, target, self.places),
            limits=Limits(nice=options.nice, memory=int(options.memory_max)),
            task=task,
        )
        answered = await ask(order, timeout=float(options.timeout), holding=holding)
        changed = answered.changed
        if changed is not None:
            await self.write(lambda connection: books.write_changed(connection, target.name, changed, self.clock()))
        answer = answered.answer
        if isinstance(answer, Failed):
            raise FailedError(answer)
        assert isinstance(answer, expected)
        return answer

    async def _waits_long(self, target: Target, kind: WorkKind, now: float) -> bool:
        """Whether it has waited for a lock each time since more than a day."""
        works = await asyncio.to_thread(
            self._read, target, lambda connection, name: records.works(connection, name, kind)
        )
        waits_since = now
        for work in works:
            if work.result is not None:
                if work.result.outcome != "waiting":
                    break
                waits_since = work.started
        return now - waits_since > PATIENCE

    async def _of_locks(self, target: Target, message: str, now: float) -> Alert:
        """With the hosts that home saw the locks come from: what locks say of themselves is those hosts' word."""
        holders = await asyncio.to_thread(self._read, target, stock.lock_holders)
        who = f"{' and '.join(holders)} kept it locked" if holders else "it was locked"
        return Alert("locked", None, f"{who} for more than a day, so that home cannot prune it: {message}", now)

    def _read(self, target: Target, read: Callable[[Connection, str], R]) -> R:
        with self.database.read() as connection:
            return read(connection, target.name)


def _owed(connection: Connection, repository: str) -> tuple[Books, bool]:
    """What is known, and whether something was removed since the last prune."""
    known = books.read(connection, repository)
    works = records.works(connection, repository, "keep")
    pruned = next((one.started for one in works if one.result is not None and one.result.pruned), 0.0)
    removed = max((one.removed for one in known.snapshots if one.removed is not None), default=0.0)
    return known, removed > pruned


def _of_losses(seen: Seen, lost: list[Facts], now: float) -> list[Alert]:
    alerts = []
    if seen.rotten:
        names = " ".join(name[:8] for name in seen.rotten[:5])
        alerts.append(
            Alert("damaged", None, f"home's disk changed the files of {len(seen.rotten)} snapshots: {names}", now)
        )
    if lost:
        names = " ".join(one.name[:8] for one in lost[:5])
        alerts.append(
            Alert("lost", None, f"{len(lost)} snapshots are gone, and home did not remove them: {names}", now)
        )
    return alerts


def _finish(connection: Connection, target: Target, id: int, result: Result, alerts: list[Alert], now: float) -> None:
    records.finish(connection, id, result, now)
    if result.outcome == "done":
        records.end_alerts(connection, target.name, PASSING, now)
    records.raise_alerts(connection, target.name, alerts, now)


def _with(result: Result, removed: Removed) -> Result:
    return replace(
        result,
        removed=removed.names,
        pruned=removed.pruned,
        bytes_freed=removed.bytes_freed,
        bytes_used=removed.bytes_used if removed.pruned else None,
    )


def _told(result: Result, target: Target, plans: Plans) -> Result:
    """With its message."""
    freed = f", which freed {format_size(result.bytes_freed)}" if result.pruned else ""
    parts = [f"removed {count(len(result.removed), 'snapshot')}{freed}" if result.removed else "nothing to remove"]
    parts[0] += f"; {count(result.kept, 'snapshot')} stay" + (f", {result.flagged} flagged" if result.flagged else "")
    if plans.whole:
        parts.append(f"nothing is removed or pruned for now: {plans.whole}")
    elif result.stopped:
        parts.append(f"{result.stopped} more would go but for an alert")
    if plans.unknown:
        parts.append(f"{plans.unknown} that home did not see come are left alone")
    if target.password_file is None:
        parts.append(BLIND)
    return replace(result, message="; ".join(parts))


def count(number: int, what: str) -> str:
    """`1 snapshot`, `2 snapshots`."""
    return f"{number} {what}{'' if number == 1 else 's'}"
