"""Programs that run before and after a backup job."""

from __future__ import annotations

from typing import Annotated, Final, Literal

import msgspec

from kit.units import Duration

LONGEST: Final = Duration(31 * 86400)
"""What a program or a run may take at most: timers take no time without an end."""


class _Hook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    command: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1)], ...],
        msgspec.Meta(
            description="The program and its arguments, without a shell. It is told HOSTWARD_JOB, and after the run "
            "HOSTWARD_OUTCOME and HOSTWARD_SNAPSHOT; no password or key is in its environment.",
            min_length=1,
            examples=[["/usr/bin/systemctl", "stop", "shop"]],
            extra={"words": "an array of text, the program first"},
        ),
    ]
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long it may take before it is stopped.",
            examples=["1m"],
            extra={"minimum": Duration(1), "maximum": LONGEST},
        ),
    ] = Duration(300)


class HookBefore(_Hook, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that runs before anything is saved, in its turn."""

    on_failure: Annotated[
        Literal["stop", "continue", "ignore"],
        msgspec.Meta(
            description='What its failure does: "stop", the run fails and nothing is saved; "continue", the run goes '
            'on and is partial; "ignore", it is only told in the log.',
            examples=["continue"],
        ),
    ] = "stop"


class HookAfter(_Hook, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program that runs when all else of a run is done, in its turn."""

    when: Annotated[
        Literal["always", "success", "failure"],
        msgspec.Meta(
            description='After which runs: "always", also after one that failed, was stopped or took too long; '
            '"success", be it a partial one; "failure", where no snapshot was made, or it did not verify.',
            examples=["failure"],
        ),
    ] = "always"
    on_failure: Annotated[
        Literal["partial", "ignore"],
        msgspec.Meta(
            description='What its failure does: "partial", the run is so; "ignore", it is only told in the log.',
            examples=["ignore"],
        ),
    ] = "partial"
