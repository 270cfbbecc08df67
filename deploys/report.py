"""What waits to be updated, and since when: `pyinfra INVENTORY deploys/report.py`. It changes nothing.

It is told as a table, or with `--data report.json=true` as one object for each host: `manager`, `pending` (objects
of `name`, `installed`, `candidate`, `security`, and `since`: seconds since the epoch, as the host's agent saw it,
null where there is none or it has not seen it yet), `held`, `deferred`, `since` (of the oldest), `reboot` (whether
packages ask for one), `unfinished` (how far a patch came that did not end, else null); or `problem` alone. It needs
no home.
"""

from __future__ import annotations

import time

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.context import host

from deploys.kit.alone import run_alone
from deploys.kit.notes import Result, note
from deploys.kit.options import options
from deploys.operations.fail import StepError, fail
from deploys.operations.packages import MANAGERS
from deploys.operations.packages.contract import PackagesError
from deploys.operations.patching import asking
from deploys.operations.run import ran, run
from deploys.rules.waiting import Update, Waiting, since, told


class ReportOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `report` of a host's data."""

    refresh: bool = False
    """Whether the lists of what there is are fetched first."""
    json: bool = False
    """Whether the answer is for programs."""


@deploy("Report")
def report(given: ReportOptions | None = None) -> None:
    """Ask the host's package manager and its agent."""
    wanted = given or options(host, "report", ReportOptions)
    try:
        found = _found(wanted)
        lines = (msgspec.json.encode(found).decode(),) if wanted.json else told(found, _moment)
        note(host, Result(msgspec.to_builtins(found), lines))
    except (StepError, PackagesError) as error:
        problem = {"problem": str(error)}
        note(host, Result(problem, (msgspec.json.encode(problem).decode() if wanted.json else str(error),)))
        fail(reason=str(error), name="Ask what is pending")


_SEEN = "PATH=$PATH:/usr/local/bin; hostward packages --pending --json 2>/dev/null"


def _found(given: ReportOptions) -> Waiting:
    survey = asking.survey(host)
    if survey.manager is None:
        raise StepError("this host has neither apt nor dnf", "left_alone")
    manager = MANAGERS[survey.manager]
    if given.refresh:
        run(host, manager.refresh(), failing="the lists of packages could not be fetched")
    offer = manager.parse_offered(ran(host, manager.offered()).output)
    pending = [change for change in offer.newest() if change.before is not None]
    security = {change.name for change in offer.for_security()}
    seen = since(ran(host, _SEEN).output) if survey.installed else {}
    known = [seen[one.name] for one in pending if one.name in seen]
    phase = survey.record.get("phase") if survey.record is not None else None
    return Waiting(
        manager=survey.manager,
        pending=[
            Update(
                name=one.name,
                installed=one.before,
                candidate=one.after,
                security=one.name in security,
                since=seen.get(one.name),
            )
            for one in pending
        ],
        held=list(offer.held),
        deferred=list(offer.deferred),
        since=min(known, default=None),
        reboot=survey.needs_reboot,
        unfinished=None if phase is None else str(phase),
    )


def _moment(seconds: float) -> str:
    return time.strftime("%Y-%m-%d %H:%M", time.localtime(seconds))


run_alone(globals(), report)
