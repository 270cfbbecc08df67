"""A backup job: the table `[backups.NAME]`, which says what `hostward backup run NAME` saves, where, and when.

Loading it loads nothing of the backups themselves: the daemon, too, reads the configuration.
"""

from __future__ import annotations

import re
from typing import Annotated, Final, Literal

import msgspec

from agent.config.backup_sources.command import CommandSource
from agent.config.backup_sources.docker import DockerSource
from agent.config.backup_sources.mysql import MysqlSource
from agent.config.backup_sources.postgresql import PostgresqlSource
from agent.config.backup_sources.postgresql_base import PostgresqlBaseSource
from agent.config.backup_sources.postgresql_wal import PostgresqlWalSource
from agent.config.backup_sources.redis import RedisSource
from agent.config.backup_sources.sqlite import SqliteSource
from agent.config.bandwidth import BandwidthOptions
from agent.config.hooks import LONGEST, HookAfter, HookBefore
from agent.config.repositories import (
    Authorities,
    CopyOptions,
    EnvironmentFile,
    FullPath,
    Init,
    Keep,
    PasswordCommand,
    PasswordFile,
    Repository,
    Text,
    check_access,
    same_place,
)
from agent.privileged.options import Privileged
from agent.timetable import OptionalSchedule
from kit.units import Duration, Size

FILES: Final = "files"
SOURCES: Final[tuple[str, ...]] = (
    "command",
    "docker",
    "mariadb",
    "mysql",
    "postgresql",
    "postgresql_base",
    "postgresql_wal",
    "redis",
    "sqlite",
)
"""The tables of which one stands in the place of `paths`: each is an option of the same name, whose struct is in
agent/config/backup_sources/."""
ENDING: Final = 60.0
"""Seconds that a run has to end in good order when its time is up, besides those of its hooks."""
LEAST_MEMORY: Final = Size(2**28)
"""What a run takes to load all that it needs."""

_MiB = 2**20
_PART = re.compile(r"[0-9]{1,3}(\.[0-9]{1,9})?%|[0-9]{1,3}/[0-9]{1,3}|[0-9]{1,19}[kKMGT]")
_Count = Annotated[int, msgspec.Meta(ge=1, le=64)]


