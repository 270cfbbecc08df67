"""Builds a host again from nothing: a blank one takes the place of one that is gone.

pyinfra INVENTORY deploys/recover.py --limit web1
pyinfra INVENTORY deploys/recover.py --limit web1 --data 'recover.at=2026-11-22 14:30'

In this order: the packages that the lost host last reported; the agent, enrolled under the old name, as the table
`agent` says; files; databases; services; the agent's checks. A run that was killed goes on where it was, and one
after the end changes nothing. A host that looks used is refused.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Annotated, TypeVar

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.agent import AgentOptions, agent
from deploys.facts.recovery import Progress, Recovery
from deploys.kit.alone import run_alone
from deploys.kit.local import LocalError, output
from deploys.kit.options import options
from deploys.kit.secret import Secret
from deploys.kit.source import PREFIX
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.lease import held
from deploys.operations.recovery import Course
from deploys.operations.run import TIMEOUT
from deploys.rules.recorded_packages import read
from kit.errors import HostwardError
from kit.homefile import home_file, open_home

HOME = "home"
"""For `repository` and `packages`: what home keeps."""
T = TypeVar("T")
Unit = Annotated[str, msgspec.Meta(pattern=r"^[A-Za-z0-9:_.@\\-]+\.(service|socket|target|timer)$", max_length=255)]
Job = Annotated[str, msgspec.Meta(pattern=r"^[^,\s-][^,\s]*$", max_length=100)]
Restored = Annotated[str, msgspec.Meta(pattern=r"^/")]
At = Annotated[str, msgspec.Meta(pattern=r"^([0-9]{4}-[0-9]{2}-[0-9]{2}( [0-9]{2}:[0-9]{2}(:[0-9]{2})?)?)?$")]


class RecoverOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `recover` of a host's data."""

    name: str = ""
    """What home called the host; its name in the inventory when empty."""
    snapshots_of: str = ""
    """The host that the snapshots name; `name` when empty."""
    at: At = ""
    """`2026-11-22 14:30`, by the host's clock: what was saved last before then; '' for the newest."""
    repository: str
    """Where the backups are: `/PATH`, `s3:…`, `sftp:…`, `rest:…`, or `home`, which then gives the new host what the
    lost one had (docs/recovery.md)."""
    password: Secret
    """The repository's."""
    environment: Secret | None = None
    """Lines `NAME=VALUE` that open its place, as the keys of S3."""
    packages: str = HOME
    """Where the record of packages is: `home` asks home, else a file with what home's API answered; '' for none."""
    free_name: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    """A program with its arguments, on this machine, that frees the lost host's name:
    `["ssh", "home", "hostward-collector", "host", "revoke", "web1"]`."""
    files: dict[Job, tuple[Restored, ...]] = {}
    """By backup job, the paths that come back to where they were; `/` is all that the job saved."""
    databases: tuple[Job, ...] = ()
    """Backup jobs with dumps of PostgreSQL: its roles and each database."""
    postgresql_port: Annotated[int, msgspec.Meta(ge=1, le=65535)] = 5432
    """Where the server listens that they come back into."""
    services: tuple[Unit, ...] = ()
    """In the order in which they are started."""
    checks: tuple[str, ...] = ()
    """The agent's checks that must be neither critical nor unknown at the end; all when empty."""
    ignore_checks: tuple[str, ...] = ("backup*", "drill*", "updates")
    """Patterns of checks that a new host cannot pass yet."""
    overwrite: bool = False
    """Whether a host that looks used is written over."""
    patience: Annotated[int, msgspec.Meta(ge=1, le=3600)] = 60
    """Seconds in which a service has to run, and the checks have to be well."""
    timeout: Annotated[int, msgspec.Meta(ge=1)] = 86400
    """Seconds for each step."""

    @property
    def saved_by(self) -> str:
        """The host that the snapshots name."""
        return self.snapshots_of or self.name


