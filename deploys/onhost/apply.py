"""Brings a release and its files into force on a host, watches the agent, and puts all of it back where that fails.

It runs in a unit of its own, so that it ends well also when the administrator's machine or the connection does not.
What was there before is on the disk (`before.json`) until it is judged: whoever finds that file, after a power cut
say, starts this again, and it is put back.

`python3 -m deploys.onhost.apply FOLDER`: FOLDER/plan.json says what to do (`Plan` in deploys/operations/release.py),
and FOLDER/result.json afterwards what became of it.
"""

from __future__ import annotations

import contextlib
import json
import shutil
import sys
import time
from pathlib import Path
from typing import Any

from deploys.onhost.course import Steps, carry_out
from deploys.onhost.parts import (
    ApplyError,
    change_back,
    copy_state,
    exchange,
    has_user,
    kept,
    link,
    put,
    quiet,
    run,
    schema_of,
    succeeds,
    target_of,
    tidy,
    write,
)

STATE = Path("/var/lib/hostward")
SYSTEM = Path("/etc/systemd/system")
AGENT = "hostward-agent.service"
COMMAND = "import sys; from agent.cli.main import main; sys.exit(main(sys.argv[1:]))"
OTHERS = ("hostward-logs.service", "hostward-backup-watch@*.service")
"""What else may run of the release."""


def main(folder: Path) -> None:
    """Do what the plan says, after putting back what a run before did not bring to its end."""
    carry_out(folder, Steps(check, remember, apply, watch, put_back, forget, tidy))


def check(plan: dict[str, Any], folder: Path) -> None:
    """What can be known before anything is touched. Raises ApplyError."""
    prefix = Path(plan["prefix"])
    environment = prefix / (f".{plan['version']}.new" if plan["built"] else plan["version"])
    # Its programs name the place where it will be. Isolated: nothing here is to be taken for a part of it.
    python = [str(environment / "bin/python"), "-I", "-c"]
    if plan["release"] and STATE.joinpath("agent.db").exists():
        known = int(run([*python, "from agent import state; print(len(state.MIGRATIONS))"]))
        schema = schema_of(STATE / "agent.db")
        if schema > known:
            raise ApplyError(
                f"{STATE}/agent.db was written by a newer Hostward (schema {schema}, {plan['version']} knows "
                f"{known}): its agent would not start. To go back all the same, stop the agent and move agent.db "
                "away: what it has not reported is lost then"
            )
    trial = folder / "trial"
    shutil.rmtree(trial, ignore_errors=True)
    texts = {file["path"]: file["text"] for file in plan["files"]}
    toml = [path for path in texts if path.endswith(".toml")]
    if not toml:
        return
    # The configuration as it will be, beside the one that is.
    (trial / "agent.d").mkdir(mode=0o700, parents=True)
    for path in {*map(str, Path("/etc/hostward").glob("agent.d/*.toml")), "/etc/hostward/agent.toml", *toml}:
        text = texts[path] if path in texts else Path(path).read_text() if Path(path).exists() else None
        if text is not None:
            (trial / path.removeprefix("/etc/hostward/")).write_text(text)
    file = trial / "agent.toml"
    file.touch()
    try:
        run([*python, COMMAND, "config", "check", "--config", str(file)])
    except ApplyError as error:
        said = str(error).partition("hostward: ")[2] or str(error)
        raise ApplyError(f"the configuration has mistakes: {said.replace(f'{trial}/', '')}") from None
    finally:
        shutil.rmtree(trial)


def remember(plan: dict[str, Any], folder: Path) -> None:
    """Have on the disk what is needed to put all back."""
    prefix = Path(plan["prefix"])
    units = [*dict.fromkeys([AGENT, *plan["enable"]])]
    current = prefix / "current"
    paths = [file["path"] for file in plan["files"]]
    before: dict[str, Any] = {
        "prefix": plan["prefix"],
        "version": plan["version"],
        "built": plan["built"],
        "release": plan["release"],
        "restart": plan["restart"],
        "current": target_of(current),
        "replaces": (prefix / plan["version"]).exists() and plan["built"],
        "files": [kept(path) for path in paths],
        "links": {path: target_of(Path(path)) for path in plan["links"]},
        "active": [unit for unit in units if succeeds(["systemctl", "is-active", "--quiet", unit])],
        "enabled": [unit for unit in units if succeeds(["systemctl", "is-enabled", "--quiet", unit])],
        "enable": plan["enable"],
        "users": [name for name in ("hostward", "hostward-scratch") if not has_user(name)],
        "state": STATE.exists(),
        "schema": None,
    }
    plan["acknowledges"] = reports(prefix)
    write(folder / "before.json", json.dumps(before), 0o600)
    if plan["release"] and (STATE / "agent.db").exists():
        # While nobody writes to it. A newer version may leave it so that the older one does not know it.
        run(["systemctl", "stop", AGENT])
        copy_state(STATE, folder / "state")
        before["schema"] = schema_of(folder / "state/agent.db")
        write(folder / "before.json", json.dumps(before), 0o600)


def apply(plan: dict[str, Any], folder: Path) -> None:
    """Have it so. Raises ApplyError."""
    prefix = Path(plan["prefix"])
    plan["since"] = time.time()
    if plan["built"]:
        exchange(prefix, plan["version"])
    if plan["release"]:
        link(prefix / "current", plan["version"])
    for path, target_path in plan["links"].items():
        link(Path(path), target_path)
    run(["sh", "-e", "-c", plan["accounts"]])
    for file in plan["files"]:
        put(file)
    if any(file["path"].startswith(str(SYSTEM)) for file in plan["files"]):
        run(["systemctl", "daemon-reload"])
    if plan["enrol"]:
        enrol(plan["enrol"], prefix, folder)
    if plan["enable"]:
        run(["systemctl", "enable", "--quiet", *plan["enable"]])
    if plan["restart"]:
        plan["since"] = time.time()
        # Whether it comes up is for `watch` to see: systemd tries more than once.
        run(["systemctl", "restart", "--no-block", *plan["enable"]])
        if plan["release"]:
            # Home is none of them: its own deploy restarts it.
            quiet(["systemctl", "try-restart", *OTHERS])
    elif plan["reload"]:
        run(["systemctl", "reload-or-restart", AGENT])


