"""dnf 4 and rpm."""

from __future__ import annotations

import re
import shlex
from collections.abc import Sequence

from deploys.operations.packages.contract import Change, Offer, PackagesError

_ROW = re.compile(r"(?P<name>[A-Za-z0-9][\w.+-]*)\.(?P<arch>[a-z0-9_]+)\s+(?P<version>\S+)\s+(?P<repository>\S+)")
"""Of `check-update`."""
_MARK = "== "
_HEADINGS = {
    "Upgrading:": "change",
    "Installing:": "change",
    "Installing dependencies:": "change",
    "Installing weak dependencies:": "change",
    "Removing:": "remove",
    "Removing dependent packages:": "remove",
    "Removing unused dependencies:": "remove",
}
_LOCKED = 200
"""How dnf ends when another one is at work, and it was told not to wait for it."""


class Dnf:
    """Red Hat's, its rebuilds, and Fedora before 41."""

    def __init__(self, root: str = "") -> None:
        """`root` is the folder of another system, whose own configuration then counts; '' for this one."""
        self._dnf = "LC_ALL=C.UTF-8 dnf"
        self._rpm = "LC_ALL=C.UTF-8 rpm"
        if root:
            quoted = shlex.quote(root)
            self._dnf += f" --installroot={quoted} --setopt=reposdir={quoted}/etc/yum.repos.d --releasever=1"
            self._rpm += f" --root={quoted}"
        self._root = root

    def refresh(self) -> str:
        """Metadata of all repositories."""
        return f"{self._dnf} -q --setopt=skip_if_unavailable=False makecache --refresh"

    def sane(self) -> str:
        """A database that cannot be read, and dependencies that are not met."""
        check = f"{self._dnf} -q --cacheonly check --dependencies --duplicates"
        return f"{self._rpm} -qa 2>&1 >/dev/null; {check} 2>&1 || true"

    def offered(self) -> str:
        """With what is installed, for `check-update` does not tell; and versions that are locked."""
        return "\n".join(
            [
                f"{self._dnf} -q --cacheonly check-update 2>&1; echo '{_MARK}'$?",
                f"{self._dnf} -q --cacheonly --security check-update 2>&1; echo '{_MARK}'$?",
                f"{self._installed()}; echo '{_MARK}'$?",
                f"cat {self._root}/etc/dnf/plugins/versionlock.list 2>/dev/null; true",
            ]
        )

    def parse_offered(self, output: str) -> Offer:
        """Its four parts."""
        parts, codes = _parts(output)
        if len(parts) != 4 or codes[0] not in ("0", "100") or codes[1] not in ("0", "100"):
            said = [line for line in output.splitlines() if line.strip() and not line.startswith(_MARK)]
            failed = (line for line in said if line.lower().startswith(("error:", "config error:")))
            raise PackagesError(next(failed, next(iter(said), "dnf did not say why")))
        security = dict(_updates(parts[1]))
        installed = self.parse_versions("\n".join(parts[2]))
        newest = dict(_updates(parts[0]))
        changes = [Change(name, installed.get(name), to, security.get(name) == to) for name, to in newest.items()]
        hidden = [
            Change(name, installed.get(name), to, security=True)
            for name, to in security.items()
            if name in newest and newest[name] != to
        ]
        locks = [line.strip() for line in parts[3] if line.strip() and not line.lstrip().startswith(("#", "!"))]
        return Offer(tuple(changes), held=tuple(sorted(locks)), hidden=tuple(hidden))

    def chosen(self, names: Sequence[str]) -> str:
        """The table that dnf shows before it asks."""
        return (
            f"{self._installed()}; echo '{_MARK}'$?\n"
            f"{self._dnf} --cacheonly --assumeno upgrade {shlex.join(names)} 2>&1; echo '{_MARK}'$?"
        )

    def parse_chosen(self, output: str) -> Offer:
        """A long name makes a row go on in the next line: so what counts is words, six for each package."""
        parts, codes = _parts(output)
        text = parts[1] if len(parts) > 1 else []
        aborted = any(line.startswith("Operation aborted") for line in text)
        if len(codes) != 2 or (codes[1] != "0" and not aborted):
            raise PackagesError(next((line for line in text if line.startswith("Error")), "dnf did not say why"))
        installed = self.parse_versions("\n".join(parts[0]))
        words: dict[str, list[str]] = {"change": [], "remove": []}
        heading = None
        for line in text:
            if line.rstrip() in _HEADINGS:
                heading = _HEADINGS[line.rstrip()]
            elif not line.startswith(" "):
                heading = None
            elif heading and not line.lstrip().startswith("replacing "):
                words[heading] += line.split()
        rows = [words["change"][start : start + 6] for start in range(0, len(words["change"]), 6)]
        changes = [Change(f"{row[0]}.{row[1]}", installed.get(f"{row[0]}.{row[1]}"), row[2]) for row in rows]
        return Offer(tuple(changes), removed=tuple(words["remove"][::6]))

    def exact(self, change: Change) -> str:
        """`name-epoch:version-release.arch`."""
        name, _, arch = change.name.rpartition(".")
        return f"{name}-{change.after}.{arch}"

    def versions(self, names: Sequence[str]) -> str:
        """Of those that are installed."""
        return f"{self._installed(names)}; true"

    def parse_versions(self, output: str) -> dict[str, str | None]:
        """`name.arch version`; dnf leaves an epoch of 0 out, and so does this."""
        found: dict[str, str | None] = {}
        for line in output.splitlines():
            words = line.split()
            if len(words) == 2:
                found[words[0]] = words[1].removeprefix("0:")
            elif "is not installed" in line:
                found[words[1]] = None
        return found

    def save(self, changes: Sequence[Change], folder: str) -> str:
        """`reinstall` fetches the version that is installed, where a repository still has it."""
        lines = [f"cd {shlex.quote(folder)}"]
        for change in changes:
            if change.before is not None:
                name, _, arch = change.name.rpartition(".")
                exact = shlex.quote(f"{name}-{change.before}.{arch}")
                lines.append(
                    f"{self._dnf} -q -y --downloadonly --downloaddir={shlex.quote(folder)} reinstall {exact} "
                    ">/dev/null 2>&1 || true"
                )
        query = "%{NAME}.%{ARCH} %{EPOCHNUM}:%{VERSION}-%{RELEASE}\\n"
        lines.append(
            f'for file in *.rpm; do [ ! -e "$file" ] || rpm -qp --nosignature --qf \'{query}\' "$file"; done'
        )
        return "\n".join(lines)

    def install(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """dnf waits for others without an end; so it is told not to, and asked again."""
        exact = shlex.join(self.exact(change) for change in changes if change.before is not None)
        return _waiting(f"{self._dnf} -y --setopt=exit_on_lock=True --cacheonly upgrade {exact}", wait)

    def undo(self, changes: Sequence[Change], folder: str, wait: int) -> str:
        """From files, so that no repository is asked."""
        dnf = f"{self._dnf} -y --setopt=exit_on_lock=True"
        gone = [change.name for change in changes if change.before is None]
        lines = _waiting(f"{dnf} --cacheonly --allowerasing downgrade {shlex.quote(folder)}/*.rpm", wait)
        return lines + _waiting(f"{dnf} remove {shlex.join(gone)}", wait) if gone else lines

    def _installed(self, names: Sequence[str] = ()) -> str:
        what = f"-q {shlex.join(names)}" if names else "-qa"
        return f"{self._rpm} {what} --qf '%{{NAME}}.%{{ARCH}} %{{EPOCHNUM}}:%{{VERSION}}-%{{RELEASE}}\\n'"


def _waiting(command: str, wait: int) -> str:
    return (
        f"left={wait}\nwhile :; do\n    code=0\n    {command} || code=$?\n"
        f'    [ "$code" = {_LOCKED} ] && [ "$left" -gt 0 ] || break\n    sleep 5; left=$((left - 5))\n'
        'done\n[ "$code" = 0 ] || exit "$code"\n'
    )


def _parts(output: str) -> tuple[list[list[str]], list[str]]:
    parts: list[list[str]] = [[]]
    codes = []
    for line in output.splitlines():
        if line.startswith(_MARK):
            codes.append(line.removeprefix(_MARK).strip())
            parts.append([])
        else:
            parts[-1].append(line)
    return parts, codes


def _updates(lines: Sequence[str]) -> list[tuple[str, str]]:
    """Name and version, of the rows before those of what is obsolete."""
    found = []
    for line in lines:
        if line.startswith("Obsoleting Packages"):
            break
        if match := _ROW.fullmatch(line.strip()):
            found.append((f"{match['name']}.{match['arch']}", match["version"]))
    return sorted(found)


DNF = Dnf()
