"""A patch from its first change to its end: done, or back as it was. What is on record tells where to go on."""

from __future__ import annotations

import shlex
from contextlib import suppress

import msgspec
from pyinfra.api.host import Host

from deploys.kit.notes import Phase, Versions, note
from deploys.operations.fail import StepError
from deploys.operations.lease import give_back, take
from deploys.operations.packages import MANAGERS
from deploys.operations.packages.contract import Manager
from deploys.operations.patching import asking
from deploys.operations.patching.after import renew, soak
from deploys.operations.patching.before import MOMENT, require_peers, standing
from deploys.operations.patching.options import PatchOptions
from deploys.operations.patching.record import SAVED, Last, Record, close, forget, keep
from deploys.operations.reboot import reboot
from deploys.operations.run import ran
from deploys.operations.transaction import complaint, start, wait


def begin(host: Host, given: PatchOptions, record: Record) -> None:
    """Install what is on `record`, and bring it to an end. Raises StepError."""
    manager = MANAGERS[record.manager]
    try:
        keep(host, record)
        take(host, record.who, given.limit + MOMENT)
        note(host, Phase("install"))
        start(host, "install", manager.install(record.changes, SAVED, given.lock_wait))
    except StepError as error:
        # Whatever it says: as on a full disk, nothing was changed yet.
        forget(host)
        give_back(host, record.who)
        raise StepError(str(error), "left_alone") from None
    go_on(host, given, record)


def reboot_alone(host: Host, given: PatchOptions, who: str) -> None:
    """Reboot for what was updated before, and see that the host is no worse for it. Raises StepError."""
    take(host, who, given.reboot_limit + MOMENT)
    try:
        if given.peers is not None:
            note(host, Phase("looks at its peers"))
            require_peers(host, given.peers)
        before = standing(host, asking.survey(host), who)
    except StepError as error:
        give_back(host, who)
        raise StepError(str(error), "left_alone") from None
    reboot(host, given.reboot_limit)
    reason = soak(host, given, before)
    give_back(host, who)
    if reason is not None:
        raise StepError(f"after its reboot: {reason}", "broken")


def go_on(host: Host, given: PatchOptions, record: Record) -> None:
    """Bring a patch to its end from where its record stands. Raises StepError."""
    if record.phase == "installing":
        code = wait(host, "install", given.limit)
        if code != 0:
            how = "was cut down" if code is None else f"failed: {complaint(host, 'install')}"
            _undo(host, given, record, f"the installation {how}")
        record = msgspec.structs.replace(record, phase="installed")
        keep(host, record)
    if record.phase == "undoing":
        wait(host, "undo", given.limit)
        _undo(host, given, record, record.reason)
    reason = _not_installed(host, record) or renew(host, given, record) or soak(host, given, record)
    if reason is not None:
        _undo(host, given, record, reason)
    _tell(host, record, "done", "")
    give_back(host, record.who)


def _undo(host: Host, given: PatchOptions, record: Record, reason: str) -> None:
    """Put back what was there. Raises StepError in any case: `left_alone`, `rolled_back` or `broken`."""
    manager = MANAGERS[record.manager]
    take(host, record.who, given.limit + MOMENT)
    before = _before(record)
    if asking.versions(host, manager, list(before)) == before and not _insane(host, manager):
        # Nothing was changed, or a rerun finds that all is back.
        if record.phase == "installing":
            forget(host)
            give_back(host, record.who)
            raise StepError(reason, "left_alone")
    else:
        note(host, Phase("puts packages back"))
        keep(host, msgspec.structs.replace(record, phase="undoing", reason=reason))
        start(host, "undo", manager.undo(record.changes, SAVED, given.lock_wait))
        wait(host, "undo", given.limit)
    _start_again(host, record)
    now = asking.versions(host, manager, list(before))
    wrong = [f"{name} is {now[name] or 'gone'}" for name in before if now[name] != before[name]]
    if wrong:
        why = complaint(host, "undo")
        raise StepError(f"{reason}; it could not be put back: {', '.join(wrong)}: {why}", "broken")
    still = renew(host, msgspec.structs.replace(given, reboot=False), record) or soak(host, given, record)
    if still is not None:
        raise StepError(f"{reason}; packages are as they were, but {still}", "broken")
    _tell(host, record, "rolled_back", reason)
    give_back(host, record.who)
    raise StepError(reason, "rolled_back")


def _before(record: Record) -> dict[str, str | None]:
    return {change.name: change.before for change in record.changes}


def _not_installed(host: Host, record: Record) -> str | None:
    manager = MANAGERS[record.manager]
    now = asking.versions(host, manager, [change.name for change in record.changes])
    wrong = [change for change in record.changes if now[change.name] != change.after]
    if not wrong:
        return None
    return "not installed as planned: " + ", ".join(f"{c.name} is {now[c.name] or 'not whole'}" for c in wrong)


def _insane(host: Host, manager: Manager) -> bool:
    return bool(ran(host, manager.sane()).output.strip())


def _start_again(host: Host, record: Record) -> None:
    """The services that ran: systemd gives one up that failed a few times."""
    services = asking.services(host)
    down = [name for name in record.ran if name not in services or services[name].active != "active"]
    if down:
        names = shlex.join(down)
        # One whose start hangs would hang on: a restart takes its place. Whether it helped is for the soak to see.
        with suppress(TimeoutError):
            ran(host, f"systemctl reset-failed {names}; systemctl restart {names}", timeout=int(MOMENT))


def _tell(host: Host, record: Record, outcome: str, reason: str) -> None:
    before = _before(record)
    after = asking.versions(host, MANAGERS[record.manager], list(before))
    note(host, Versions(before, after))
    close(host, Last(outcome="done" if outcome == "done" else "rolled_back", who=record.who, reason=reason,
                     before=before, after=after))  # fmt: skip