@deploy("Recovery")
def recover(given: RecoverOptions | None = None) -> None:
    """Build the current host again."""
    wanted = given or options(here, "recover", RecoverOptions)
    if not wanted.name:
        wanted = msgspec.structs.replace(wanted, name=here.name)
    found = here.get_fact(Recovery, paths=sorted({path for paths in wanted.files.values() for path in paths}))
    if found.progress is None and found.used and not wanted.overwrite:
        reason = f"this host is not blank ({found.used[0]}): recovering would overwrite it; say overwrite if it may"
        fail(reason=reason, name="Look at the host")
        return
    if reason := _other(found.progress, wanted):
        fail(reason=reason, name="Look at the host")
        return
    if found.progress is not None and found.progress.finished is not None:
        return
    course = Course(here, wanted, PREFIX)
    if found.progress is None:
        attempt(work=partial(_begin, course, wanted), outcome="left_alone", name=f"Begin to recover {wanted.name}")
    step = partial(_step, course, wanted.timeout)
    step("packages", course.packages)
    if wanted.free_name:
        step("name", partial(_free, wanted.free_name))
    asked = options(here, "agent", AgentOptions)
    if asked.home is not None:
        home = msgspec.structs.replace(asked.home, name=asked.home.name or wanted.name)
        asked = msgspec.structs.replace(asked, home=home)
    agent(given=asked)
    if wanted.repository == HOME:
        step("place at home", course.place)
    for job, paths in wanted.files.items():
        step(f"files of {job}", partial(course.files, job, paths))
    for job in wanted.databases:
        step(f"databases of {job}", partial(course.databases, job, wanted.postgresql_port))
    for unit in wanted.services:
        step(unit, partial(course.service, unit, wanted.patience))
    step("checks", partial(course.check, wanted.checks, wanted.ignore_checks, wanted.patience))
    attempt(work=lambda _: course.finish(), name=f"Tell how long it took to recover {wanted.name}")


def _other(progress: Progress | None, wanted: RecoverOptions) -> str:
    """Why a recovery that was begun is not this one."""
    if progress is None or (progress.name, progress.asked) == (wanted.name, wanted.at):
        return ""
    moment = progress.asked or "the newest backups"
    return f"this host was begun to be recovered as {progress.name} with {moment}; expected the same name and at"


def _step(course: Course, timeout: int, name: str, work: Callable[[], None]) -> None:
    def alone(host: Host) -> None:
        with held(host, "recover", timeout + TIMEOUT):
            course.once(name, work)

    attempt(work=alone, name=f"Recover {name}")


def _begin(course: Course, wanted: RecoverOptions, host: Host) -> None:
    record = _record(wanted)
    environment = wanted.environment.read().decode() if wanted.environment is not None else ""
    password, lost = wanted.password.read().decode(), _lost(wanted)
    with held(host, "recover", TIMEOUT):
        if course.begun():
            raise StepError("somebody else has begun to recover it meanwhile", "left_alone")
        course.begin(wanted.name, wanted.at, record, password, environment, lost)


def _record(wanted: RecoverOptions) -> bytes:
    """The packages, before the name is freed under which home has them. Raises StepError."""
    try:
        if not wanted.packages:
            return b""
        if wanted.packages != HOME:
            record = Path(wanted.packages).expanduser().read_bytes()
        elif (file := home_file()) is None:
            raise ValueError("which home to ask is not known; docs/deploys.md says how this machine knows home")
        else:
            record = bytes(_asked(file, f"/api/v1/hosts/{wanted.name}/packages", msgspec.Raw))
        read(record)
    except (OSError, ValueError, HostwardError) as error:
        said = getattr(error, "strerror", None) or error
        raise StepError(f"the packages of {wanted.name} are not known: {said}", "left_alone") from None
    return record


def _lost(wanted: RecoverOptions) -> str:
    """The id by which home knows the lost host, and after which it calls its repository; '' where it does not say."""
    if wanted.repository != HOME or (file := home_file()) is None:
        return ""
    try:
        return _asked(file, f"/api/v1/hosts/{wanted.name}", _Host).host.id
    except HostwardError:
        return ""  # where it is not needed nothing is lost, and else it is told how to go on without


class _Summary(msgspec.Struct, frozen=True):
    id: str


class _Host(msgspec.Struct, frozen=True):
    """Of what home's API says of a host."""

    host: _Summary


def _asked(file: Path, path: str, kind: type[T]) -> T:
    """What home answers. Raises HostwardError."""
    home = open_home(file)
    try:
        return home.get(path, kind)
    finally:
        home.close()


def _free(words: tuple[str, ...]) -> None:
    try:
        output(words, timeout=60)
    except LocalError as error:
        raise StepError(f"the name could not be freed at home: {error}", "broken") from None


run_alone(globals(), recover)
