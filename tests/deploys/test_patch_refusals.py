"""Hosts that are left alone, each for its reason. Hosts are simulated: nothing is asked for that changes one."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.deploys.support import BIN, REPOSITORY, environment

STATUS: dict[str, Any] = {
    "time": 1000.0,
    "agent": {"running": True},
    "problem": None,
    "checks": [{"name": "web", "state": "ok"}, {"name": "updates", "state": "critical"}],
}
JOB = {"name": "files", "enabled": True, "running_since": None, "last_success": 990.0, "last_verified": 990.0}
SURVEY: dict[str, Any] = {
    "manager": "apt",
    "systemd": True,
    "root": True,
    "boot": "b",
    "uptime": 100.0,
    "space": {"/": {"free": 10**9, "size": 4096}, "/boot": None, "/var": None},
    "installed": True,
    "status": STATUS,
    "backups": {"jobs": [JOB]},
    "reboot": False,
    "kernels": "6.1.0-18-amd64",
    "record": None,
    "lease": None,
    "going": False,
}
WELL = {"status": {**STATUS, "checks": [{"name": "web", "state": "ok"}]}}
UPDATE = "Inst shop [1.0] (1.1 Debian-Security:12/stable-security [all])\nexit 0\n"
CRITICAL = {**STATUS, "checks": [{"name": "web", "state": "critical"}]}


def responses(survey: Mapping[str, Any], more: Mapping[str, object]) -> dict[str, object]:
    """What a simulated host answers; `more` comes first, and outweighs."""
    return {
        **more,
        "unit=hostward-patch": json.dumps({**SURVEY, **survey}),
        "--with-new-pkgs": UPDATE,
        "--only-upgrade shop=1.1 2>&1": UPDATE,
        "date +%s": "1000",
        **more,
    }


CASES: dict[str, tuple[Mapping[str, Any], Mapping[str, object], Mapping[str, Any], str]] = {
    "rights": ({"root": False}, {}, {}, "the rights of root are needed: set _sudo in the host's data"),
    "disk": ({"space": {"/": {"free": 1, "size": 4096}}}, {}, {}, "/ has 4KiB free, 200MiB are wanted"),
    "dpkg": (
        {},
        {"dpkg --audit": "dpkg was interrupted"},
        {},
        "the database of packages is not sane: dpkg was interrupted",
    ),
    "noagent": ({"installed": False, "status": None}, {}, {}, "the agent is not installed"),
    "stopped": ({"status": {**STATUS, "agent": {"running": False}}}, {}, {}, "the agent does not run"),
    "critical": ({"status": CRITICAL}, {}, {}, "the agent's check web is critical"),
    "leased": (
        {"lease": {"holder": "patch by somebody@else", "until": 101.0, "boot": "b"}},
        {},
        {},
        "somebody else is at work on it: patch by somebody@else",
    ),
    "unknown": (
        {},
        {"--only-upgrade nonsense": "E: Unable to locate package nonsense\nexit 100"},
        {"packages": ["nonsense"]},
        "the package manager failed: E: Unable to locate package nonsense",
    ),
    "away": (
        {},
        {"update": {"success": False, "stderr": "E: Failed to fetch file:/x"}},
        {},
        "the lists of packages could not be fetched: E: Failed to fetch file:/x",
    ),
    "removes": (
        {},
        {"--only-upgrade shop=1.1": f"Remv old [1.0]\n{UPDATE}"},
        {},
        "old would be removed",
    ),
    "option": ({}, {}, {"reboot_limit": 0}, "patch.reboot_limit: expected a number above 0"),
    "lonely": ({}, {}, {"peers": {"group": "pair", "healthy": 1}}, "0 other hosts of pair are healthy, 1 are wanted"),
    "among": ({}, {}, {"peers": {"group": "busy", "healthy": 2}}, "1 other hosts of busy are healthy, 2 are wanted"),
    "jobless": ({"backups": {"jobs": []}}, {}, {"backup": {"required": True}}, "no backup job is configured there"),
    "unverified": (
        {"backups": {"jobs": [{**JOB, "last_verified": None}]}},
        {},
        {},
        "the backup files ran, and is not fresh and verified all the same; its job does not verify: expected "
        "verify = true in its table",
    ),
    "going": ({"going": True}, {}, {}, "packages are being changed there, and nothing is on record of it"),
    "reboot": (
        {"reboot": True, "status": CRITICAL},
        {"--with-new-pkgs": "exit 0\n"},
        {"reboot": True},
        "the agent's check web is critical",
    ),
    "gone": ({}, {}, {}, "could not be put back, for no repository has them any more: shop 1.0"),
}


def test_a_host_is_left_alone_and_says_why(tmp_path: Path) -> None:
    """One run over all of them; what is told of each is its own."""
    hosts = [
        (
            f"@fake/{name}",
            {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": responses(survey, more), "patch": patch},
        )
        for name, (survey, more, patch, _) in CASES.items()
    ]
    hosts.append(
        (
            "@fake/sick",
            {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": responses({"status": CRITICAL}, {})},
        )
    )
    busy: dict[str, dict[str, Any]] = {
        "quiet": {},
        "patched": {"record": {"phase": "installing"}},
        "held": {"lease": {"holder": "agent by me@here", "until": 101.0, "boot": "b"}},
        "changing": {"going": True},
    }
    hosts += [
        (
            f"@fake/{name}",
            {"fake_delay": 0, "fake_delay_jitter": 0, "fake_responses": responses({**WELL, **survey}, {})},
        )
        for name, survey in busy.items()
    ]
    path = tmp_path / "inventory.py"
    groups = f"pair = ['@fake/lonely', '@fake/sick']\nbusy = {[f'@fake/{name}' for name in busy]!r}\n"
    path.write_text(f"all = ({hosts!r}, {{}})\n{groups}")
    said = {}
    for name in CASES:
        said[name] = run(path, f"@fake/{name}") if name == "option" else ""
    rest = run(path, *(f"@fake/{name}" for name in CASES if name != "option"))
    for name, (_, _, _, reason) in CASES.items():
        lines = said[name] or "\n".join(line for line in rest.splitlines() if f"[@fake/{name}]" in line)
        assert reason in lines, f"{name}: {lines or rest}"
    assert "Traceback" not in rest


def run(inventory: Path, *names: str) -> str:
    """What pyinfra prints."""
    limits = [word for name in names for word in ("--limit", name)]
    done = subprocess.run(
        [str(BIN / "pyinfra"), str(inventory), "deploys/patch.py", "-y", *limits],
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert done.returncode == 1
    return done.stdout + done.stderr