def enrol(asked: dict[str, str], prefix: Path, folder: Path) -> None:
    """Make the host known to home. What is known already stays as it is."""
    ca = folder / "ca.pem"
    write(ca, asked["ca"], 0o600)
    words = ["enroll", "--collector", asked["url"], "--ca", str(ca), "--token-file", "-"]
    if asked["name"]:
        words += ["--name", asked["name"]]
    try:
        run([str(prefix / "current/bin/hostward"), *words], input=asked["token"])
    finally:
        ca.unlink()


def watch(plan: dict[str, Any]) -> None:
    """Until the agent has checked in healthy. Raises ApplyError when it has not in time."""
    if not plan["watch"]:
        return
    end = time.monotonic() + plan["patience"]
    while why := ill(plan):
        if time.monotonic() >= end:
            raise ApplyError(f"the agent did not check in healthy within {plan['patience']:.0f} s: {why}")
        time.sleep(0.5)


def ill(plan: dict[str, Any]) -> str | None:
    """Why the agent is not healthy yet, or None."""
    since = plan["since"]
    status = ask(Path(plan["prefix"]))
    if status is None or not status["agent"]["running"] or not succeeds(["systemctl", "is-active", "--quiet", AGENT]):
        said = quiet(
            ["journalctl", "--quiet", "--no-pager", f"_SYSTEMD_UNIT={AGENT}", "-n", "1", "-o", "cat"]
        ).strip()
        return f"it does not run{f': {said}' if said else ''}"
    if status["agent"]["version"] != plan["version"]:
        return f"version {status['agent']['version']} runs"
    checks = status["checks"]
    if wrong := next((found for found in checks if found["name"] == "config" and found["state"] != "ok"), None):
        return f"it refuses its configuration: {wrong['message']}"
    # Those that a reload did not change run when they are due, which may be tomorrow.
    if not any(found["time"] >= since for found in checks if plan["reload"] or found["name"] != "config"):
        return "no check has run since"
    home = status["home"]
    if home is not None and plan["acknowledges"] and (home["last_acknowledged"] or 0) < since:
        return f"home has acknowledged no report since{': ' + home['error'] if home['error'] else ''}"
    return None


def reports(prefix: Path) -> bool:
    """Whether home took reports until now; a home that was away before is not this change's doing."""
    status = ask(prefix) if (prefix / "current").exists() else None
    return not (status and status["home"] and status["home"]["error"])


def put_back(folder: Path) -> None:
    """As it was. Doing it again changes nothing. Raises ApplyError."""
    before = json.loads((folder / "before.json").read_text())
    prefix, version = Path(before["prefix"]), before["version"]
    failed: list[str] = []
    if before["release"] or before["current"] is None:
        quiet(["systemctl", "stop", AGENT])
    if before["current"] is not None:
        link(prefix / "current", before["current"])
    else:
        (prefix / "current").unlink(missing_ok=True)
    if before["built"]:
        change_back(prefix, version, was_there=before["replaces"])
    for unit in before["enable"]:
        if unit not in before["enabled"]:
            quiet(["systemctl", "disable", "--quiet", "--now", unit])
    for file in before["files"]:
        put(file)
    for path, target_path in before["links"].items():
        if target_path is None:
            Path(path).unlink(missing_ok=True)
        else:
            link(Path(path), target_path)
    if before["schema"] is not None and schema_of(STATE / "agent.db") > before["schema"]:
        # The agent finds that numbers are missing, and begins a new epoch: home takes none of them twice.
        copy_state(folder / "state", STATE)
    if before["current"] is None:
        unmake(before)
    quiet(["systemctl", "daemon-reload"])
    for unit in before["active"]:
        run(["systemctl", "reset-failed", unit], failed)
        run(["systemctl", "restart" if before["restart"] else "reload-or-restart", unit], failed)
    if before["release"]:
        quiet(["systemctl", "try-restart", *OTHERS])
    if failed:
        raise ApplyError("; ".join(failed))
    forget(folder)


def unmake(before: dict[str, Any]) -> None:
    """What a first installation made beside its files; who the host is to home stays, once home knows it."""
    with contextlib.suppress(OSError):
        Path(before["prefix"]).rmdir()
    if (STATE / "identity.json").exists():
        return
    if not before["state"]:
        shutil.rmtree(STATE, ignore_errors=True)
    for folder in ("/etc/hostward/credentials", "/etc/hostward/agent.d", "/etc/hostward"):
        with contextlib.suppress(OSError):
            Path(folder).rmdir()
    for name in before["users"]:
        quiet(["userdel", name])


def forget(folder: Path) -> None:
    """It is judged, and is not put back any more."""
    (folder / "before.json").unlink()
    shutil.rmtree(folder / "state", ignore_errors=True)


def ask(prefix: Path) -> dict[str, Any] | None:
    """What `hostward status --json` says; None where it says nothing."""
    said = quiet([str(prefix / "current/bin/hostward"), "status", "--json"])
    try:
        found: dict[str, Any] = json.loads(said)
    except ValueError:
        return None
    return found


if __name__ == "__main__":
    main(Path(sys.argv[1]))
