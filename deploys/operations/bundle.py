"""What is known of a host, collected there and fetched."""

from __future__ import annotations

import base64
import binascii
import re
import time
from collections.abc import Sequence
from hashlib import sha256
from pathlib import Path
from shlex import quote

import msgspec
from pyinfra.api.host import Host

from deploys.kit.notes import Phase, Result, note
from deploys.operations.fail import StepError
from deploys.operations.run import run
from deploys.operations.write import write
from kit.files import write_durably
from kit.units import format_size

DEPLOYS = Path(__file__).resolve().parent.parent
PROGRAMS = ("onhost/collect.py", "rules/redact.py")
"""What is run there, below `deploys`."""
FOLDER = "hostward-debug.XXXXXX"
PLACES = ("/var/tmp", "/run")  # noqa: S108  # nosec B108
CHUNK = 4 * 2**20
"""Bytes that are fetched at a time."""
MOST = 32 * 2**20
"""Bytes of what one program says."""
PATIENCE = 60
"""Seconds for each program."""
SAID = {
    "status.json": "{program} status --json",
    "configuration.txt": "{program} config show",
    "configuration.json": "{program} config show --json",
    "jobs.json": "{program} jobs --json",
    "backups.json": "{program} backup status --json",
    "system.txt": "uname -a; uptime; date; cat /etc/os-release; free -m; tail -n 9 /proc/pressure/*",
    "processes.txt": "ps -e -o pid,ppid,user,stat,lstart,time,rss,pcpu,args --sort=-rss",
    "disks.txt": "df -hT; df -hi; lsblk; cat /proc/mounts",
    "units.txt": "systemctl --no-pager --failed; systemctl --no-pager list-units --all; "
    "systemctl --no-pager list-timers",
    "network.txt": "ip address; ip route; ss -tulpn",
    "packages.txt": "if command -v dpkg-query >/dev/null; then dpkg-query --show; else rpm -qa; fi",
    "journal-newest-first.txt": "journalctl --no-pager --reverse --since=@{since} --until=@{until} "
    "--output=short-iso-precise",
}
"""By name in the bundle, how it is asked for, what says most for its size first."""


class _Made(msgspec.Struct):
    """What deploys.onhost.collect says."""

    size: int
    digest: str
    files: list[str]
    left_out: list[str]


def fetch_bundle(
    host: Host, *, since: str, until: str, size: int, logs: Sequence[str], folder: Path, prefix: str
) -> None:
    """Collect, bring the bundle into `folder`, and leave nothing on the host.

    Raises StepError, and what deploys.operations.run raises.
    """
    # Of whole seconds: what happened in the last one belongs to the span.
    span = [_moment(host, since), _moment(host, until) + 1]
    place = _place(host, size)
    try:
        made = _collect(host, place, prefix=prefix, span=span, size=size, logs=logs)
        file = _fetch(host, place, made, folder)
    finally:
        run(host, f"rm -rf {quote(place)}", failing=f"{place} is still there")
    told = {"file": str(file), "size": made.size, "left_out": list(made.left_out)}
    without = f", without {', '.join(made.left_out)}" if made.left_out else ""
    note(host, Result(told, (f"{file}: {format_size(made.size)}{without}",)))


def _moment(host: Host, text: str) -> int:
    said = run(host, f"date --date={quote(text)} +%s", failing=f"{text!r} is no time")
    return int(said)


def _place(host: Host, size: int) -> str:
    """A new private folder where there is room, and none that a killed run left behind a day ago."""
    note(host, Phase("looks for room"))
    script = "umask 077; "
    for place in PLACES:
        script += (
            f"find {place} -maxdepth 1 -name 'hostward-debug.*' -user \"$(id -un)\" -mmin +1440 -exec rm -rf {{}} +; "
            f'if test "$(df --output=avail -B1 {place} | tail -n 1)" -gt {3 * size}; then '
            f"mktemp -d {place}/{FOLDER}; exit; fi; "
        )
    said = run(
        host,
        f"{script} echo 'there is no room on the host: ask for less by debug.size' >&2; exit 1",
        failing="nothing was collected",
    )
    return said.strip()


def _collect(host: Host, place: str, *, prefix: str, span: Sequence[int], size: int, logs: Sequence[str]) -> _Made:
    note(host, Phase("collects"))
    for program in PROGRAMS:
        write(host, f"{place}/deploys/{program}", (DEPLOYS / program).read_text(), mode=0o600)
    script = f"set -u; umask 077; cd {quote(place)}; mkdir said; "
    for name, asked in SAID.items():
        line = asked.format(program=f"{prefix}/current/bin/hostward", since=span[0], until=span[1])
        script += f"timeout {PATIENCE} sh -c {quote(line)} </dev/null 2>&1 | head -c {min(MOST, size)} >said/{name}; "
    run(host, script, failing="what programs say could not be kept", timeout=len(SAID) * PATIENCE + PATIENCE)
    plan = msgspec.json.encode({"size": size, "since": span[0], "logs": list(logs), "said": list(SAID)}).decode()
    python = quote(f"{prefix}/current/bin/python")
    said = run(
        host,
        f"cd {quote(place)} && python={python} && {{ test -x $python || python=python3; }} && "
        "$python -s -m deploys.onhost.collect",
        failing="what was collected could not be put together",
        input=plan,
    )
    try:
        made = msgspec.json.decode(said, type=_Made)
    except msgspec.DecodeError as error:
        raise StepError(f"what was collected is not told as expected: {error}", "left_alone") from None
    # The host says how much this machine shall take.
    if not 0 <= made.size <= size:
        raise StepError(f"the bundle is of {made.size} bytes; expected at most {size}", "left_alone")
    return made


def _fetch(host: Host, place: str, made: _Made, folder: Path) -> Path:
    """By a command's output: what pyinfra fetches by itself lies in a folder for all on its way."""
    note(host, Phase("fetches the bundle"))
    whole = bytearray()
    while len(whole) < made.size:
        said = run(
            host,
            f"tail -c +{len(whole) + 1} {quote(place)}/bundle.tar.gz | head -c {CHUNK} | base64 -w 0",
            failing="the bundle could not be fetched",
        )
        try:
            some = base64.b64decode(said, validate=True)
        except binascii.Error:
            some = b""
        if not 0 < len(some) <= CHUNK:
            break
        whole += some
    if sha256(whole).hexdigest() != made.digest:
        raise StepError("the bundle did not arrive as it was made", "left_alone")
    name = re.sub(r"[^A-Za-z0-9._-]", "_", host.name).lstrip(".") or "host"
    file = folder / f"{name}-{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}.tar.gz"
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_durably(file, bytes(whole), mode=0o600)
    except OSError as error:
        raise StepError(f"{file} could not be written: {error.strerror}", "left_alone") from None
    return file
