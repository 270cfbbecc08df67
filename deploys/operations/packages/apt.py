"""apt and dpkg."""

from __future__ import annotations

import shlex
from collections.abc import Sequence

from deploys.operations.packages.contract import Change, Offer, PackagesError
from kit import apt

_QUIETLY = """\
export DEBIAN_FRONTEND=noninteractive DEBIAN_PRIORITY=critical APT_LISTCHANGES_FRONTEND=none
export APT_LISTBUGS_FRONTEND=none NEEDRESTART_SUSPEND=1 NEEDRESTART_MODE=l UCF_FORCE_CONFFOLD=1 LC_ALL=C.UTF-8
"""
"""Nothing asks a question, nothing restarts services behind our back, files that were changed stay."""
_KEPT = "-o Dpkg::Options::=--force-confdef -o Dpkg::Options::=--force-confold"


class Apt:
    """Debian and Ubuntu."""

    def refresh(self) -> str:
        """Also a part of the lists that cannot be fetched is a failure: what it had would be missed."""
        return "LC_ALL=C.UTF-8 apt-get -qq -o APT::Update::Error-Mode=any -o DPkg::Lock::Timeout=120 update"

    def sane(self) -> str:
        """Packages half way, a dpkg that was killed, dependencies that are not met."""
        return (
            "export LC_ALL=C.UTF-8; dpkg --audit; "
            "[ -z \"$(ls /var/lib/dpkg/updates 2>/dev/null)\" ] || echo 'dpkg was interrupted'; "
            "apt-get -qq -o Debug::NoLocking=1 check 2>&1 || true"
        )

    def offered(self) -> str:
        """As `apt-get upgrade` sees it, which takes no package away, and defers what is rolled out in phases."""
        return f"{apt.asking('upgrade --with-new-pkgs')}\necho exit $code; apt-mark showhold"

    def parse_offered(self, output: str) -> Offer:
        """The simulation, and what is on hold."""
        simulated, _, held = output.rpartition("exit ")
        code, _, names = held.partition("\n")
        found = _simulated(simulated, code)
        holds = tuple(sorted(names.split()))
        kept = apt.kept_back(simulated)
        return Offer(
            found.changes,
            tuple(name for name in holds if name in kept),
            tuple(name for name in kept if name not in holds),
            found.removed,
            _changes(apt.hidden(simulated)),
        )

    def chosen(self, names: Sequence[str]) -> str:
        """With what they depend on."""
        return f"export LC_ALL=C.UTF-8; {apt.SIMULATE} install --only-upgrade {shlex.join(names)} 2>&1; echo exit $?"

    def parse_chosen(self, output: str) -> Offer:
        """The simulation."""
        simulated, _, code = output.rpartition("exit ")
        return _simulated(simulated, code)

    def exact(self, change: Change) -> str:
        """`name=version`."""
        return f"{change.name}={change.after}"

    def versions(self, names: Sequence[str]) -> str:
        """Each with dpkg's word on how it stands."""
        query = "dpkg-query -W -f '${db:Status-Abbrev} ${Version}' \"$name\" 2>/dev/null"
        return f'for name in {shlex.join(names)}; do printf \'%s %s\\n\' "$name" "$({query})"; done'

    def parse_versions(self, output: str) -> dict[str, str | None]:
        """`ii` and `hi` are wholly installed."""
        found: dict[str, str | None] = {}
        for line in output.splitlines():
            words = line.split()
            if words:
                whole = len(words) == 3 and words[1][1:] == "i"
                found[words[0]] = words[2] if whole else None
        return found

    def save(self, changes: Sequence[Change], folder: str) -> str:
        """From apt's cache, else from where it came, with which of them were installed for others' sake."""
        lines = [f"cd {shlex.quote(folder)}", "shown='${Package} ${Version}\\n'"]
        for change in changes:
            if change.before is not None:
                name = change.name.partition(":")[0]
                file = f"{name}_{change.before.replace(':', '%3a')}_"
                exact = shlex.quote(f"{change.name}={change.before}")
                lines.append(
                    f"cp -p /var/cache/apt/archives/{shlex.quote(file)}*.deb . 2>/dev/null || "
                    f"apt-get -qq -o APT::Sandbox::User=root download {exact} >/dev/null 2>&1 || true"
                )
        lines += [
            f"apt-mark showauto {shlex.join(change.name for change in changes)} >auto",
            'for file in *.deb; do [ ! -e "$file" ] || dpkg-deb -W --showformat="$shown" "$file"; done',
        ]
        return "\n".join(lines)

    def install(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """No more than was planned: the versions are named, and nothing may be taken away."""
        exact = shlex.join(self.exact(change) for change in changes if change.before is not None)
        return (
            f"{_QUIETLY}set -e\n"
            f"apt-get -y -q {_KEPT} -o DPkg::Lock::Timeout={wait} install --only-upgrade --no-remove {exact}\n"
            f"xargs -r apt-mark auto <{shlex.quote(folder)}/auto\n"
        )

    def undo(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """What dpkg was killed at is brought to an end first, as far as it goes: apt does nothing before that."""
        gone = shlex.join(f"{change.name}-" for change in changes if change.before is None)
        return (
            f"{_QUIETLY}"
            f"dpkg --force-confold --configure -a\n"
            "set -e\n"
            f"apt-get -y -q {_KEPT} -o DPkg::Lock::Timeout={wait} install --allow-downgrades "
            f"{shlex.quote(folder)}/*.deb {gone}\n"
            f"xargs -r apt-mark auto <{shlex.quote(folder)}/auto\n"
        )


def _simulated(output: str, code: str) -> Offer:
    lines = output.splitlines()
    if code.strip() != "0":
        raise PackagesError(next((line for line in lines if line.startswith("E:")), "apt-get did not say why"))
    gone = tuple(line.split()[1] for line in lines if line.startswith("Remv "))
    return Offer(_changes(apt.updates(output)), removed=gone)


def _changes(updates: Sequence[apt.Update]) -> tuple[Change, ...]:
    return tuple(Change(*update) for update in updates)


APT = Apt()
