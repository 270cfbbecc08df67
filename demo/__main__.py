"""`make demo`: needs no root and no configuration, takes free ports, keeps its data in one folder that it names."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import signal
import ssl
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from demo import tether

BIN = Path(sys.executable).parent
START = 15.0
"""Seconds that each part may take to come up."""


class DemoError(Exception):
    """The demo cannot go on; the message says why, and where the log is."""


@dataclass(frozen=True)
class Part:
    """A running end of the demo."""

    name: str
    process: subprocess.Popen[bytes]
    log: Path


def main() -> int:
    """Run until Ctrl-C or a signal; 0 then, 1 when a part failed."""
    parser = argparse.ArgumentParser(prog="make demo", description="A collector and an agent for this machine.")
    parser.add_argument("--data-dir", type=Path, help="keep the data here, and after the end (default: a new folder)")
    parser.add_argument("--port", type=int, default=0, help="the dashboard's port (default: a free one)")
    options = parser.parse_args()

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, _end)
    if os.environ.get("MAKELEVEL"):  # under make, a kill -9 of make must end the demo too
        tether.tether(os.getppid(), signal.SIGTERM)

    folder = (options.data_dir or Path(tempfile.mkdtemp(prefix="hostward-demo-"))).absolute()
    folder.mkdir(parents=True, exist_ok=True)
    parts: list[Part] = []
    code = 0
    try:
        run(folder, options.port, parts)
    except KeyboardInterrupt:
        print("\nstopping", flush=True)
    except DemoError as error:
        print(f"demo: {error}", file=sys.stderr)
        code = 1
    finally:
        stop(parts)
        if options.data_dir is None and code == 0:
            shutil.rmtree(folder, ignore_errors=True)
    return code


def run(folder: Path, port: int, parts: list[Part]) -> None:
    """Bring both ends up, say where to look, and wait until one of them ends or somebody ends us."""
    home, agent = folder / "collector", folder / "agent"
    print(f"data: {folder}", flush=True)
    login = call("hostward-collector", "init", "--data-dir", home).split("login:", 1)[1].split()
    parts.append(
        start(folder, "hostward-collector", "serve", "--data-dir", home, "--host", "127.0.0.1", "--port", port)
    )
    url = wait_for_line(parts[-1], "https://")
    token = call("hostward-collector", "api-token", "create", "--data-dir", home, "--description", "demo").strip()
    enrolment = call("hostward-collector", "token", "create", "--data-dir", home).strip()
    ca = home / "ca.pem"
    call(
        *("hostward", "enroll", "--collector", url, "--ca", ca, "--state-dir", agent, "--token-file", "-"),
        stdin=enrolment,
    )
    configuration = folder / "agent.toml"
    configuration.write_text("# Empty: the defaults fit this host. What is written here takes effect at once.\n")
    parts.append(start(folder, "hostward", "run", "--state-dir", agent, "--config", configuration))
    wait_for_report(url, token, ca, parts)

    print(f"dashboard: {url}/")
    print(f"login: {login[0]} {login[1]}")
    print(f"api-token: {token}")
    print(
        f"\nThe certificate is the collector's own ({ca}), so the browser asks once. Ctrl-C ends it all.", flush=True
    )
    while True:
        time.sleep(0.5)
        check(parts)


def call(program: str, *arguments: object, stdin: str = "") -> str:
    """Run a command to its end and return what it printed."""
    command = [str(BIN / program), *map(str, arguments)]
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=4 * START)
    except subprocess.TimeoutExpired as error:
        raise DemoError(f"{program} {arguments[0]} did not end within {error.timeout:.0f} s") from error
    if done.returncode != 0:
        raise DemoError(f"{program} {arguments[0]} failed: {done.stderr.strip() or done.stdout.strip()}")
    return done.stdout


def start(folder: Path, program: str, *arguments: object) -> Part:
    """Start a part in a session of its own (Ctrl-C is ours to pass on) and tied to our life."""
    command = [sys.executable, tether.__file__, str(os.getpid()), str(BIN / program), *map(str, arguments)]
    log = folder / f"{program}.log"
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
    return Part(program, process, log)


def wait_for_line(part: Part, beginning: str) -> str:
    """The first word in the part's log that starts with `beginning`."""
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        for word in part.log.read_text(errors="replace").split():
            if word.startswith(beginning):
                return word.rstrip("/.")
        check([part])
        time.sleep(0.05)
    raise DemoError(f"{part.name} did not come up within {START:.0f} s; see {part.log}")


def wait_for_report(url: str, token: str, ca: Path, parts: list[Part]) -> None:
    """Return when home shows the host's first figures; CPU comes last, for it takes two looks."""
    context = ssl.create_default_context(cafile=ca)
    request = urllib.request.Request(f"{url}/api/v1/hosts", headers={"Authorization": f"Bearer {token}"})
    deadline = time.monotonic() + START
    while time.monotonic() < deadline:
        check(parts)
        try:
            with urllib.request.urlopen(request, context=context, timeout=5) as reply:  # nosec B310  # always https
                hosts = json.load(reply)["hosts"]
        except urllib.error.URLError as error:
            raise DemoError(f"{url} does not answer: {error}") from error
        figures = {item["key"]: item["value"] for host in hosts for item in host["highlights"]}
        if None not in (figures.get(key) for key in ("cpu", "memory", "disk")):
            return
        time.sleep(0.1)
    raise DemoError(f"no report came home within {START:.0f} s; see the logs beside {ca.parent}")


def check(parts: list[Part]) -> None:
    """Raise when a part has ended by itself."""
    for part in parts:
        if (code := part.process.poll()) is not None:
            raise DemoError(f"{part.name} ended by itself with {code}; see {part.log}")


def stop(parts: list[Part]) -> None:
    """End the parts, the agent before its home, and wait for them; kill what will not end in 10 s."""
    for part in reversed(parts):
        part.process.terminate()
        try:
            part.process.wait(10)
        except subprocess.TimeoutExpired:
            part.process.kill()
            part.process.wait()


def _end(number: int, frame: FrameType | None) -> None:
    for other in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(other, signal.SIG_IGN)  # once is enough: a second must not cut the clean-up short
    raise KeyboardInterrupt


if __name__ == "__main__":
    sys.exit(main())
