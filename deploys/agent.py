"""Installs, configures, enrols, upgrades, downgrades and removes the agent; hosts need no package index for it."""

from __future__ import annotations

from functools import lru_cache, partial
from pathlib import Path
from typing import Annotated, Any, Literal

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.api.state import State
from pyinfra.context import host

from deploys.facts.agent import HostwardInstalled, Installed, Python
from deploys.kit.agent_check import mistakes
from deploys.kit.alone import run_alone
from deploys.kit.local import LocalError
from deploys.kit.notes import Versions, note
from deploys.kit.options import OptionsError, options
from deploys.kit.secret import Secret
from deploys.kit.source import PREFIX, Release, find_source, make_release
from deploys.operations.agent_remove import is_gone, remove
from deploys.operations.diff import show
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.release import Enrol, Plan, PlannedFile, bring, build, settle
from deploys.rules.agent_files import CONFIGURATION, CREDENTIALS, UNITS, document, drop_in
from deploys.rules.pythons import unfit

FileName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]*\.toml\Z", max_length=100)]
CredentialName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]*\Z", max_length=100)]


class HomeOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where hosts report."""

    url: str
    """`https://HOST:PORT`."""
    ca: str
    """Home's `ca.pem`, a file on this machine."""
    token: Secret
    """A one-time token for each host that is not enrolled: best a command that makes one, for each host anew."""
    name: str = ""
    """What home calls the host; its own name when empty."""


class AgentOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `agent` of a host's data."""

    state: Literal["present", "absent"] = "present"
    """`absent` leaves configuration, state and users, as `make uninstall` does."""
    version: str | None = None
    """Which is installed: this checkout's by default; another one is its tag `vVERSION`."""
    source: str | None = None
    """A folder with a checkout of that version."""
    extras: tuple[str, ...] | None = None
    """Drivers of checks and backups; those that the host has by default."""
    python: str | None = None
    """The host's Python, where `python3` is too old: a program's name or path."""
    config: dict[str, Any] | None = None
    """The tables of /etc/hostward/agent.toml; None leaves the file as it is."""
    config_files: dict[FileName, str] = {}
    """Name in /etc/hostward/agent.d to a file on this machine."""
    credentials: dict[CredentialName, Secret] = {}
    """What options name as `credential:NAME`."""
    privileged: bool = False
    """Whether root's half runs what is marked `privileged` (hostward-jobs.socket)."""
    home: HomeOptions | None = None
    """Where the host is enrolled, when it is not yet."""
    patience: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 60.0
    """Seconds in which the agent has to check in healthy after a change; else all is put back."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done on a host."""

    seen: Installed
    python: Python
    release: Release
    built: bool
    """Whether the release has to be built there."""
    plan: Plan
    enrols: bool

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        plan = self.plan
        return bool(self.built or plan.release or plan.files or plan.links or plan.restart or not self.seen.accounts)


@deploy("Agent")
def agent(given: AgentOptions | None = None) -> None:
    """Bring the agent of the current host into the state that `given`, or its data, describes."""
    wanted = given or options(host, "agent", AgentOptions)
    if wanted.state == "absent":
        _absent(wanted)
        return
    if wrong := _mistaken(host.state) if given is None else _wrong(host, given):
        raise OptionsError("\n".join(wrong))
    seen = host.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    python = seen.python()
    if python is None or (reason := unfit(seen, wanted.python)):
        fail(reason=unfit(seen, wanted.python) if python is None else reason, name="Look at the host")
        return
    if seen.unfinished:
        attempt(
            work=partial(_whole, wanted=wanted), name="Bring what was cut down to an end, and the agent up to date"
        )
        return
    found = decide(host, wanted, seen, python)
    if not found.changes:
        return
    if host.state.config.DIFF:
        show(host, found.plan.files, secret=(f"{CREDENTIALS}/",))
    version = found.release.version
    if found.built:
        attempt(work=partial(_build, found=found), outcome="left_alone", name=f"Build Hostward {version}")
    attempt(work=partial(_bring, wanted=wanted, found=found), name=_title(found))


