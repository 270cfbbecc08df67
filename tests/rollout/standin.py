"""Speaks as the process of a wave does, for tests of the runner: what it does with hosts stands in files.

Started by its path, with the standard library alone. `hosts.json` are the hosts; a file `bad-NAME`, `away-NAME`,
`lazy-NAME` or `worse-NAME` says what is wrong with one, and `waits` (until it is removed), `slow`, `dies`,
`reboots`, `forgets`, `unchanged` what is with all; with `loses` a host that may reboot does not before it lost its
leave. `hangs` names the task that hangs. When the inventory cannot be had is what `refuses` says: `now`, or `later`,
for hosts that come after others; with `exits` its program ends the process.
"""

from __future__ import annotations

import json
import os
import sys
import time
from pathlib import Path
from typing import Any

failures = 0


def say(kind: str, **fields: object) -> None:
    sys.stdout.write(json.dumps({"type": kind, **fields}) + "\n")
    sys.stdout.flush()


def deploy(folder: Path, host: str) -> None:
    if (folder / f"away-{host}").exists():
        say("ended", host=host, state="unreachable", message=f"{host} cannot be reached")
        return
    say("began", host=host)
    with (folder / "ran").open("a") as file:
        file.write(host + "\n")
    if (folder / "dies").exists():
        os._exit(9)
    while (folder / "waits").exists():
        time.sleep(0.02)
    if (folder / "slow").exists():
        sys.stdin.read()
        os._exit(70)
    if (folder / "reboots").exists():
        say("ask", number=1, host=host, what="reboot")
        answer = json.loads(sys.stdin.readline())
        if (folder / "loses").exists():
            say("phase", host=host, text="has leave")
            while json.loads(sys.stdin.readline())["granted"]:
                pass
            say("give_back", number=1)
            say("phase", host=host, text="lost its leave")
            say("ask", number=2, host=host, what="reboot")
            answer = json.loads(sys.stdin.readline())
            say("give_back", number=2)
        say("give_back", number=1)
        if not answer["granted"]:
            say("ended", host=host, state="failed", message=answer["reason"], outcome="left_alone")
            return
    say("phase", host=host, text="install")
    if (folder / f"bad-{host}").exists():
        global failures
        failures += 1
        say("ended", host=host, state="failed", message="it is\x1b[2J broken", outcome="rolled_back")
        return
    say("versions", host=host, before={"shop": "1"}, after={"shop": "2"})
    changed = 0 if (folder / "unchanged").exists() else 1
    say("ended", host=host, state="done", changed=changed, data={"asked": host}, lines=[f"{host} was asked"])


def gate(folder: Path, host: str) -> None:
    ran = (folder / "ran").exists() and host in (folder / "ran").read_text().split()
    state = "critical" if ran and (folder / f"worse-{host}").exists() else "ok"
    when = now = time.time()
    lazy = folder / f"lazy-{host}"
    if lazy.exists() and ran:
        # Its check runs again when it was looked at some times.
        with lazy.open("a") as file:
            file.write("looked\n")
        when = now if lazy.read_text().count("looked") > 3 else now - 1
    check = {"name": "shop", "state": state, "message": "m", "time": when}
    say("health", host=host, reachable=True, installed=True, running=True, time=now, checks=[check])


def refuses(folder: Path, hosts: list[str]) -> bool:
    when = (folder / "refuses").read_text() if (folder / "refuses").exists() else ""
    ran = (folder / "ran").read_text().split() if (folder / "ran").exists() else []
    return when == "now" or (when == "later" and bool(ran) and not set(hosts) & set(ran))


def main() -> None:
    for line in sys.stdin:
        order = json.loads(line)
        if order["type"] == "order":
            carry_out(order)
            say("told")


def carry_out(order: dict[str, Any]) -> None:
    global failures
    failures = 0
    os.dup2(os.open(order["log"], os.O_WRONLY | os.O_CREAT | os.O_APPEND), 2)
    folder = Path(order["folder"])
    print("what libraries print", file=sys.stderr)
    known = json.loads((folder / "hosts.json").read_text())
    if order["inventory"].endswith("missing.py"):
        say("refused", message="the inventory missing.py cannot be read")
        return
    if order["task"] == "gate" and (folder / "ran").exists() and (folder / "forgets").exists():
        (folder / "forgets").unlink()
        say("refused", message="home cannot be asked for its hosts")
        return
    if (folder / "hangs").exists() and order["task"] == (folder / "hangs").read_text():
        sys.stdin.read()
    if order["task"] in ("deploy", "gate") and refuses(folder, order["hosts"]):
        if (folder / "exits").exists():
            os._exit(9)
        say("refused", message="home cannot be asked for its hosts: HTTP 503")
        return
    if order["task"] == "describe":
        for name, groups, zone in known:
            known_as = "shop" if (folder / "alike").exists() else f"{name}.example.net"
            say("described", host=name, groups=groups, zone=zone, known_as=known_as)
        return
    if order["task"] == "deploy" and order["look"]:
        for host in order["look"]:
            gate(folder, host)
        say("looked")
        if not sys.stdin.readline():
            os._exit(70)
    for host in order["hosts"]:
        match order["task"]:
            case "deploy" if order["parallel"] and failures > order["failures"]:
                say("spared", host=host)
            case "deploy":
                deploy(folder, host)
            case "gate":
                gate(folder, host)
            case "dry":
                say("planned", host=host, operation="work", diff="+new" if order["diff"] else "")
                say("ended", host=host, state="done")


main()
