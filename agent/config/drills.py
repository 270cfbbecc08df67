"""A drill: the table `[drills.NAME]`, which says what `hostward backup drill NAME` restores, and when.

Loading it loads nothing of the backups themselves: the daemon, too, reads the configuration.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Annotated, Final, Literal

import msgspec

from agent.backups.scratch.registry import SERVERS
from agent.config.backups import LEAST_MEMORY, BackupOptions
from agent.config.hooks import LONGEST
from agent.config.name import Name
from agent.config.repositories import CopyOptions, same_place
from agent.privileged.options import Privileged
from agent.timetable import Schedule
from kit.options.decode import nearest
from kit.options.tree import Mistake, Tree
from kit.units import Duration, Size

TABLE: Final = "drills"
ENDING: Final = 900.0
"""Seconds that a drill has to remove what it restored when its time is up."""
Kind = Literal["sample", "full", "database"]

DATABASES: Final = frozenset(SERVERS) | {"postgresql_base"}
"""Sources that a database drill restores: dumps, and a base backup with the WAL after it."""

_Text = Annotated[str, msgspec.Meta(min_length=1)]
_Path = Annotated[
    str, msgspec.Meta(pattern=r"\A/[^\0]*\Z", max_length=4096, extra={"words": "a full path, beginning with /"})
]


class Assertion(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What must be true of what came back: a program that succeeds, or a query that answers as expected."""

    command: Annotated[
        tuple[_Text, ...],
        msgspec.Meta(
            description="A program and its arguments, without a shell. HOSTWARD_DRILL_FOLDER is the folder below "
            "which everything lies under the path that it has in the snapshot. It must end with exit code 0.",
            examples=[["/usr/local/bin/shop-is-whole"]],
            extra={"words": "an array of text, the program first"},
        ),
    ] = ()
    sql: Annotated[
        str,
        msgspec.Meta(
            description="A query for the scratch server of a database drill. Of its answer the first value counts.",
            examples=["select max(placed) > now() - interval '2 hours' from orders"],
        ),
    ] = ""
    database: Annotated[
        str,
        msgspec.Meta(
            description="The database that is asked; the only one that came back by default.",
            max_length=63,
            examples=["shop"],
        ),
    ] = ""
    expect: Annotated[
        str | None,
        msgspec.Meta(
            description="What the query's value, or the first line that the program prints, must be. By default the "
            "value must be neither empty nor 0 nor false, and what the program prints says nothing.",
            examples=["42"],
        ),
    ] = None
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long it may take.",
            examples=["1m"],
            extra={"minimum": Duration(1), "maximum": LONGEST},
        ),
    ] = Duration(600)

    def __post_init__(self) -> None:
        if bool(self.command) == bool(self.sql):
            raise ValueError("expected either command or sql")
        if self.database and not self.sql:
            raise ValueError("database says which one sql asks: expected sql too")


