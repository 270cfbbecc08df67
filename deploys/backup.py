"""Configure a host's backups, and have them run, restored or tried now.

pyinfra INVENTORY deploys/backup.py                                   # as host data has the jobs
pyinfra INVENTORY deploys/backup.py --data backup.action=run
pyinfra INVENTORY deploys/backup.py --data backup.action=drill
pyinfra INVENTORY deploys/backup.py --data backup.action=restore --data backup.restore.job=shop \
    --data backup.restore.path=/srv/shop --data backup.restore.target=/tmp/shop

Configuring again changes nothing; a run, a restore and a drill are done each time that they are asked for.
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any, Literal

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.facts.backup_jobs import BackupJobs
from deploys.kit.alone import run_alone
from deploys.kit.options import OptionsError, options
from deploys.kit.secret import Secret
from deploys.operations.backup_configure import configure
from deploys.operations.backups import Backups
from deploys.operations.fail import attempt, fail

Prefix = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._-]+)+$")]


class RestoreOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What comes back, and where to. One of `path`, `database` and `server`."""

    job: str
    """A backup job of the host."""
    host: str = ""
    """Whose, as the snapshots name it; this host's own when empty."""
    path: str = ""
    """As the snapshot has it: `/srv/shop`; `/` is all."""
    database: str = ""
    """Of a job of `postgresql`."""
    server: bool = False
    """The whole server of a job of `postgresql_base`."""
    target: str
    """Of a path a folder; of a database the name of a new one; of a server the new data folder."""
    at: str = ""
    """`2026-11-22 14:30`: the newest snapshot not after it, of a server the moment itself; '' for the newest."""

    def __post_init__(self) -> None:
        """Exactly one thing, and a place that fits it."""
        if [bool(self.path), bool(self.database), self.server].count(True) != 1:
            raise ValueError("expected exactly one of path, database and server")
        if self.database and not (self.target.isidentifier() and self.target.isascii()):
            raise ValueError(f"target is {self.target!r}; expected the name of a new database")
        if not self.database and not self.target.startswith("/"):
            raise ValueError(f"target is {self.target!r}; expected a whole path")
        if self.path and not self.path.startswith("/"):
            raise ValueError(f"path is {self.path!r}; expected a whole path of the snapshot")


class BackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `backup` of host data."""

    action: Literal["configure", "run", "restore", "drill"] = "configure"
    jobs: dict[str, dict[str, Any]] = {}
    """Tables `[backups.NAME]` of the agent's configuration."""
    drills: dict[str, dict[str, Any]] = {}
    """Tables `[drills.NAME]`."""
    secrets: dict[str, Secret] = {}
    """By the `password_file` or `environment_file` of a job, a path or `credential:NAME`: what is in it."""
    replace_secrets: bool = False
    """Whether a secret that is another on the host is replaced. The repository keeps the password that it has."""
    only: tuple[str, ...] = ()
    """The jobs to run, or the drills to try; all of the host's configuration when empty."""
    restore: RestoreOptions | None = None
    prefix: Prefix = "/opt/hostward"
    """Where the agent is installed."""
    timeout: Annotated[int, msgspec.Meta(ge=1)] = 86400
    """Seconds for each run, restore or drill."""


@deploy("Backups")
def backup(given: BackupOptions | None = None) -> None:
    """Do what `action` says."""
    wanted = given or options(here, "backup", BackupOptions)
    if wanted.action == "configure":
        try:
            configure(
                wanted.jobs, wanted.drills, wanted.secrets, replace=wanted.replace_secrets, prefix=wanted.prefix
            )
        except (TypeError, ValueError) as error:
            raise OptionsError(f"{here.name}: backup: {error}") from None
        return
    configured = here.get_fact(BackupJobs, prefix=wanted.prefix)
    backups = Backups(here, configured, wanted.prefix, wanted.timeout)
    known = configured.drills if wanted.action == "drill" else configured.jobs
    names = wanted.only or tuple(known)
    if wanted.action == "restore":
        if wanted.restore is None:
            raise OptionsError(f"{here.name}: backup: restore is missing: expected a table with job, target and more")
        attempt(work=partial(_restore, backups, wanted.restore), name=f"Restore into {wanted.restore.target}")
    elif not names:
        reason = f"there is nothing to {wanted.action} in the configuration"
        fail(reason=reason, name=f"Look for what to {wanted.action}")
    elif wanted.action == "run":
        attempt(work=lambda _: backups.run_jobs(names), outcome="left_alone", name=f"Run {', '.join(names)}")
    else:
        attempt(work=lambda _: backups.drill(names), outcome="left_alone", name=f"Drill {', '.join(names)}")


def _restore(backups: Backups, wanted: RestoreOptions, _host: Host) -> None:
    if wanted.path:
        backups.restore_path(wanted.job, wanted.path, wanted.target, wanted.at, wanted.host)
    elif wanted.database:
        backups.restore_database(wanted.job, wanted.database, wanted.target, wanted.at, wanted.host)
    else:
        backups.restore_server(wanted.job, wanted.target, wanted.at, wanted.host)


run_alone(globals(), backup)
