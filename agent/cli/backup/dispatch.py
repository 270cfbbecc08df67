"""The commands of `hostward backup`."""

from __future__ import annotations

from agent.cli.backup.frame import around
from agent.cli.backup.options import configure
from kit.commands import Program

_HERE = "agent.cli.backup"

COMMANDS = {
    "init": (f"{_HERE}.init:INIT", "make a new repository"),
    "run": (f"{_HERE}.run:RUN", "make a snapshot of files and folders"),
    "drill": (f"{_HERE}.drill:DRILL", "try a restore, compare and measure it, and throw it away"),
    "recovery-kit": (f"{_HERE}.recovery_kit:RECOVERY_KIT", "write the page for the worst day"),
    "status": (f"{_HERE}.status:STATUS", "show jobs: last run, last success, next run"),
    "watch": (f"{_HERE}.watch:WATCH", "see which folders of jobs change, so that runs scan only these"),
    "snapshots": (f"{_HERE}.snapshots:SNAPSHOTS", "list the snapshots"),
    "ls": (f"{_HERE}.ls:LS", "list the files of a snapshot"),
    "restore": (f"{_HERE}.restore:RESTORE", "bring files of a snapshot back"),
    "restore-postgresql": (
        f"{_HERE}.restore_postgresql:RESTORE_POSTGRESQL",
        "bring a PostgreSQL server back as it was at a moment",
    ),
    "wal archive": (
        f"{_HERE}.wal_archive:WAL_ARCHIVE",
        "put a segment of PostgreSQL's WAL where it waits to be saved",
    ),
    "wal status": (f"{_HERE}.wal_status:WAL_STATUS", "show which moments of a PostgreSQL server can be restored"),
    "dump": (f"{_HERE}.dump:DUMP", "write a file, or a folder as an archive, to standard output"),
    "mount": (f"{_HERE}.mount:MOUNT", "show the snapshots as a file system, read-only"),
    "find": (f"{_HERE}.find:FIND", "find a file in all snapshots"),
    "diff": (f"{_HERE}.diff:DIFF", "show what changed from one snapshot to another"),
    "stats": (f"{_HERE}.stats:STATS", "count files and bytes"),
    "check": (f"{_HERE}.check:CHECK", "check that all is there, and as it was written"),
    "forget": (f"{_HERE}.forget:FORGET", "remove snapshots that no rule keeps"),
    "prune": (f"{_HERE}.prune:PRUNE", "free the room that no snapshot needs"),
    "copy": (f"{_HERE}.copy:COPY", "copy snapshots from another repository"),
    "rewrite": (f"{_HERE}.rewrite:REWRITE", "take files out of snapshots, or give them another host or time"),
    "tag": (f"{_HERE}.tag:TAG", "give snapshots other tags"),
    "repair index": (f"{_HERE}.repair:INDEX", "make the index agree with the packs that are there"),
    "repair packs": (f"{_HERE}.repair:PACKS", "save what is good in damaged packs"),
    "repair snapshots": (f"{_HERE}.repair:SNAPSHOTS", "make snapshots whole, without what is lost"),
    "unlock": (f"{_HERE}.unlock:UNLOCK", "remove locks that were left behind"),
    "credentials": (f"{_HERE}.credentials:CREDENTIALS", "print what restic needs for this host's repository at home"),
    "cache": (f"{_HERE}.cache:CACHE", "list or remove what this host keeps of repositories elsewhere"),
    "key list": (f"{_HERE}.key:LIST", "list the passwords of the repository"),
    "key add": (f"{_HERE}.key:ADD", "let another password open the repository"),
    "key remove": (f"{_HERE}.key:REMOVE", "remove a password"),
    "key passwd": (f"{_HERE}.key:PASSWD", "change the password"),
    "cat": (f"{_HERE}.cat:CAT", "print one object of the repository"),
    "list": (f"{_HERE}.list:LIST", "list the ids of one kind of objects"),
}

_RESTICS = {"backup": "run", "rebuild-index": "repair index"}

_ABSENT = dict.fromkeys(
    ("features", "generate", "migrate", "options", "recover", "self-update"),
    'restic has it; hostward does not: docs/backup.md, "What differs from restic"',
)

BACKUP = Program("hostward backup", COMMANDS, configure, around, _RESTICS, _ABSENT, json_errors=True)