class DrillOptions(Schedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A restore that is tried on a timetable, into a place that is thrown away. Exactly one of `every` to `yearly`
    says when.
    """

    backup: Annotated[
        Name, msgspec.Meta(description="The backup job whose snapshots are restored.", examples=["shop"])
    ]
    repository: Annotated[
        str,
        msgspec.Meta(
            description="The repository to restore from, where that is not the job's own: that of one of its copies.",
            examples=["s3:https://s3.example.com/bucket/web1"],
        ),
    ] = ""
    kind: Annotated[
        Kind,
        msgspec.Meta(
            description='What is restored: "sample", files chosen at random; "full", everything; "database", the '
            "dumps, into a server of the drill's own.",
            examples=["full"],
            extra={"words": '"sample", "full" or "database"'},
        ),
    ] = "sample"
    sample_files: Annotated[
        int, msgspec.Meta(description="How many files a sample has.", ge=1, le=1_000_000, examples=[1000])
    ] = 200
    sample_bytes: Annotated[
        Size,
        msgspec.Meta(
            description="How large the files of a sample are together at most. A file that does not fit in is "
            "left out.",
            examples=["10GiB"],
            extra={"minimum": Size(1)},
        ),
    ] = Size(2**30)
    live_files: Annotated[
        int,
        msgspec.Meta(
            description="How many of the restored files, chosen at random, are compared with those on this host that "
            "have not changed since (size, times, inode).",
            ge=0,
            le=1_000_000,
            examples=[1000],
        ),
    ] = 200
    age: Annotated[
        Duration,
        msgspec.Meta(
            description="Restore the newest snapshot that is at least so old; by default the newest of all.",
            examples=["30d"],
        ),
    ] = Duration(0)
    scratch: Annotated[
        _Path,
        msgspec.Meta(
            description="A folder below which each drill makes one of its own, which nobody else can look into, and "
            "removes it.",
            examples=["/srv/scratch"],
        ),
    ] = "/var/tmp"  # noqa: S108  # nosec B108  # the folder in it is made by mkdir(2) with a random name
    space: Annotated[
        Size,
        msgspec.Meta(
            description="How much a drill may write there. One that needs more fails before it begins; and it "
            "always leaves a twentieth of the file system free.",
            examples=["200GiB"],
            extra={"minimum": Size(2**20)},
        ),
    ] = Size(20 * 2**30)
    rpo: Annotated[
        Duration | None,
        msgspec.Meta(
            description="The target for the recovery point: how old what comes back may be.",
            examples=["1h"],
            extra={"minimum": Duration(1)},
        ),
    ] = None
    rto: Annotated[
        Duration | None,
        msgspec.Meta(
            description="The target for the recovery time: how long it may take until everything is back.",
            examples=["4h"],
            extra={"minimum": Duration(1)},
        ),
    ] = None
    assertion: Annotated[
        Assertion | None,
        msgspec.Meta(
            description="What must be true of what came back.",
            examples=[{"sql": "select count(*) > 1000 from orders", "database": "shop"}],
        ),
    ] = None
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long one drill may take before it is stopped.",
            examples=["12h"],
            extra={"minimum": Duration(1), "maximum": LONGEST},
        ),
    ] = Duration(6 * 3600)
    nice: Annotated[
        int,
        msgspec.Meta(
            description="The scheduling priority, from 0, as the agent itself, to 19, the lowest. A drill that has "
            "to give way measures a longer recovery time.",
            ge=0,
            le=19,
            examples=[19],
        ),
    ] = 10
    idle_io: Annotated[
        bool,
        msgspec.Meta(description="Whether it reads and writes only while nobody else does.", examples=[True]),
    ] = False
    memory_max: Annotated[
        Size | None,
        msgspec.Meta(
            description="How much memory it may use before it is refused more; no limit by default.",
            examples=["1GiB"],
            extra={"minimum": LEAST_MEMORY},
        ),
    ] = None
    privileged: Annotated[
        Privileged | None,
        msgspec.Meta(
            description="Run by root's half of the agent, with the rights that this table names instead of those of "
            "the agent's user. It counts only in root's own /etc/hostward.",
            examples=[{"network": True, "capabilities": ["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]}],
        ),
    ] = None
    enabled: Annotated[bool, msgspec.Meta(description="false turns it off.", examples=[False])] = True
    description: Annotated[
        str, msgspec.Meta(description="What it is for, in a few words.", examples=["the shop, as auditors want it"])
    ] = ""

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.age and self.rpo is not None:
            raise ValueError("rpo is about the newest snapshot, but age asks for an older one: expected one of them")
        if self.assertion is not None and bool(self.assertion.sql) != (self.kind == "database"):
            raise ValueError('assertion: expected sql with kind = "database", which leaves no files, else a command')

    @property
    def patience(self) -> float:
        """Seconds after which a drill is ended from outside: it ends itself before, and says why."""
        return self.timeout + ENDING


def place_of(drill: DrillOptions, job: BackupOptions) -> BackupOptions | CopyOptions | None:
    """The repository that it restores from, and what opens it; None where it is none of the job's."""
    if not drill.repository:
        return job
    places: list[BackupOptions | CopyOptions] = [job, *job.copies]
    asked = same_place(drill.repository)
    return next((place for place in places if same_place(place.repository) == asked), None)


def misfits(drills: Mapping[str, DrillOptions], jobs: Mapping[str, BackupOptions], tree: Tree) -> list[Mistake]:
    """A mistake for each drill whose `backup` is none of the backup jobs, or holds nothing of its kind, or whose
    `repository` is none of that job's.
    """
    mistakes = []
    for name, drill in drills.items():
        for key, text in _misfits(drill, jobs):
            path = (TABLE, name, key)
            mistakes.append(Mistake(tree.place(path), path, text))
    return mistakes


def _misfits(drill: DrillOptions, jobs: Mapping[str, BackupOptions]) -> Iterator[tuple[str, str]]:
    job = jobs.get(drill.backup)
    if job is None:
        yield "backup", f'there is no backup job "{drill.backup}"{nearest(drill.backup, list(jobs))}'
        return
    if drill.kind == "database" and job.source not in DATABASES:
        kinds = ", ".join(sorted(DATABASES))
        yield "backup", f'kind = "database" restores what {kinds} saved, and "{drill.backup}" saves {job.source}'
    if place_of(drill, job) is None:
        places = ", ".join(job.places)
        yield "repository", f'"{drill.backup}" saves into {places}, and not into {drill.repository}'
