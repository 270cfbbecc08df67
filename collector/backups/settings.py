"""What `[backups]` in collector.toml says: whether home keeps repositories, where, and how much of whom."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Annotated

import msgspec

from collector.backups.keeping.settings import Keep, KeepingOptions
from kit.units import Size

_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,63}")
_PLACE = re.compile(r"|(/|s3:)[^\0]+")

_Host = Annotated[str, msgspec.Meta(min_length=1, max_length=253)]
_Secret = Annotated[
    str,
    msgspec.Meta(
        pattern=r"\A(/|credential:)[^\0]+\Z", extra={"words": "the full path of a file, or credential:NAME"}
    ),
]


class RepositoryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """One repository: with `hosts` the one that these share, without it the own one of the host that is named."""

    hosts: Annotated[
        tuple[_Host, ...],
        msgspec.Meta(
            description="The hosts that share it, by name or id. Each of them reads all that the others save.",
            examples=[["web1", "web2"]],
        ),
    ] = ()
    quota: Annotated[Size | None, msgspec.Meta(description="Instead of the quota of all.", examples=["2TiB"])] = None
    append_only: Annotated[
        bool | None, msgspec.Meta(description="Instead of what holds for all.", examples=[False])
    ] = None
    keep: Keep = None
    password_file: Annotated[
        _Secret | None,
        msgspec.Meta(
            description="A file with the repository's password that nobody else can read, or `credential:NAME`. With "
            "it home prunes, verifies and looks into the snapshots; without it home can do neither, and sees only "
            "when they came.",
            examples=["/etc/hostward/backups/db1.password", "credential:db1"],
        ),
    ] = None


class BackupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Repositories at home. Without the table `[backups]` there are none."""

    place: Annotated[
        str,
        msgspec.Meta(
            description="The folder in which the repositories are, which must be there, or a bucket of S3. Empty for "
            "`backups` in the collector's own folder.",
            examples=["/srv/backups", "s3:https://s3.example.net/bucket/prefix"],
        ),
    ] = ""
    environment_file: Annotated[
        _Secret | None,
        msgspec.Meta(
            description="A file with a line `NAME=VALUE` for each of the credentials of S3, such as "
            "AWS_SECRET_ACCESS_KEY, that nobody else can read; or `credential:NAME`, a credential of the unit.",
            examples=["/etc/hostward/backups.env"],
        ),
    ] = None
    quota: Annotated[
        Size | None,
        msgspec.Meta(
            description="What one repository may hold; no limit by default but the room that there is.",
            examples=["500GiB"],
        ),
    ] = None
    keep_free: Annotated[
        Size,
        msgspec.Meta(
            description="The room that stays free on home's disk: less than that, and nothing more is taken.",
            examples=["20GiB"],
        ),
    ] = Size(5 * 2**30)
    append_only: Annotated[
        bool,
        msgspec.Meta(
            description="Whether hosts can only add. With false they can remove what is in their repository.",
            examples=[False],
        ),
    ] = True
    keep: Keep = None
    keeping: Annotated[
        KeepingOptions,
        msgspec.Meta(description="When home keeps and verifies its repositories, and what that may use."),
    ] = KeepingOptions()
    repositories: Annotated[
        dict[str, RepositoryOptions],
        msgspec.Meta(
            description="What differs from the rest, by the host's name or id; or a repository that hosts share, "
            "by a name of its own, or by the id of the host whose own it was.",
            examples=[{"db1": {"quota": "2TiB"}, "web": {"hosts": ["web1", "web2"]}}],
        ),
    ] = {}

    def __post_init__(self) -> None:
        if _PLACE.fullmatch(self.place) is None:
            raise ValueError(f'place is "{self.place}": expected the full path of a folder, or s3:…')
        seen: dict[str, str] = {}
        for name, options in self.repositories.items():
            if options.hosts and _NAME.fullmatch(name) is None:
                raise ValueError(
                    f'"{name}" cannot be the name of a shared repository: expected up to 64 letters, digits, _ . and '
                    "-, a letter or digit first"
                )
            for host in options.hosts:
                if seen.setdefault(host, name) != name:
                    raise ValueError(f'the host "{host}" shares two repositories, {seen[host]} and {name}')


class Place(msgspec.Struct, frozen=True, kw_only=True):
    """The one repository of a host, and what holds for it."""

    repository: str
    """Its name: of its folder, and in its URL."""
    shared: bool
    quota: int | None
    """Bytes."""
    append_only: bool


def place_of(options: BackupOptions, host: str, name: str) -> Place:
    """Where the host of this id and name saves to: each host has one repository, its own or a shared one."""
    for shared, found in options.repositories.items():
        if host in found.hosts or name in found.hosts:
            return _place(options, shared, found, shared=True)
    return _place(options, host, _own(options.repositories, host, name), shared=False)


def place_named(options: BackupOptions, repository: str, name: str = "") -> Place:
    """What holds for a repository by its name; `name` is that of the host whose own it is."""
    found = options_named(options, repository, name)
    return _place(options, repository, found, shared=bool(found.hosts))


def options_named(options: BackupOptions, repository: str, name: str = "") -> RepositoryOptions:
    """What is said of a repository by its name; `name` is that of the host whose own it is."""
    return _own(options.repositories, repository, name)


def _own(repositories: Mapping[str, RepositoryOptions], repository: str, name: str) -> RepositoryOptions:
    found = repositories.get(repository)
    if found is None:
        found = repositories.get(name)
        # One that hosts share may be called like a host that is none of these.
        return RepositoryOptions() if found is None or found.hosts else found
    return found


def _place(options: BackupOptions, repository: str, found: RepositoryOptions, *, shared: bool) -> Place:
    quota = options.quota if found.quota is None else found.quota
    return Place(
        repository=repository,
        shared=shared,
        quota=None if quota is None else int(quota),
        append_only=options.append_only if found.append_only is None else found.append_only,
    )