def decide(at: Host, wanted: AgentOptions, seen: Installed, python: Python) -> Decision:
    """What is to be done. Raises WheelsError, SecretError, OptionsError."""
    source = find_source(wanted.version, wanted.source)
    part: Literal["agent", "collector"] = "collector" if seen.collector else "agent"
    extras = seen.extras if wanted.extras is None else wanted.extras
    release = make_release(source, seen.target(python), part, extras)
    built = seen.releases.get(release.version) != release.digest
    files = [PlannedFile(f"/etc/systemd/system/{name}", text) for name, text in source.units(part).items()]
    for name, text in _texts(wanted).items():
        files.append(PlannedFile(f"/etc/hostward/{name}", text))
    for name, secret in wanted.credentials.items():
        text = secret.read().decode(errors="surrogateescape")
        files.append(PlannedFile(f"{CREDENTIALS}/{name}", text, mode="600"))
    for unit in UNITS:
        text_of = drop_in(wanted.credentials) if wanted.credentials else None
        files.append(PlannedFile(f"/etc/systemd/system/{unit}.d/deploy.conf", text_of))
    changed = tuple(file for file in files if not _stands(file, seen))
    commands = ("hostward", "hostward-collector") if part == "collector" else ("hostward",)
    links = {f"/usr/local/bin/{name}": f"{PREFIX}/current/bin/{name}" for name in commands}
    enable = ("hostward-agent.service", *(["hostward-jobs.socket"] if wanted.privileged else []))
    moves = built or seen.current != release.version
    idle = any(unit not in seen.active or unit not in seen.enabled for unit in enable)
    if wanted.home is not None and seen.enrolled is not None and seen.enrolled != wanted.home.url.rstrip("/"):
        raise OptionsError(
            f"{at.name}: it is enrolled at {seen.enrolled}, and agent.home.url is {wanted.home.url}; "
            "docs/enrolment.md says how a host moves"
        )
    enrols = wanted.home is not None and seen.enrolled is None
    restart = moves or idle or enrols or any(not file.path.endswith(".toml") for file in changed)
    return Decision(
        seen=seen,
        python=python,
        release=release,
        built=built,
        enrols=enrols,
        plan=Plan(
            prefix=PREFIX,
            version=release.version,
            previous=seen.current,
            release=moves,
            built=built,
            files=changed,
            links={path: target for path, target in links.items() if seen.links.get(path) != target},
            accounts=source.accounts,
            enable=enable,
            restart=restart,
            reload=not restart and bool(changed),
            patience=wanted.patience,
        ),
    )


def _build(at: Host, found: Decision) -> None:
    build(at, found.release, found.seen, found.python, PREFIX)


def _bring(at: Host, wanted: AgentOptions, found: Decision) -> None:
    plan = found.plan
    if found.enrols and wanted.home is not None:
        try:
            ca = Path(wanted.home.ca).expanduser().read_text()
        except OSError as error:
            raise StepError(f"agent.home.ca: {wanted.home.ca}: {error.strerror}", "left_alone") from None
        token = wanted.home.token.read().decode()
        plan = msgspec.structs.replace(plan, enrol=Enrol(wanted.home.url, ca, token, wanted.home.name))
    bring(at, plan, found.python)
    note(at, Versions({"hostward": found.seen.current}, {"hostward": found.release.version}))


def _whole(at: Host, wanted: AgentOptions) -> None:
    """All of it at once, where what is there can only be seen after something was put back."""
    seen = at.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    python = seen.python()
    assert python is not None  # it was looked for before
    settle(at, python)
    seen = at.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    found = decide(at, wanted, seen, python)
    if found.built:
        _build(at, found)
    if found.changes:
        _bring(at, wanted, found)


def _absent(wanted: AgentOptions) -> None:
    seen = host.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    if is_gone(seen):
        return
    if seen.collector:
        fail(reason="home runs on this host too: remove it with deploys/collector.py", name="Remove the agent")
        return
    script = find_source(None, wanted.source).removal
    attempt(work=partial(remove, script=script, prefix=PREFIX, version=seen.current), name="Remove the agent")


@lru_cache(maxsize=2)
def _mistaken(state: State) -> list[str]:
    """Every mistake in the configuration of all hosts, so that one run tells them before anything is done.

    Also of those that are not connected yet, as they are not while the first of a wave begins.
    """
    limited = state.limit_hosts if isinstance(state.limit_hosts, list) else state.inventory
    return [line for other in limited for line in _wrong(other, None)]


def _wrong(at: Host, given: AgentOptions | None) -> list[str]:
    """Every mistake in a host's configuration, with the host."""
    wanted = given or options(at, "agent", AgentOptions)
    if wanted.state == "absent":
        return []
    try:
        texts = _texts(wanted)
        return [f"{at.name}: {mistake}" for mistake in (mistakes(texts) if texts else [])]
    except (LocalError, OptionsError) as error:
        return [f"{at.name}: agent: {error}"]


def _texts(wanted: AgentOptions) -> dict[str, str]:
    """Name in /etc/hostward to text. Raises OptionsError."""
    texts = {}
    try:
        if wanted.config is not None:
            texts[CONFIGURATION.rpartition("/")[2]] = document(wanted.config)
        for name, path in wanted.config_files.items():
            texts[f"agent.d/{name}"] = Path(path).expanduser().read_text()
    except TypeError as error:
        raise OptionsError(f"config: {error}") from None
    except (OSError, UnicodeDecodeError) as error:
        raise OptionsError(f"config_files: {path}: {getattr(error, 'strerror', None) or 'is not text'}") from None
    return texts


def _stands(file: PlannedFile, seen: Installed) -> bool:
    found = seen.files.get(file.path)
    if found is None or file.text is None:
        return found is None and file.text is None
    return found.is_as(file.text, file.mode, file.owner)


def _title(found: Decision) -> str:
    """What it does, in a line."""
    plan = found.plan
    did = [f"Switch to Hostward {plan.version}"] if plan.release else []
    names = sorted({Path(file.path).name for file in plan.files})
    did += [f"write {', '.join(names) if len(names) < 4 else f'{len(plan.files)} files'}"] if names else []
    did += ["enrol"] if found.enrols else []
    did += ["restart and watch the agent" if plan.restart else "have the agent read it, and watch"]
    text = ", ".join(did)
    return text[0].upper() + text[1:]


run_alone(globals(), agent)
