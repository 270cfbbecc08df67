"""Updates of packages, with a way back: `pyinfra INVENTORY deploys/patch.py`. docs/patching.md tells of it."""

from __future__ import annotations

from fnmatch import fnmatchcase

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host

from deploys.kit.alone import run_alone
from deploys.kit.holder import holder
from deploys.kit.notes import Phase, note
from deploys.kit.options import options
from deploys.operations.connection import LOST
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.lease import give_back, take, taken
from deploys.operations.packages import MANAGERS
from deploys.operations.packages.contract import Change, Manager, Offer, PackagesError
from deploys.operations.patching import asking
from deploys.operations.patching.before import prepare, refusals
from deploys.operations.patching.course import begin, go_on, reboot_alone
from deploys.operations.patching.options import PatchOptions
from deploys.operations.patching.record import Record, parse
from deploys.operations.run import ran, run
from deploys.rules import preconditions

NAMED = 10
"""How many packages an operation's name tells."""


@deploy("Patch")
def patch(given: PatchOptions | None = None) -> None:
    """Bring what was begun to its end; else see what there is to update, whether it may be, and do it."""
    wanted = given or options(host, "patch", PatchOptions)
    try:
        _decide(wanted)
    except StepError as error:
        _refuse(str(error))
    except LOST as error:
        _refuse(f"the connection was lost: {error}")


def _decide(given: PatchOptions) -> None:
    survey = asking.survey(host)
    who = holder("patch")
    if other := taken(survey, who):
        raise StepError(f"somebody else is at work on it: {other}", "left_alone")
    if survey.record is not None:
        try:
            record = parse(survey.record)
        except msgspec.ValidationError as error:
            raise StepError(
                f"what is on record of an unfinished patch cannot be read: {error}", "left_alone"
            ) from None
        attempt(
            work=lambda it: _finish(it, given, record),
            name=f"Bring an unfinished patch to its end: {_named(record.changes)}",
        )
        return
    if survey.going:
        raise StepError(
            "packages are being changed there, and nothing is on record of it: try again later", "left_alone"
        )
    if survey.manager is None:
        raise StepError("this host has neither apt nor dnf", "left_alone")
    manager = MANAGERS[survey.manager]
    offer = _offer(given, manager)
    for name in offer.held:
        host.log(f"held, and stays as it is: {name}")
    for name in offer.deferred:
        host.log(f"not yet for this host: {name}")
    rebooting = not offer.changes and survey.needs_reboot
    if rebooting and not given.reboot:
        host.log("a reboot is needed, and not allowed here")
    if not offer.changes and not (rebooting and given.reboot):
        return
    sane = ran(host, manager.sane())
    reasons = [
        *refusals(survey, sane.output, given),
        *preconditions.removed(offer.removed),
        *preconditions.excluded((change.name for change in offer.changes), given.exclude),
    ]
    if reasons:
        raise StepError("; ".join(reasons), "left_alone")
    if rebooting:
        attempt(work=lambda it: reboot_alone(it, given, who), name="Reboot: a package or a new kernel asks for it")
        return
    host.log(f"to update: {_named(offer.changes)}")
    attempt(work=lambda it: _patch(it, given, manager, offer.changes), name=f"Update {_named(offer.changes)}")


def _refuse(reason: str) -> None:
    host.log(f"is left alone: {reason}")
    fail(reason=reason, name=f"Refuse: {reason}")


def _offer(given: PatchOptions, manager: Manager) -> Offer:
    """What is to be done. Raises StepError."""
    if given.refresh:
        run(host, manager.refresh(), failing="the lists of packages could not be fetched")
    try:
        offered = manager.parse_offered(ran(host, manager.offered()).output)
        names = _chosen(given, manager, offered)
        found = manager.parse_chosen(ran(host, manager.chosen(names)).output) if names else Offer()
    except PackagesError as error:
        raise StepError(f"the package manager failed: {error}", "left_alone") from None
    return Offer(found.changes, offered.held, offered.deferred, found.removed)


def _chosen(given: PatchOptions, manager: Manager, offered: Offer) -> list[str]:
    """What to ask the manager for."""
    if given.packages:
        return [name for name in given.packages if name not in offered.held and not _excluded(name, given)]
    updates = offered.newest() if given.select == "all" else offered.for_security()
    return [
        manager.exact(change) for change in updates if change.before is not None and not _excluded(change.name, given)
    ]


def _excluded(name: str, given: PatchOptions) -> bool:
    return any(fnmatchcase(name, pattern) for pattern in given.exclude)


def _named(changes: tuple[Change, ...]) -> str:
    more = f" and {len(changes) - NAMED} more" if len(changes) > NAMED else ""
    return ", ".join(str(change) for change in changes[:NAMED]) + more


def _patch(it: Host, given: PatchOptions, manager: Manager, changes: tuple[Change, ...]) -> None:
    try:
        record = prepare(it, given, manager, changes)
    except StepError:
        give_back(it, holder("patch"))
        raise
    begin(it, given, record)


def _finish(it: Host, given: PatchOptions, record: Record) -> None:
    note(it, Phase(f"finds a patch that is {record.phase}"))
    mine = msgspec.structs.replace(record, who=holder("patch"))
    take(it, mine.who, given.limit)
    go_on(it, given, mine)


run_alone(globals(), patch)
