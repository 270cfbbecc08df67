"""Files: whether they are there, how many, how old, how large, whose, and what they allow."""

from __future__ import annotations

import grp
import os
import pwd
import stat
from collections.abc import Iterable, Sequence
from contextlib import suppress
from glob import has_magic, iglob
from itertools import islice
from typing import Annotated, Literal, NamedTuple

import msgspec

from agent.checks.contract import (
    Check,
    CheckError,
    CheckOptions,
    Context,
    Every,
    Finding,
    Floor,
    Measurement,
    Rule,
    Sample,
    Threshold,
)
from kit.units import Duration, format_duration, format_size

MOST = 100_000
"""Files that one run looks at."""
SHOWN = 3
"""Of the files that are not as they should be, so many are named."""

Kind = Literal["file", "directory", "link", "socket", "pipe", "device"]
KINDS: dict[int, Kind] = {
    stat.S_IFREG: "file",
    stat.S_IFDIR: "directory",
    stat.S_IFLNK: "link",
    stat.S_IFSOCK: "socket",
    stat.S_IFIFO: "pipe",
    stat.S_IFBLK: "device",
    stat.S_IFCHR: "device",
}
Mode = Annotated[str, msgspec.Meta(pattern=r"\A0?[0-7]{3,4}\Z", extra={"words": 'an octal mode such as "0640"'})]


class FileOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Files that must be there, or must not, and as they should be."""

    every: Every = Duration(60)
    paths: Annotated[
        tuple[Annotated[str, msgspec.Meta(pattern=r"\A/.+\Z", extra={"words": "an absolute path"})], ...],
        msgspec.Meta(
            description="Which files (* and ? as in file names, ** for any folders). All that they match are looked "
            "at together.",
            min_length=1,
            examples=[["/var/backups/*.dump"]],
            extra={"words": "an array of absolute paths"},
        ),
    ]
    kind: Annotated[
        Kind | None,
        msgspec.Meta(
            description="Only files of this kind count. Links are followed, unless they are what is asked for.",
            examples=["directory"],
        ),
    ] = None
    absent: Annotated[
        bool,
        msgspec.Meta(description="true where there must be none: each that is there is critical.", examples=[True]),
    ] = False
    too_few: Annotated[
        Floor, msgspec.Meta(description="Bounds of the number of files: from these values on downwards.")
    ] = Floor(critical=0)
    too_many: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the number of files: from these values on upwards.", examples=[{"warning": 100}]
        ),
    ] = Threshold()
    newest: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds since the newest file was modified, for what is late.",
            examples=[{"warning": 93600}],
        ),
    ] = Threshold()
    oldest: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the seconds since the oldest file was modified, for what lies about.",
            examples=[{"warning": 900}],
        ),
    ] = Threshold()
    smallest: Annotated[
        Floor,
        msgspec.Meta(
            description="Bounds of the bytes of the smallest file: from these values on downwards.",
            examples=[{"critical": 0}],
        ),
    ] = Floor()
    largest: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of the bytes of the largest file.", examples=[{"warning": 1_000_000_000}]),
    ] = Threshold()
    total: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of the bytes of all files together.", examples=[{"warning": 10_000_000_000}]
        ),
    ] = Threshold()
    owner: Annotated[
        str, msgspec.Meta(description="The user, by name or number, to whom each must belong.", examples=["root"])
    ] = ""
    group: Annotated[
        str, msgspec.Meta(description="The group, by name or number, to which each must belong.", examples=["adm"])
    ] = ""
    mode: Annotated[
        Mode | None,
        msgspec.Meta(description="The most that the permissions of each may allow, in octal.", examples=["0640"]),
    ] = None


class Found(NamedTuple):
    """A file, as it is needed."""

    path: str
    kind: Kind
    modified: float
    """Seconds since the epoch."""
    size: int
    """Bytes, of what has a length: a regular file."""
    uid: int
    gid: int
    mode: int
    """Permission bits."""


class File(Check[FileOptions]):
    """Files of the host."""

    Options = FileOptions
    runs = "job"  # they may lie on a mount that hangs

    def rules(self) -> list[Rule]:
        """Number, age, size."""
        options = self.options
        if options.absent:
            return []
        where = _where(options).replace("{", "{{").replace("}", "}}")
        number = f"files at {where}: {{value}}"
        return [
            Rule("file_count", options.too_few, number),
            Rule("file_count", options.too_many, number),
            Rule("file_newest_age_seconds", options.newest, f"the newest of {where} is {{value}} old"),
            Rule("file_oldest_age_seconds", options.oldest, f"the oldest of {where} is {{value}} old"),
            Rule("file_smallest_bytes", options.smallest, f"the smallest of {where} has {{value}}"),
            Rule("file_largest_bytes", options.largest, f"the largest of {where} has {{value}}"),
            Rule("file_size_bytes", options.total, f"all of {where} together have {{value}}"),
        ]

    def collect(self, context: Context) -> Sample:
        """Look at each that there is."""
        wanted = [os.fspath(context.system.path(path.lstrip("/"))) for path in self.options.paths]
        for path in wanted:
            _check_reachable(path)
        matches = (name for path in wanted for name in iglob(path, recursive=True))  # noqa: PTH207 - text, as patterns are
        names = list(dict.fromkeys(islice(matches, MOST + 1)))
        found = [file for name in names[:MOST] if (file := look_at(name, self.options.kind)) is not None]
        sample = derive(found, self.options, context.now)
        if len(names) <= MOST:
            return sample
        finding = Finding("unknown", f"more than {MOST} files: no more than that are looked at")
        return Sample(sample.measurements, [*sample.findings, finding], sample.summary)


def derive(files: Sequence[Found], options: FileOptions, now: float) -> Sample:
    """What the files that count come to."""
    measurements = [Measurement("file_count", len(files))]
    if options.absent:
        findings = _named("is there", [file.path for file in files])
        return Sample(measurements, findings, f"{_where(options)} is not there")
    findings = _misfits(files, options)
    summary = f"{len(files)} file{'s' * (len(files) != 1)}"
    if files:
        newest = max(0.0, now - max(file.modified for file in files))
        oldest = max(0.0, now - min(file.modified for file in files))
        measurements += [
            Measurement("file_newest_age_seconds", newest, "seconds"),
            Measurement("file_oldest_age_seconds", oldest, "seconds"),
        ]
        summary += f", the newest {format_duration(newest)} old"
    sizes = [file.size for file in files if file.kind == "file"]
    if sizes:
        measurements += [
            Measurement("file_smallest_bytes", min(sizes), "bytes"),
            Measurement("file_largest_bytes", max(sizes), "bytes"),
            Measurement("file_size_bytes", sum(sizes), "bytes"),
        ]
        summary += f", {format_size(sum(sizes))}"
    return Sample(measurements, findings, summary)


def _where(options: FileOptions) -> str:
    """Which files, for a message."""
    return options.paths[0] if len(options.paths) == 1 else f"{options.paths[0]} and others"


def look_at(path: str, kind: Kind | None) -> Found | None:
    """The file, None where it is gone or of another kind. Raises OSError."""
    try:
        status = os.stat(path, follow_symlinks=kind != "link")  # noqa: PTH116 - text
    except FileNotFoundError:
        return None  # since it was listed, or a link that leads nowhere
    found = KINDS.get(stat.S_IFMT(status.st_mode))
    if found is None or kind not in (None, found):
        return None
    mode = stat.S_IMODE(status.st_mode)
    return Found(path, found, status.st_mtime, status.st_size, status.st_uid, status.st_gid, mode)


def _check_reachable(path: str) -> None:
    """Raises CheckError where nobody can say whether files are there: patterns match nothing in a folder that cannot
    be read."""
    folder = path
    while has_magic(folder):
        folder = os.path.dirname(folder)  # noqa: PTH120 - text, as patterns are
    try:
        if folder == path:
            os.lstat(path)
        else:
            os.scandir(folder).close()
    except (FileNotFoundError, NotADirectoryError):
        return
    except OSError as error:
        raise CheckError(f"{folder} cannot be read: {error.strerror}") from error


def _misfits(files: Sequence[Found], options: FileOptions) -> list[Finding]:
    """Those that belong to others, or allow more than they may."""
    findings = []
    if options.owner:
        uid = _number(options.owner, "user")
        findings += _named(f"does not belong to {options.owner}", [f.path for f in files if f.uid != uid])
    if options.group:
        gid = _number(options.group, "group")
        wrong = [file.path for file in files if file.gid != gid]
        findings += _named(f"is not of the group {options.group}", wrong)
    if options.mode is not None:
        most = int(options.mode, 8)
        open_ones = [f"{file.path} ({file.mode:04o})" for file in files if file.mode & ~most]
        findings += _named(f"allows more than {most:04o}", open_ones)
    return findings


def _named(what: str, paths: Iterable[str]) -> list[Finding]:
    wrong = sorted(paths)
    findings = [Finding("critical", f"{path} {what}") for path in wrong[:SHOWN]]
    if len(wrong) > SHOWN:
        findings.append(Finding("critical", f"so it is with {len(wrong) - SHOWN} more"))
    return findings


def _number(name: str, what: Literal["user", "group"]) -> int:
    if name.isascii() and name.isdigit():
        return int(name)
    with suppress(KeyError):
        return pwd.getpwnam(name).pw_uid if what == "user" else grp.getgrnam(name).gr_gid
    raise CheckError(f"there is no {what} {name} on this host")
