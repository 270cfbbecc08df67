"""Asks, once a day, whether a locked package has a known vulnerability. `make lint` runs it; a finding fails.

The vulnerability service is on the network. Where it does not answer, or does not know the packages (a mirror in
its place), nothing was audited: that is said loudly, and is no failure.
"""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
STAMP = Path(sys.prefix) / "audit.stamp"
"""What was audited without a finding, and when."""
FRESH = 86_400.0
"""Seconds for which an audit of the same locks holds."""
LIMIT = 90.0
"""Seconds that an audit may take."""


def main() -> int:
    """0 also where nothing could be audited; 1 for a vulnerability."""
    locks = sorted([*HERE.glob("*.txt"), *HERE.glob("extras/*.txt")])
    digest = hashlib.sha256(b"".join(lock.read_bytes() for lock in locks)).hexdigest()
    if STAMP.exists() and STAMP.read_text() == digest and 0 <= time.time() - STAMP.stat().st_mtime < FRESH:
        return 0
    answer = ask(locks)
    vulnerable, unknown, known = judge(answer.get("dependencies", []))
    for line in vulnerable:
        print(line, file=sys.stderr)
    if vulnerable:
        return 1
    if unknown or not known:
        why = answer.get("error") or f"the service does not know {', '.join(unknown[:3])}…"
        print(
            "*" * 79,
            f"NOT AUDITED for known vulnerabilities: {len(unknown) or 'all'} packages.",
            f"Run `make lint` where the service can be reached. ({why})",
            "*" * 79,
            sep="\n",
            file=sys.stderr,
        )
        return 0
    STAMP.write_text(digest)
    return 0


def ask(locks: Iterable[Path]) -> dict[str, Any]:
    """What pip-audit says as JSON, or why it says nothing."""
    command = [sys.executable, "-m", "pip_audit", "--disable-pip", "--require-hashes", "--format", "json"]
    command += ["--progress-spinner", "off", "--timeout", "10"]
    command += [word for lock in locks for word in ("--requirement", str(lock))]
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=LIMIT)
    except subprocess.TimeoutExpired:
        return {"error": f"no answer within {LIMIT:.0f} s"}
    try:
        found: dict[str, Any] = json.loads(done.stdout)
    except ValueError:
        return {"error": (done.stderr.strip().splitlines() or ["it said nothing"])[-1]}
    return found


def judge(dependencies: Iterable[Mapping[str, Any]]) -> tuple[list[str], list[str], list[str]]:
    """A line for each vulnerability; the packages that were not audited; those that were."""
    vulnerable: list[str] = []
    unknown: list[str] = []
    known: list[str] = []
    for package in dependencies:
        (unknown if "skip_reason" in package else known).append(package["name"])
        for found in package.get("vulns", []):
            fixed = ", ".join(found.get("fix_versions", [])) or "no version yet"
            vulnerable.append(f"{package['name']} {package['version']}: {found['id']}, fixed in {fixed}")
    return vulnerable, unknown, known


if __name__ == "__main__":
    sys.exit(main())
