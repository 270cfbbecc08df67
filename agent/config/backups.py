"""A backup job: the table `[backups.NAME]`, which says what `hostward backup run NAME` saves, and where.

Loading it loads nothing of the backups themselves: the daemon, too, reads the configuration.
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from kit.units import Duration, Size

_MiB = 2**20
# `://user:password@` or `sftp:user:password@`. A path may hold anything.
_INLINE_PASSWORD = re.compile(r"(?!/|\./|\.\./|local:)[^@]*?(//|:)[^/@:]+:[^/@]+@")

Text = Annotated[str, msgspec.Meta(min_length=1)]
_Count = Annotated[int, msgspec.Meta(ge=1, le=64)]
_Secret = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(/|credential:)[^\0]+\Z", extra={"words": "the full path of a file, or credential:NAME"}
    ),
]
_Path = Annotated[
    str, msgspec.Meta(pattern=r"\A/[^\0]*\Z", max_length=4096, extra={"words": "a full path, beginning with /"})
]


def _mentions_password(location: str) -> bool:
    return _INLINE_PASSWORD.match(location) is not None


class BackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What `hostward backup run NAME` saves, and into which repository. Every command of backups takes repository and
    password from it by `--job NAME`. What the command line says besides is added to lists and outweighs values.

    No secret stands here: passwords and keys are in files of their own.
    """

    repository: Annotated[
        str,
        msgspec.Meta(
            description="Where the repository is, as restic writes it: a folder, `sftp:`, `s3:` or `rest:`. It holds "
            "no password.",
            min_length=1,
            examples=["/srv/backup", "s3:https://s3.example.com/bucket/web1", "rest:https://home.example.com/web1/"],
        ),
    ]
    paths: Annotated[
        tuple[_Path, ...],
        msgspec.Meta(
            description="The files and folders to save.",
            min_length=1,
            examples=[["/etc", "/home", "/srv"]],
            extra={"words": "an array of full paths"},
        ),
    ]
    password_file: Annotated[
        _Secret | None,
        msgspec.Meta(
            description="A file that holds the repository's password and that nobody else can read, or "
            "`credential:NAME`, a credential of the unit. Without this and `password_command` somebody is asked.",
            examples=["/etc/hostward/backup.password", "credential:backup"],
        ),
    ] = None
    password_command: Annotated[
        tuple[Text, ...],
        msgspec.Meta(
            description="A program that prints the password, and its arguments, without a shell.",
            examples=[["/usr/bin/pass", "show", "backup"]],
            extra={"words": "an array of text, the program first"},
        ),
    ] = ()
    environment_file: Annotated[
        _Secret | None,
        msgspec.Meta(
            description="A file with a line `NAME=VALUE` for each of the store's credentials, such as "
            "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD. Nobody else "
            "may have any rights to it; `credential:NAME` is a credential of the unit.",
            examples=["/etc/hostward/backup.environment"],
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
        tuple[_Path, ...],
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
        tuple[_Path, ...],
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
            description="How much is sent in a second at most; no limit by default.",
            examples=["2MiB"],
            extra={"minimum": Size(1024)},
        ),
    ] = None
    limit_download: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much is fetched in a second at most; no limit by default.",
            examples=["10MiB"],
            extra={"minimum": Size(1024)},
        ),
    ] = None
    retry_lock: Annotated[
        Duration,
        msgspec.Meta(description="How long a run waits where somebody else has the lock.", examples=["10m"]),
    ] = Duration(0)
    cacert: Annotated[
        _Path | None,
        msgspec.Meta(
            description="A file with the certificate authorities to trust; the system's by default.",
            examples=["/etc/hostward/backup-ca.pem"],
        ),
    ] = None
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
    description: Annotated[
        str, msgspec.Meta(description="What it is for, in a few words.", examples=["configuration and homes"])
    ] = ""

    def __post_init__(self) -> None:
        if _mentions_password(self.repository):
            raise ValueError(
                "repository holds a password, which everybody sees who reads this file: put it into "
                "environment_file, as RESTIC_REST_PASSWORD for one behind rest:"
            )
        if self.password_file is not None and self.password_command:
            raise ValueError("password_file and password_command exclude each other")
        if self.pack_size % _MiB:
            raise ValueError("pack_size: expected whole MiB")
