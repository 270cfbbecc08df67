"""Installs, configures, upgrades and removes home, with its backup jobs and a way for this machine to ask it.

pyinfra INVENTORY deploys/collector.py                       # the table `collector` of the host's data says how
pyinfra INVENTORY deploys/collector.py --dry --diff
"""

from __future__ import annotations

from functools import partial
from hashlib import sha256
from pathlib import Path
from socket import gethostname
from typing import Annotated, Any, Literal

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.facts.agent import HostwardInstalled, Installed, Python
from deploys.facts.files import Seen, SmallFiles
from deploys.facts.home import Home, HomeState
from deploys.kit.alone import run_alone
from deploys.kit.homecopy import is_known, keep
from deploys.kit.notes import Versions, note
from deploys.kit.options import OptionsError, options
from deploys.kit.secret import Secret
from deploys.kit.source import PREFIX, Release, find_source, make_release
from deploys.operations.backup_configure import configure
from deploys.operations.diff import show
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.home import Database, Plan, bring, fetch_token
from deploys.operations.home_remove import is_gone, remove
from deploys.operations.release import PlannedFile, build
from deploys.rules.home_files import (
    BACKUP_PASSWORD,
    CONFIGURATION,
    CREDENTIALS,
    backup_jobs,
    choice,
    document,
    drop_in,
    wrong_address,
)
from deploys.rules.pythons import unfit

HOME = "hostward-collector.service"
DRIVER = "postgresql"
"""The extra with the driver of PostgreSQL."""
CredentialName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]*\Z", max_length=100)]


class CertificateOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A certificate of another authority than home's own. It is for whoever gives it to renew it."""

    pem: Secret
    """The key, the certificate, and what leads to its authority, in PEM, in this order."""
    ca: str = ""
    """A file on this machine with the authority's certificate; '' where machines trust it anyway."""


class DatabaseOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A database of a PostgreSQL server, which is there, is empty, and is home's alone."""

    url: str
    """`postgresql://ROLE@HOST/DATABASE`, as the host of home reaches it, without a password."""
    password: Secret | None = None
    """The role's; None where the server asks for none."""

    def __post_init__(self) -> None:
        """An address that can be one."""
        if reason := wrong_address(self.url):
            raise ValueError(reason)


class HomeBackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The backup of home itself, which the agent of its host makes: the database, and keys and configuration."""

    repository: str
    """Not at home itself: a folder, `s3:…`, `sftp:…`, `rest:…`."""
    password: Secret
    """The repository's."""
    table: dict[str, Any] = {}
    """Options of both jobs, `[backups.NAME]`: `keep`, `copies`… and when; daily at 01:30 where it is empty."""
    writable: tuple[str, ...] = ()
    """Folders of the host that the jobs write to: that of a repository in a folder."""


class AskOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """How this machine asks home."""

    url: str
    """`https://HOST:8443`, as this machine and the hosts reach home."""
    file: str = "~/.config/hostward/home.toml"
    """Where that is written, with the token and home's ca.pem beside it."""
    role: Literal["viewer", "operator", "admin"] = "operator"
    """What the token may do."""


class CollectorOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `collector` of a host's data."""

    state: Literal["present", "absent"] = "present"
    """`absent` leaves configuration, keys and database."""
    version: str | None = None
    """Which is installed: this checkout's by default; another one is its tag `vVERSION`."""
    source: str | None = None
    """A folder with a checkout of that version."""
    python: str | None = None
    """The host's Python, where `python3` is too old."""
    names: tuple[str, ...] = ()
    """Under which hosts and people reach home, beside the host's own names; what the certificate is for."""
    certificate: CertificateOptions | None = None
    """Instead of one of home's own authority."""
    password: Secret | None = None
    """The first administrator's, `admin`. It counts when home is set up, and is needed then."""
    database: DatabaseOptions | None = None
    """Where home keeps what it knows; None is SQLite's file in its folder. It counts when home is set up."""
    config: dict[str, Any] | None = None
    """The tables of /etc/hostward/collector.toml; None leaves the file as it is."""
    credentials: dict[CredentialName, Secret] = {}
    """What options name as `credential:NAME`."""
    ask: AskOptions | None = None
    """How this machine asks home; None where it does not."""
    backup: HomeBackupOptions | None = None
    """The backup of home itself."""
    patience: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 60.0
    """Seconds in which home has to be ready after a change; else all is put back."""


