"""The backup jobs and drills of a host, with their secrets: checked with the rest of its configuration before they
take the place of those that were there.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from shlex import quote

from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.facts.files import Seen, SmallFiles
from deploys.kit.secret import Secret
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.run import run
from deploys.operations.write import write
from deploys.rules.backup_files import AGENT, SecretFile, Tables, are_privileged, document, drop_ins, secret_files

SOCKET = "hostward-jobs.socket"
ENABLED = f"/etc/systemd/system/sockets.target.wants/{SOCKET}"


def configure(
    jobs: Tables, drills: Tables, secrets: Mapping[str, Secret], *, replace: bool, prefix: str, name: str = "backup"
) -> None:
    """Operations for the current host; none where all is as it shall be.

    `name` is that of the files: `agent.d/NAME.toml`, and `NAME.conf` of units. Each deploy has its own.
    Raises TypeError and ValueError for tables that cannot be, SecretError for a secret that cannot be had.
    """
    file = f"/etc/hostward/agent.d/{name}.toml"
    text = document(jobs, drills)
    places = secret_files(jobs, drills, secrets)
    dropped = drop_ins(jobs, drills, places)
    units = {f"/etc/systemd/system/{unit}.d/{name}.conf": said for unit, said in dropped.items()}
    known = {one: secret.read().decode() for one, secret in secrets.items()}
    seen = here.get_fact(SmallFiles, paths=[file, *(place.path for place in places.values()), *units, ENABLED])
    for secret, place in places.items():
        _secret(place, known[secret], seen.get(place.path), replace=replace)
    for path, said in units.items():
        if path in seen if not said else not _is(seen, path, said):
            unit = path.split("/")[-2].removesuffix(".d")
            attempt(work=partial(_unit, path=path, text=said), name=f"Give {unit} its credentials")
    if not _is(seen, file, text):
        attempt(work=partial(_file, file=file, text=text, prefix=prefix), name=f"Write {file}")
    if are_privileged(jobs, drills) and ENABLED not in seen:
        attempt(work=_socket, name=f"Enable {SOCKET}")


def _is(seen: Mapping[str, Seen], path: str, text: str) -> bool:
    return path in seen and seen[path].is_as(text, "root:root", 0o644)


def _secret(place: SecretFile, text: str, seen: Seen | None, *, replace: bool) -> None:
    if seen is not None and seen.is_as(text, place.owner, place.mode):
        return
    if seen is not None and not seen.has(text) and not replace:
        fail(
            reason=f"the secret in {place.path} is another: a repository keeps its password; "
            "change it there by `hostward backup key passwd`, and say replace_secrets",
            name=f"Look at {place.path}",
        )
        return

    def put(host: Host) -> None:
        write(host, place.path, text, mode=place.mode, owner=place.owner)

    attempt(work=put, outcome="left_alone", name=f"Write {place.path}")


def _unit(host: Host, *, path: str, text: str) -> None:
    if text:
        write(host, path, text)
    else:
        run(host, f"rm -f {quote(path)}", failing=f"{path} could not be removed")
    run(host, "systemctl daemon-reload", failing="systemd could not read its units", outcome="broken")
    if AGENT in path:
        run(host, f"systemctl try-restart {AGENT}", failing=f"{AGENT} did not start again", outcome="broken")


def _file(host: Host, *, file: str, text: str, prefix: str) -> None:
    """The agent takes a valid configuration on by itself."""
    trial = run(host, "mktemp -d /run/hostward-trial.XXXXXX", failing="there is no room in /run").strip()
    try:
        run(
            host,
            f"set -e; cd /etc/hostward; touch {trial}/agent.toml; "
            f'for file in agent.toml agent.d; do test ! -e "$file" || cp -a "$file" {trial}/; done',
            failing="the configuration cannot be copied",
        )
        write(host, file.replace("/etc/hostward", trial), text)
        run(
            host,
            f"{quote(prefix)}/current/bin/hostward config check --config {trial}/agent.toml",
            failing="the configuration would not be valid",
        )
    except StepError as error:
        raise StepError(str(error).replace(f"{trial}/", "/etc/hostward/"), error.outcome) from None
    finally:
        run(host, f"rm -rf {trial}", failing=f"{trial} is still there")
    # What root's half runs reads agent.toml first, and that has to be there.
    run(host, "test -e /etc/hostward/agent.toml || : >/etc/hostward/agent.toml", failing="agent.toml cannot be made")
    write(host, file, text)


def _socket(host: Host) -> None:
    run(host, f"systemctl enable --now --quiet {SOCKET}", failing=f"{SOCKET} could not be enabled")
