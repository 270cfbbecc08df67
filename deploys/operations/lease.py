"""One maintenance of a host at a time: a file on it that says who is at work, and until when.

The time is the host's uptime, which nobody sets, and the file lies where no boot finds it again: so whoever dies at
work holds the host no longer than what was asked for.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from contextlib import contextmanager, suppress

import msgspec
from pyinfra.api.host import Host

from deploys.facts.survey import LEASE, Survey
from deploys.kit.holder import follows, holder
from deploys.operations.connection import LOST
from deploys.operations.fail import StepError
from deploys.operations.run import Ran, ran


def taken(survey: Survey, who: str) -> str | None:
    """Who else is at work on the host, or None."""
    lease = survey.lease
    if lease is None or follows(who, lease.holder) or lease.boot != survey.boot or lease.until <= survey.uptime:
        return None
    return lease.holder


def take(host: Host, who: str, duration: float) -> None:
    """Hold the host for `duration` seconds from now on, or for that much longer. Raises StepError."""
    said = _ask(host, who, duration, who)
    if not said.ok and follows(who, said.output):
        said = _ask(host, who, duration, said.output)
    if not said.ok and (other := said.output.strip()):
        raise StepError(f"somebody else is at work on it: {other}", "left_alone")
    if not said.ok:
        raise StepError(f"the host cannot be held against others: {said.complaint}", "left_alone")


@contextmanager
def held(host: Host, what: str, duration: float) -> Iterator[None]:
    """Not while somebody else is at work on the host, and nobody else begins meanwhile. Raises StepError.

    `duration` is what it may take in seconds, after which a run that is dead holds nothing.
    """
    who = holder(what)
    take(host, who, duration)
    try:
        yield
    finally:
        with suppress(*LOST):
            give_back(host, who)


def _ask(host: Host, who: str, duration: float, former: str) -> Ran:
    """Hold it unless somebody else does than `who` and `former`; who that is, is the output then."""
    folder = shlex.quote(LEASE.rpartition("/")[0])
    return ran(
        host,
        f"""set -e; umask 077; mkdir -p {folder}; cd {folder}
exec 9>lock; flock -w 30 9 || {{ echo "$PWD/lock is held by another program" >&2; exit 1; }}
boot=$(cat /proc/sys/kernel/random/boot_id) now=$(cut -d. -f1 /proc/uptime)
if [ -e lease.json ]; then
    read -r until other <holder
    [ "$other" = {shlex.quote(who)} ] || [ "$other" = {shlex.quote(former)} ] || [ "$until" -le "$now" ] || \\
        {{ echo "$other"; exit 3; }}
fi
until=$((now + {int(duration)}))
printf '%s %s\\n' "$until" {shlex.quote(who)} >holder
printf '{{"holder": %s, "until": %s, "boot": "%s"}}\\n' {shlex.quote(msgspec.json.encode(who).decode())} \
"$until" "$boot" >lease.new
mv lease.new lease.json""",
    )


def give_back(host: Host, who: str) -> None:
    """Hold it no longer."""
    folder = shlex.quote(LEASE.rpartition("/")[0])
    ran(
        host,
        f"cd {folder} 2>/dev/null || exit 0; exec 9>lock; flock -w 30 9; "
        f'read -r until other <holder; [ "$other" != {shlex.quote(who)} ] || rm -f lease.json holder',
    )