class Decision(msgspec.Struct, frozen=True, kw_only=True):
    """What is to be done on a host."""

    seen: Installed
    python: Python
    release: Release
    plan: Plan
    running: bool

    @property
    def changes(self) -> bool:
        """Whether there is anything to do."""
        plan = self.plan
        given = plan.password is not None or plan.names or plan.certificate is not None or plan.database is not None
        return bool(plan.release or plan.files or plan.links or given or not self.running)


@deploy("Home")
def collector(given: CollectorOptions | None = None) -> None:
    """Bring home on the current host into the state that `given`, or its data, describes."""
    wanted = given or options(here, "collector", CollectorOptions)
    seen = here.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    if wanted.state == "absent":
        _absent(wanted, seen)
        return
    python = seen.python()
    if python is None or (reason := unfit(seen, wanted.python)):
        fail(reason=unfit(seen, wanted.python) if python is None else reason, name="Look at the host")
        return
    home = here.get_fact(HomeState, prefix=PREFIX)
    if seen.unfinished:
        fail(reason="a change of the agent was cut down here: run deploys/agent.py first", name="Look at the host")
        return
    if unlike := _unlike(wanted, home):
        fail(reason=unlike, name="Look at home's database")
        return
    if home.unfinished:
        attempt(work=partial(_whole, wanted=wanted), name="Bring what was cut down to an end, and home up to date")
    else:
        found = decide(here, wanted, seen, python, home)
        if here.state.config.DIFF:
            show(here, found.plan.files, secret=(f"{CREDENTIALS}/",))
        version = found.release.version
        if found.plan.built:
            attempt(work=partial(_build, found=found), outcome="left_alone", name=f"Build Hostward {version}")
        if found.changes:
            attempt(work=partial(_bring, found=found), name=_title(found))
    if wanted.ask is not None and (not home.initialised or not is_known(_file(wanted.ask), wanted.ask.url)):
        attempt(work=partial(_ask, asked=wanted.ask, wanted=wanted), name=f"Write {wanted.ask.file} on this machine")
    if wanted.backup is not None:
        _back_up(wanted.backup, server=wanted.database is not None)


def _absent(wanted: CollectorOptions, seen: Installed) -> None:
    if is_gone(seen):
        return
    script = find_source(None, wanted.source).removal
    attempt(work=partial(remove, script=script, prefix=PREFIX, seen=seen), name="Remove home")


def _unlike(wanted: CollectorOptions, home: Home) -> str | None:
    """What is the matter with the database that is there."""
    asked = "" if wanted.database is None else wanted.database.url
    if (home.initialised or home.trouble) and asked != home.database:
        return (
            f"home's database is {home.database or 'the SQLite file in its folder'}, and not as asked for: "
            "with home stopped, `hostward-collector database move` brings it there"
        )
    return None


def decide(at: Host, wanted: CollectorOptions, seen: Installed, python: Python, home: Home) -> Decision:
    """What is to be done. Raises WheelsError, SecretError, OptionsError."""
    source = find_source(wanted.version, wanted.source)
    database = None if wanted.database is None else _database(wanted.database)
    extras = seen.extras if database is None else (*seen.extras, DRIVER)
    release = make_release(source, seen.target(python), "collector", extras)
    built = seen.releases.get(release.version) != release.digest
    moves = built or seen.current != release.version
    files = [PlannedFile(f"/etc/systemd/system/{name}", text) for name, text in source.units("collector").items()]
    try:
        if wanted.config is not None:
            files.append(PlannedFile(CONFIGURATION, document(wanted.config)))
    except TypeError as error:
        raise OptionsError(f"{at.name}: collector: config: {error}") from None
    files += [
        PlannedFile(f"{CREDENTIALS}/{name}", secret.read().decode() + "\n", mode="600")
        for name, secret in wanted.credentials.items()
    ]
    dropped = drop_in(wanted.credentials) if wanted.credentials else None
    files.append(PlannedFile(f"/etc/systemd/system/{HOME}.d/deploy.conf", dropped))
    there = at.get_fact(SmallFiles, paths=[file.path for file in files])
    links = {f"/usr/local/bin/{name}": f"{PREFIX}/current/bin/{name}" for name in ("hostward", "hostward-collector")}
    pem = None if wanted.certificate is None else wanted.certificate.pem.read().decode() + "\n"
    # One that cannot be asked was set up once; whether it can be asked as it is to be now is looked at on the host.
    initialised = home.initialised or bool(home.trouble)
    unset = not initialised or home.pending
    if unset and wanted.password is None:
        raise OptionsError(f"{at.name}: collector: expected password, the first administrator's")
    return Decision(
        seen=seen,
        python=python,
        release=release,
        running=HOME in seen.active and HOME in seen.enabled,
        plan=Plan(
            prefix=PREFIX,
            version=release.version,
            previous=seen.current,
            release=moves,
            built=built,
            files=tuple(file for file in files if not _stands(file, there.get(file.path))),
            links={path: target for path, target in links.items() if seen.links.get(path) != target},
            accounts=source.accounts,
            initialised=initialised,
            password=wanted.password.read().decode() if unset and wanted.password else None,
            database=database
            if database and (_digest(database.text) != home.database_digest or home.trouble)
            else None,
            names=() if pem else tuple(name for name in wanted.names if name not in home.names),
            certificate=pem if pem and home.certificate != _digest(pem) else None,
            patience=wanted.patience,
        ),
    )


