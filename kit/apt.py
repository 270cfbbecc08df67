"""What apt would update: for the agent, which tells what waits, and for deploys, which install it.

Text in, facts out; what is run is a line of sh, for whoever runs it where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import NamedTuple

_INST = re.compile(r"Inst (?P<name>\S+) (?:\[(?P<before>[^\]]+)\] )?\((?P<after>\S+) (?P<origins>[^\[\)]*)")
"""`Inst openssl [1.0] (1.1 Debian-Security:12/stable-security [amd64])`; without the first `[…]` it is new."""
_SECURITY = re.compile(r"(?:^|[\s,])(?:Debian-Security:|\S*-security(?:$|[\s,]))")
"""Debian's label, and the suites that Debian, Ubuntu and Ubuntu's extended maintenance keep for security."""
SIMULATE = "apt-get -q -s -o Debug::NoLocking=1 -o APT::Get::Show-User-Simulation-Note=0"
"""Without a lock, and so without anybody having to wait; nothing is fetched."""
_OLDER = "Older "
_KEPT = "have been kept back|deferred due to phasing"
"""Of the headings of what stays as it is; Ubuntu has one of its own for phases."""
_NEWER = f"""\
/^Inst [^ ]+ \\[/ {{ print $2; next }}
/^  / {{ if (kept) for (i = 1; i <= NF; i++) print $i; next }}
{{ kept = /{_KEPT}/ }}"""
"""The packages of a simulation that have a newer version."""
_BETWEEN = """\
/^[^ ]+:$/ { name = substr($0, 1, length($0) - 1) }
$1 == "Installed:" { before = $2 }
$1 == "Candidate:" { after = $2 }
/^     [^ ]+ [0-9]/ && before != "(none)" && $1 != after { print name, before, after, $1 }"""
"""Of `apt-cache policy`, each version that is not the newest, and that no pin forbids."""


class Update(NamedTuple):
    """One package of a simulation."""

    name: str
    before: str | None
    """None for one that is not installed, and that another one needs now."""
    after: str
    security: bool
    """Whether that version comes from where security updates do."""


def asking(upgrade: str) -> str:
    """Lines of sh that print what `apt-get UPGRADE` would do, and set `code` to its exit code.

    Then come lines `Older Inst …`, the newest first: for each package that has a newer version the ones between it
    and the installed one that no pin forbids. A newer version from elsewhere hides one for security, and so does one
    that this host cannot have.
    """
    return f"""\
export LC_ALL=C.UTF-8
simulated=$({SIMULATE} {upgrade} 2>&1); code=$?
printf '%s\\n' "$simulated"
held=$(apt-mark showhold 2>/dev/null)
printf '%s\\n' "$simulated" | awk '{_NEWER}' | grep -vxF "$held" | xargs -r apt-cache policy 2>/dev/null |
awk '{_BETWEEN}' | while read -r name before after version; do
    dpkg --compare-versions "$version" gt "$before" && dpkg --compare-versions "$version" lt "$after" || continue
    {SIMULATE} install --only-upgrade --no-remove "$name=$version" 2>/dev/null </dev/null |
        grep -F "Inst $name [" | sed 's/^/{_OLDER}/'
done"""


def updates(output: str) -> list[Update]:
    """Of a simulation."""
    return _updates(output.splitlines())


def hidden(output: str) -> list[Update]:
    """The newest update for security of each package whose newest version is not for security, or not for this host.

    Of what `asking` printed.
    """
    older = [line.removeprefix(_OLDER) for line in output.splitlines() if line.startswith(_OLDER)]
    whole = {update.name for update in updates(output) if update.security}
    newest: dict[str, Update] = {}
    for update in _updates(older):
        if update.security and update.name not in whole:
            newest.setdefault(update.name, update)
    return list(newest.values())


def kept_back(output: str) -> list[str]:
    """The packages that stay as they are, of a simulation."""
    names: list[str] = []
    listed = False
    for line in output.splitlines():
        if line.startswith("  "):
            names += line.split() if listed else []
        else:
            listed = re.search(_KEPT, line) is not None
    return sorted(names)


def _updates(lines: Iterable[str]) -> list[Update]:
    return [
        Update(match["name"], match["before"], match["after"], bool(_SECURITY.search(match["origins"])))
        for line in lines
        if (match := _INST.match(line))
    ]
