"""What tables say of repositories: where one is, what opens it, and which snapshots stay in it."""

from __future__ import annotations

import posixpath
import re
from typing import Annotated, Literal, Protocol

import msgspec

HOME: Literal["home"] = "home"
"""As a repository's place: the one that this host has at home."""

# `://user:password@` or `sftp:user:password@`. A path may hold anything.
_INLINE_PASSWORD = re.compile(r"(?!/|\./|\.\./|local:)[^@]*?(//|:)[^/@:]+:[^/@]+@")

Text = Annotated[str, msgspec.Meta(min_length=1)]
FullPath = Annotated[
    str, msgspec.Meta(pattern=r"\A/[^\0]*\Z", max_length=4096, extra={"words": "a full path, beginning with /"})
]
Secret = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(/|credential:)[^\0]+\Z", extra={"words": "the full path of a file, or credential:NAME"}
    ),
]

Repository = Annotated[
    str,
    msgspec.Meta(
        description="Where the repository is, as restic writes it: a folder, `sftp:`, `s3:` or `rest:`. It holds "
        'no password. "home" is this host\'s own at home, once it is enrolled.',
        min_length=1,
        examples=["/srv/backup", "s3:https://s3.example.com/bucket/web1", "rest:https://home.example.com/web1/"],
    ),
]
PasswordFile = Annotated[
    Secret | None,
    msgspec.Meta(
        description="A file that holds the repository's password and that nobody else can read, or "
        "`credential:NAME`, a credential of the unit. Without this and `password_command` somebody is asked.",
        examples=["/etc/hostward/backup.password", "credential:backup"],
    ),
]
PasswordCommand = Annotated[
    tuple[Text, ...],
    msgspec.Meta(
        description="A program that prints the password, and its arguments, without a shell.",
        examples=[["/usr/bin/pass", "show", "backup"]],
        extra={"words": "an array of text, the program first"},
    ),
]
EnvironmentFile = Annotated[
    Secret | None,
    msgspec.Meta(
        description="A file with a line `NAME=VALUE` for each of the store's credentials, such as "
        "AWS_ACCESS_KEY_ID, AWS_SECRET_ACCESS_KEY, RESTIC_REST_USERNAME and RESTIC_REST_PASSWORD. Nobody else "
        "may have any rights to it; `credential:NAME` is a credential of the unit.",
        examples=["/etc/hostward/backup.environment"],
    ),
]
Authorities = Annotated[
    FullPath | None,
    msgspec.Meta(
        description="A file with the certificate authorities to trust; the system's by default.",
        examples=["/etc/hostward/backup-ca.pem"],
    ),
]
Init = Annotated[
    bool,
    msgspec.Meta(
        description="Whether a run makes the repository where there is none. Else that is a failure, and so it is "
        "where an earlier run had one: a disk that is not mounted looks just like that.",
        examples=[True],
    ),
]

_Number = Annotated[int, msgspec.Meta(ge=0, le=999_999_999)]
_Span = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(?=.)([0-9]{1,6}y)?([0-9]{1,6}m)?([0-9]{1,6}d)?([0-9]{1,6}h)?\Z",
        extra={"words": 'years, months, days and hours such as "30d" or "1y6m"'},
    ),
]


class KeepOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which snapshots of the job stay: all that any of the rules keeps, as restic's rules have it. The others are
    removed after each run that did well, and so is the data that no snapshot needs any more.
    """

    last: Annotated[_Number, msgspec.Meta(description="The last ones, so many.", examples=[5])] = 0
    hourly: Annotated[
        _Number,
        msgspec.Meta(description="Of so many hours that have any the last one.", examples=[24]),
    ] = 0
    daily: Annotated[_Number, msgspec.Meta(description="Of so many days.", examples=[7])] = 0
    weekly: Annotated[_Number, msgspec.Meta(description="Of so many weeks, which begin on Monday.", examples=[4])] = 0
    monthly: Annotated[_Number, msgspec.Meta(description="Of so many months.", examples=[12])] = 0
    yearly: Annotated[_Number, msgspec.Meta(description="Of so many years.", examples=[3])] = 0
    within: Annotated[
        _Span | None,
        msgspec.Meta(description="All that are not older than this before the newest one.", examples=["30d"]),
    ] = None

    def __post_init__(self) -> None:
        if not any(getattr(self, rule) for rule in self.__struct_fields__):
            raise ValueError("keeps nothing: expected last, hourly, daily, weekly, monthly, yearly or within")


Keep = Annotated[
    KeepOptions | None,
    msgspec.Meta(
        description="Which of the job's snapshots stay in the repository; all of them by default.",
        examples=[{"daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}],
    ),
]


class Access(Protocol):
    """A repository that a table names, and what opens it."""

    @property
    def repository(self) -> str: ...
    @property
    def init(self) -> bool: ...
    @property
    def password_file(self) -> str | None: ...
    @property
    def password_command(self) -> tuple[str, ...]: ...
    @property
    def environment_file(self) -> str | None: ...
    @property
    def cacert(self) -> str | None: ...
    @property
    def keep(self) -> KeepOptions | None: ...


class CopyOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One more repository, into which each snapshot of the job is copied."""

    repository: Repository
    init: Init = False
    password_file: PasswordFile = None
    password_command: PasswordCommand = ()
    environment_file: EnvironmentFile = None
    cacert: Authorities = None
    keep: Keep = None

    def __post_init__(self) -> None:
        check_access(self)


def same_place(repository: str) -> str:
    """One text for all the ways to write a place that differ in nothing: by it runs know that they share one."""
    path = repository.removeprefix("local:")
    return posixpath.normpath("/" + path.lstrip("/")) if path.startswith("/") else repository.rstrip("/")


def check_access(access: Access) -> None:
    """Raises ValueError for what no table may say of a repository."""
    if _INLINE_PASSWORD.match(access.repository) is not None:
        raise ValueError(
            "repository holds a password, which everybody sees who reads this file: put it into "
            "environment_file, as RESTIC_REST_PASSWORD for one behind rest:"
        )
    if access.password_file is not None and access.password_command:
        raise ValueError("password_file and password_command exclude each other")
    if access.repository == HOME and access.keep is not None:
        raise ValueError('keep: what stays at home is home\'s to say; expected none with repository = "home"')