def _database(wanted: DatabaseOptions) -> Database:
    """Raises SecretError."""
    password = "" if wanted.password is None else wanted.password.read().decode()
    return Database(wanted.url, password, choice(wanted.url, password))


def _stands(file: PlannedFile, seen: Seen | None) -> bool:
    if seen is None or file.text is None:
        return seen is None and file.text is None
    return seen.is_as(file.text, file.owner, int(file.mode, 8))


def _digest(text: str) -> str:
    return sha256(text.encode()).hexdigest()


def _build(at: Host, found: Decision) -> None:
    build(at, found.release, found.seen, found.python, PREFIX)


def _bring(at: Host, found: Decision) -> None:
    bring(at, found.plan, found.python)
    note(at, Versions({"hostward": found.seen.current}, {"hostward": found.release.version}))


def _whole(at: Host, wanted: CollectorOptions) -> None:
    """All of it at once, where what is there can only be seen after something was put back."""
    seen = at.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    python = seen.python()
    assert python is not None  # it was looked for before
    bring(at, None, python)
    seen = at.get_fact(HostwardInstalled, python=wanted.python, prefix=PREFIX)
    found = decide(at, wanted, seen, python, at.get_fact(HomeState, prefix=PREFIX))
    if found.plan.built:
        _build(at, found)
    if found.changes:
        _bring(at, found)


def _ask(at: Host, asked: AskOptions, wanted: CollectorOptions) -> None:
    """Once home is there. The token is on this machine alone, and shows nowhere."""
    token, ca = fetch_token(at, PREFIX, f"deploys of {gethostname()}", asked.role)
    given = wanted.certificate
    try:
        if given is not None:
            ca = Path(given.ca).expanduser().read_text() if given.ca else ""
        keep(_file(asked), asked.url, token, ca or None)
    except OSError as error:
        raise StepError(f"{error.filename}: {error.strerror}: this machine cannot ask home", "left_alone") from None


def _file(asked: AskOptions) -> Path:
    return Path(asked.file).expanduser()


def _back_up(wanted: HomeBackupOptions, *, server: bool) -> None:
    jobs = backup_jobs(wanted.repository, wanted.table or {"daily": "01:30"}, wanted.writable, server=server)
    try:
        configure(jobs, {}, {BACKUP_PASSWORD: wanted.password}, replace=False, prefix=PREFIX, name="home-backup")
    except (TypeError, ValueError) as error:
        raise OptionsError(f"{here.name}: collector: backup: {error}") from None


def _title(found: Decision) -> str:
    """What it does, in a line."""
    plan = found.plan
    did = [f"Switch to Hostward {plan.version}"] if plan.release else []
    did += [f"write {', '.join(Path(file.path).name for file in plan.files)}"] if plan.files else []
    did += [] if plan.initialised else ["set home up"]
    did += [f"have the certificate name {', '.join(plan.names)}"] if plan.names and plan.initialised else []
    did += ["write down which database is home's"] if plan.database is not None and plan.initialised else []
    did += ["put the certificate into place"] if plan.certificate is not None else []
    text = ", ".join([*did, "restart home and wait for it"])
    return text[0].upper() + text[1:]


run_alone(globals(), collector)
