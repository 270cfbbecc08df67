"""`[backups.NAME.command]`: what a program prints is saved as a file."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.config.backup_sources.common import RunAs, Words


class CommandSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What a program writes to its standard output, as one file. If it fails, no snapshot is made."""

    command: Annotated[
        tuple[Words, ...],
        msgspec.Meta(
            description="The program and its arguments, without a shell. Secrets do not belong here: every user of "
            "the host sees them in the list of processes.",
            min_length=1,
            examples=[["/usr/sbin/slapcat", "-n", "1"]],
            extra={"words": "an array of text, the program first"},
        ),
    ]
    filename: Annotated[
        str,
        msgspec.Meta(
            description="The path of the file in the snapshot.",
            pattern=r"\A/[^\0]*[^\0/]\Z",
            max_length=4096,
            examples=["/ldap/example.ldif"],
            extra={"words": "a full path, beginning with /"},
        ),
    ]
    run_as: Annotated[
        RunAs,
        msgspec.Meta(
            description="As which user the program runs, where root runs the backup; empty for who runs it.",
            examples=["openldap"],
        ),
    ] = ""