class BackupOptions(OptionalSchedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `hostward backup run NAME` saves, and into which repository. At most one of `every` to `yearly` says
    when the agent does that by itself. Every command of backups takes repository and password from it by
    `--job NAME`. What the command line says besides is added to lists and outweighs values.

    No secret stands here: passwords and keys are in files of their own.
    """

    repository: Repository
    init: Init = False
    password_file: PasswordFile = None
    password_command: PasswordCommand = ()
    environment_file: EnvironmentFile = None
    cacert: Authorities = None
    paths: Annotated[
        tuple[FullPath, ...],
        msgspec.Meta(
            description="The files and folders to save, where that is what is saved.",
            examples=[["/etc", "/home", "/srv"]],
            extra={"words": "an array of full paths"},
        ),
    ] = ()
    command: Annotated[
        CommandSource | None,
        msgspec.Meta(
            description="Instead of `paths`: what a program prints, as a file.",
            examples=[{"command": ["/usr/sbin/slapcat", "-n", "1"], "filename": "/ldap/example.ldif"}],
        ),
    ] = None
    docker: Annotated[
        DockerSource | None,
        msgspec.Meta(
            description="Instead of `paths`: volumes of Docker or Podman.", examples=[{"volumes": ["shop_data"]}]
        ),
    ] = None
    mariadb: Annotated[
        MysqlSource | None,
        msgspec.Meta(
            description="Instead of `paths`: databases of a MariaDB server.",
            examples=[{"socket": "/run/mysqld/mysqld.sock"}],
        ),
    ] = None
    mysql: Annotated[
        MysqlSource | None,
        msgspec.Meta(
            description="Instead of `paths`: databases of a MySQL server.",
            examples=[{"user": "backup", "databases": ["shop"]}],
        ),
    ] = None
    postgresql: Annotated[
        PostgresqlSource | None,
        msgspec.Meta(
            description="Instead of `paths`: databases of a PostgreSQL server, dumped.",
            examples=[{"databases": ["shop"], "run_as": "postgres"}],
        ),
    ] = None
    postgresql_base: Annotated[
        PostgresqlBaseSource | None,
        msgspec.Meta(
            description="Instead of `paths`: base backups of a PostgreSQL server.",
            examples=[{"scratch": "/var/lib/postgresql/hostward-base", "run_as": "postgres"}],
        ),
    ] = None
    postgresql_wal: Annotated[
        PostgresqlWalSource | None,
        msgspec.Meta(
            description="Instead of `paths`: the WAL that a PostgreSQL server archives.",
            examples=[{"spool": "/var/spool/hostward/shop"}],
        ),
    ] = None
    redis: Annotated[
        RedisSource | None,
        msgspec.Meta(
            description="Instead of `paths`: all of a Redis or Valkey server.", examples=[{"host": "127.0.0.1"}]
        ),
    ] = None
    sqlite: Annotated[
        SqliteSource | None,
        msgspec.Meta(
            description="Instead of `paths`: databases of SQLite.",
            examples=[{"paths": ["/var/lib/grafana/grafana.db"]}],
        ),
    ] = None
    snapshot: Annotated[
        Literal["none", "auto", "btrfs", "lvm", "zfs"],
        msgspec.Meta(
            description="Whether `paths` are read from snapshots of their file systems, as of one moment: of this "
            "system, or with `auto` of what each mount offers. Only root can do that.",
            examples=["auto"],
        ),
    ] = "none"
    snapshot_size: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much may change on a logical volume while its snapshot is read; by default 10 % of it. "
            "Where more changes the snapshot is lost, and the run with it.",
            examples=["5GiB"],
            extra={"minimum": Size(4 * _MiB)},
        ),
    ] = None
    exclude: Annotated[
        tuple[Text, ...],
        msgspec.Meta(
            description="Patterns of what is left out, as restic's.",
            examples=[["/home/*/.cache", "*.tmp", "!keep.tmp"]],
        ),
    ] = ()
    exclude_files: Annotated[
        tuple[FullPath, ...],
        msgspec.Meta(
            description="Files with such patterns, one a line.",
            examples=[["/etc/hostward/backup.exclude"]],
            extra={"words": "an array of full paths"},
        ),
    ] = ()
    iexclude: Annotated[
        tuple[Text, ...],
        msgspec.Meta(description="Patterns that heed no case.", examples=[["*.bak"]]),
    ] = ()
    iexclude_files: Annotated[
        tuple[FullPath, ...],
        msgspec.Meta(
            description="Files with patterns that heed no case.",
            examples=[["/etc/hostward/backup.iexclude"]],
            extra={"words": "an array of full paths"},
        ),
    ] = ()
    exclude_caches: Annotated[
        bool,
        msgspec.Meta(
            description="Whether folders are left out that a CACHEDIR.TAG marks as caches.", examples=[True]
        ),
    ] = False
    exclude_if_present: Annotated[
        tuple[Text, ...],
        msgspec.Meta(
            description="Names of files by which folders are left out, each with the beginning of its content behind "
            "a colon where that counts.",
            examples=[[".nobackup", "CACHEDIR.TAG:Signature: 8a477f597d28d172789f06886806bc55"]],
        ),
    ] = ()
    exclude_larger_than: Annotated[
        Size | None, msgspec.Meta(description="Larger files are left out; none by default.", examples=["2GiB"])
    ] = None
    one_file_system: Annotated[
        bool,
        msgspec.Meta(description="Whether other file systems mounted below a path are left out.", examples=[True]),
    ] = False
    host: Annotated[
        str,
        msgspec.Meta(
            description="The host that the snapshots name; empty for this host's name.",
            max_length=253,
            examples=["web-1"],
        ),
    ] = ""
    tags: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, pattern=r"\A[^,]+\Z")], ...],
        msgspec.Meta(description="The tags of the snapshots.", examples=[["etc", "daily"]]),
    ] = ()
    compression: Annotated[
        str,
        msgspec.Meta(
            description="How hard data is compressed.",
            pattern=r"\A(auto|off|max)\Z",
            examples=["max"],
            extra={"words": '"auto", "off" or "max"'},
        ),
    ] = "auto"
    pack_size: Annotated[
        Size,
        msgspec.Meta(
            description="The size of the files in the repository, in whole MiB.",
            examples=["64MiB"],
            extra={"minimum": Size(4 * _MiB), "maximum": Size(128 * _MiB)},
        ),
    ] = Size(16 * _MiB)
    extra_verify: Annotated[
        bool,
        msgspec.Meta(
            description="Whether everything that was sealed is opened again before it is written, which finds faulty "
            "memory.",
            examples=[False],
        ),
    ] = True
    limit_upload: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much is sent in a second at most; no limit by default. `bandwidth` outweighs it.",
            examples=["2MiB"],
            extra={"minimum": Size(1024)},
        ),
    ] = None
    limit_download: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much is fetched in a second at most; no limit by default. `bandwidth` outweighs it.",
            examples=["10MiB"],
            extra={"minimum": Size(1024)},
        ),
    ] = None
    bandwidth: Annotated[
        tuple[BandwidthOptions, ...],
        msgspec.Meta(
            description="Other limits in parts of the day, of which the first that fits holds. A run that is under "
            "way keeps to what holds now.",
            examples=[[{"from": "08:00", "to": "18:00", "upload": "1MiB"}]],
        ),
    ] = ()
    retry_lock: Annotated[
        Duration,
        msgspec.Meta(description="How long a run waits where somebody else has the lock.", examples=["10m"]),
    ] = Duration(0)
    ignore_inode: Annotated[
        bool,
        msgspec.Meta(
            description="Whether inodes and times of change say nothing of whether a file has changed, as on network "
            "file systems that make them up.",
            examples=[True],
        ),
    ] = False
    ignore_ctime: Annotated[
        bool,
        msgspec.Meta(
            description="Whether times of change say nothing of whether a file has changed.", examples=[True]
        ),
    ] = False
    with_atime: Annotated[
        bool,
        msgspec.Meta(description="Whether snapshots hold the times of access.", examples=[True]),
    ] = False
    skip_if_unchanged: Annotated[
        bool,
        msgspec.Meta(description="Whether no snapshot is made that is like the one before.", examples=[True]),
    ] = False
    read_concurrency: Annotated[
        _Count | None,
        msgspec.Meta(
            description="How many processes read files; by default one for each processor, at most 8.",
            examples=[2],
        ),
    ] = None
    watch: Annotated[
        bool,
        msgspec.Meta(
            description="Whether runs ask the job's watcher, the unit `hostward-backup-watch@NAME`, which folders "
            "have changed, and scan only these. Without an answer, and once a day, they scan everything.",
            examples=[True],
        ),
    ] = False
    verify: Annotated[
        bool | str,
        msgspec.Meta(
            description="Whether each run reads back what it stored, and compares it. A part of the whole repository "
            'is read as well where one is named: a share chosen at random as "5%" or "2G", or "1/30" for a '
            "thirtieth that is another one each day.",
            examples=[True, "5%"],
            extra={"words": 'true, false, or a part such as "5%", "2G" or "1/30"'},
        ),
    ] = False
    keep: Keep = None
    copies: Annotated[
        tuple[CopyOptions, ...],
        msgspec.Meta(
            description="More repositories, into which the snapshots are copied.",
            max_length=8,
            examples=[
                [
                    {
                        "repository": "s3:https://s3.example.com/bucket/web1",
                        "password_file": "/etc/hostward/s3.password",  # nosec B105  # where it is
                    }
                ]
            ],
        ),
    ] = ()
    before: Annotated[
        tuple[HookBefore, ...],
        msgspec.Meta(
            description="Programs to run before.", examples=[[{"command": ["/usr/bin/systemctl", "stop", "shop"]}]]
        ),
    ] = ()
    after: Annotated[
        tuple[HookAfter, ...],
        msgspec.Meta(
            description="Programs to run after.", examples=[[{"command": ["/usr/bin/systemctl", "start", "shop"]}]]
        ),
    ] = ()
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long one run may take, with all of its steps, before it is stopped.",
            examples=["6h"],
            extra={"minimum": Duration(1), "maximum": LONGEST},
        ),
    ] = Duration(86400)
    nice: Annotated[
        int,
        msgspec.Meta(
            description="The scheduling priority of a run, from 0 to 19, the lowest.", ge=0, le=19, examples=[19]
        ),
    ] = 10
    idle_io: Annotated[
        bool,
        msgspec.Meta(description="Whether a run reads and writes only while nobody else does.", examples=[True]),
    ] = False
    memory_max: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much memory a run may use before it is refused more; no limit by default.",
            examples=["1GiB"],
            extra={"minimum": LEAST_MEMORY},
        ),
    ] = None
    privileged: Annotated[
        Privileged | None,
        msgspec.Meta(
            description="Run by root's half of the agent when its time has come, with the rights that this table "
            "names instead of those of the agent's user. It counts only in root's own /etc/hostward.",
            examples=[{"capabilities": ["CAP_DAC_READ_SEARCH"], "writable": ["/srv/backup"]}],
        ),
    ] = None
    enabled: Annotated[bool, msgspec.Meta(description="false turns its timetable off.", examples=[False])] = True
    description: Annotated[
        str, msgspec.Meta(description="What it is for, in a few words.", examples=["configuration and homes"])
    ] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        check_access(self)
        given = [source for source in SOURCES if getattr(self, source) is not None] + ["paths"] * bool(self.paths)
        if len(given) != 1:
            found = " and ".join(given) or "none"
            raise ValueError(f"expected exactly one of {', '.join((*SOURCES, 'paths'))}, found {found}")
        places = [same_place(place) for place in self.places]
        for number, place in enumerate(self.copies, 1):
            if places[number] in places[:number]:
                raise ValueError(f"copies: {place.repository} is named twice: expected another repository")
        if self.snapshot != "none" and not self.paths:
            raise ValueError("snapshot is for paths alone: a source of its own knows how to read what is in use")
        if self.pack_size % _MiB:
            raise ValueError("pack_size: expected whole MiB")
        if isinstance(self.verify, str) and not _is_part(self.verify):
            raise ValueError(
                f'verify: expected true, false, or a part as "5%", "2G" or "1/30", found "{self.verify}"'
            )

    @property
    def places(self) -> tuple[str, ...]:
        """Its repository, and those of its copies."""
        return (self.repository, *(place.repository for place in self.copies))

    @property
    def source(self) -> str:
        """What is saved: `files`, or the name of a table."""
        return next((source for source in SOURCES if getattr(self, source) is not None), FILES)

    @property
    def patience(self) -> float:
        """Seconds after which a run is ended from outside: it ends itself before, and says why."""
        return self.timeout + sum(hook.timeout for hook in self.after) + ENDING


def _is_part(text: str) -> bool:
    """Whether backup.select.sizes.parse_subset takes it."""
    if _PART.fullmatch(text) is None:
        return False
    if text.endswith("%"):
        return 0 < float(text[:-1]) <= 100
    number, _, of = text.partition("/")
    return 1 <= int(number) <= int(of) <= 256 if of else int(text[:-1]) > 0
