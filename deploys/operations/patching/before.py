"""What must be so before anything is changed, and what is put aside for the way back."""

from __future__ import annotations

import shlex

from pyinfra.api.exceptions import ConnectError
from pyinfra.api.host import Host

from deploys.facts.survey import FOLDER, Survey
from deploys.kit.holder import holder
from deploys.kit.notes import Phase, note
from deploys.operations.connection import LOST
from deploys.operations.fail import StepError
from deploys.operations.lease import take, taken
from deploys.operations.packages.contract import Change, Manager
from deploys.operations.patching import asking
from deploys.operations.patching.options import BackupOptions, PatchOptions, PeersOptions
from deploys.operations.patching.record import SAVED, Record
from deploys.operations.run import ran, run
from deploys.rules import preconditions
from deploys.rules.backups import Backup, due
from deploys.rules.services import expected, failed

MOMENT = 900.0
"""Seconds for which the host is held while nothing long is done."""
_SAVING = 1800
"""Seconds in which the packages as they are have to be saved."""


def refusals(survey: Survey, sane: str, given: PatchOptions) -> list[str]:
    """Why this host is not to be patched, by what it says itself."""
    found = [] if survey.root else ["the rights of root are needed: set _sudo in the host's data"]
    if not survey.systemd:
        found.append("systemd does not run there")
    found += preconditions.disk(survey.free, given.free) + preconditions.database(sane)
    if given.agent:
        status = survey.status
        found += preconditions.agent(
            installed=survey.installed,
            running=status is not None and status.agent.running,
            problem=status.problem if status else None,
            states=status.states if status else {},
            ignored=given.ignore_checks,
        )
    return found


def backups_due(survey: Survey, given: BackupOptions, now: float) -> list[str]:
    """The jobs to run first. Raises StepError where there is none and one is wanted."""
    jobs = survey.backups.jobs if survey.backups is not None else ()
    wanted = _wanted(jobs, given)
    if not wanted and given.required:
        raise StepError("no backup job is configured there", "left_alone")
    return due(wanted, now=now, max_age=given.max_age, verified=given.verified)


def prepare(host: Host, given: PatchOptions, manager: Manager, changes: tuple[Change, ...]) -> Record:
    """Take the host, look once more, save what is needed for the way back, and put it all on record.

    Raises StepError (`left_alone`).
    """
    who = holder("patch")
    take(host, who, MOMENT)
    if given.peers is not None:
        note(host, Phase("looks at its peers"))
        require_peers(host, given.peers)
    survey = _back_up(host, given.backup, who)
    take(host, who, _SAVING + MOMENT)
    note(host, Phase("saves packages"))
    saved = _save(host, manager, changes)
    lost = [change for change in changes if change.before is not None and change.name not in saved]
    if lost and given.require_rollback:
        named = ", ".join(f"{change.name} {change.before}" for change in lost)
        raise StepError(f"could not be put back, for no repository has them any more: {named}", "left_alone")
    return standing(host, survey, who, changes, saved)


def standing(
    host: Host, survey: Survey, who: str, changes: tuple[Change, ...] = (), saved: tuple[str, ...] = ()
) -> Record:
    """How the host stands before anything is done, for whoever judges it afterwards. Raises StepError."""
    services = asking.services(host)
    return Record(
        phase="installing",
        manager=survey.manager or "",
        who=who,
        changes=changes,
        saved=saved,
        boot=survey.boot,
        ran=expected(services),
        failed=tuple(failed(services)),
        checks=survey.status.states if survey.status is not None else None,
        problem=survey.status.problem if survey.status is not None else None,
    )


def _wanted(jobs: tuple[Backup, ...], given: BackupOptions) -> list[Backup]:
    if given.jobs is None:
        return [job for job in jobs if job.enabled]
    known = {job.name: job for job in jobs}
    for name in given.jobs:
        if name not in known:
            raise StepError(f"there is no backup job {name}", "left_alone")
    return [known[name] for name in given.jobs]


def _back_up(host: Host, given: BackupOptions, who: str) -> Survey:
    """Run the jobs that are due. Returns how the host stands then."""
    survey = asking.survey(host)
    now = float(run(host, "date +%s", failing="the clock cannot be read"))
    jobs = backups_due(survey, given, now)
    for name in jobs:
        note(host, Phase(f"backup {name}"))
        take(host, who, given.limit + MOMENT)
        run(
            host,
            f"PATH=$PATH:/usr/local/bin; hostward backup run {shlex.quote(name)} --quiet",
            failing=f"the backup {name} failed",
            timeout=int(given.limit),
        )
    if jobs:
        survey = asking.survey(host)
    for name in backups_due(survey, given, now):
        verify = "; its job does not verify: expected verify = true in its table" if given.verified else ""
        raise StepError(f"the backup {name} ran, and is not fresh and verified all the same{verify}", "left_alone")
    return survey


def require_peers(host: Host, given: PeersOptions) -> None:
    """Raises StepError where too few of the group are well."""
    found = 0
    for peer in host.inventory.get_group(given.group, []):
        if peer.name != host.name and _is_healthy(peer):
            found += 1
    for reason in preconditions.peers(found, given.healthy, given.group):
        raise StepError(reason, "left_alone")


def _is_healthy(peer: Host) -> bool:
    try:
        if not peer.connected and getattr(peer.connector, "client", None) is None:
            peer.connector.connect()
        survey = asking.survey(peer)
    except (ConnectError, StepError, *LOST):
        return False
    status = survey.status
    # One that is being changed may be away the next moment, however well it is now.
    if survey.record is not None or survey.going or taken(survey, "") is not None:
        return False
    return status is not None and not preconditions.agent(
        installed=True, running=status.agent.running, problem=status.problem, states=status.states, ignored=()
    )


def _save(host: Host, manager: Manager, changes: tuple[Change, ...]) -> tuple[str, ...]:
    """The names of the packages whose version of now lies in the folder."""
    prepared = f"set -e; rm -rf {SAVED} {FOLDER}/*.code; mkdir -p {SAVED}; chmod 700 {FOLDER}"
    run(host, prepared, failing="there is no place for the packages as they are")
    try:
        said = ran(host, f"{manager.save(changes, SAVED)}\nsync {SAVED}/* {SAVED}", timeout=_SAVING)
    except TimeoutError:
        raise StepError(f"the packages as they are could not be saved within {_SAVING} s", "left_alone") from None
    lines = {tuple(line.split()) for line in said.output.splitlines()}
    found = []
    for change in changes:
        names = {change.name, change.name.partition(":")[0]}
        versions = {change.before, f"0:{change.before}"}
        if any(line[0] in names and line[1] in versions for line in lines if len(line) == 2):
            found.append(change.name)
    return tuple(found)
