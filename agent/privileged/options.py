"""The table `privileged` of a job or a check: as whom it runs, and what its sandbox lets it do."""

from __future__ import annotations

from typing import Annotated

import msgspec

# systemd splits lists of paths at spaces, reads % and \ in them, and takes - and + before them for its own.
_CHARACTERS = "[A-Za-z0-9_.,@:=+/-]"

_Path = Annotated[
    str,
    msgspec.Meta(
        pattern=rf"\A/{_CHARACTERS}*\Z",
        max_length=4096,
        extra={"words": "a full path of letters, digits and _ . , @ : = + - /"},
    ),
]
_Device = Annotated[
    str,
    msgspec.Meta(pattern=rf"\A/dev/{_CHARACTERS}+\Z", max_length=4096, extra={"words": "a full path below /dev/"}),
]


class Privileged(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Run by root's half of the agent (`hostward-jobs.socket`), in a sandbox that is closed but for what stands here.

    Without anything it is root without any capability, which reads what root owns and what everybody may, writes
    nowhere but in a /tmp of its own, and has no network.
    """

    user: Annotated[
        str,
        msgspec.Meta(
            description="As whom it runs, with the groups of that user.",
            pattern=r"\A[a-z_][a-z0-9_-]{0,30}\Z",
            examples=["postgres"],
            extra={"words": "the name of a user"},
        ),
    ] = "root"
    writable: Annotated[
        tuple[_Path, ...],
        msgspec.Meta(
            description="Folders and files that it may change, as far as its user may; all else is read-only. "
            "They must exist.",
            examples=[["/var/log"]],
        ),
    ] = ()
    network: Annotated[
        bool,
        msgspec.Meta(
            description="Whether it may use the network; without it not even this host's own addresses.",
            examples=[True],
        ),
    ] = False
    devices: Annotated[
        tuple[_Device, ...],
        msgspec.Meta(
            description="Device files that it may read and write; /dev/null and its like need not be named.",
            examples=[["/dev/sda"]],
        ),
    ] = ()
    capabilities: Annotated[
        tuple[
            Annotated[
                str,
                msgspec.Meta(
                    pattern=r"\ACAP_[A-Z_]{3,30}\Z",
                    extra={"words": "a capability such as CAP_CHOWN (see capabilities(7))"},
                ),
            ],
            ...,
        ],
        msgspec.Meta(
            description="What of root's power it has, also where its user is another; see capabilities(7).",
            examples=[["CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER"]],
        ),
    ] = ()
    tasks_max: Annotated[
        int,
        msgspec.Meta(description="How many processes and threads it may have.", ge=8, le=100_000, examples=[512]),
    ] = 128
