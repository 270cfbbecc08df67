"""The commands of `hostward backup`."""

from __future__ import annotations

from agent.cli.backup.frame import around
from agent.cli.backup.options import configure
from kit.commands import Program

_HERE = "agent.cli.backup"

COMMANDS = {
    "init": (f"{_HERE}.init:INIT", "make a new repository"),
    "snapshots": (f"{_HERE}.snapshots:SNAPSHOTS", "list the snapshots"),
    "ls": (f"{_HERE}.ls:LS", "list the files of a snapshot"),
    "unlock": (f"{_HERE}.unlock:UNLOCK", "remove locks that were left behind"),
    "key list": (f"{_HERE}.key:LIST", "list the passwords of the repository"),
    "key add": (f"{_HERE}.key:ADD", "let another password open the repository"),
    "key remove": (f"{_HERE}.key:REMOVE", "remove a password"),
    "key passwd": (f"{_HERE}.key:PASSWD", "change the password"),
    "cat": (f"{_HERE}.cat:CAT", "print one object of the repository"),
    "list": (f"{_HERE}.list:LIST", "list the ids of one kind of objects"),
}

BACKUP = Program("hostward backup", COMMANDS, configure, around)
