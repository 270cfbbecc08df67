"""The table `[recovery]`: what people shall find on the recovery kit besides what the configuration says anyway."""

from __future__ import annotations

from typing import Annotated

import msgspec


class RecoveryOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The recovery kit, the page for the worst day that `hostward backup recovery-kit` writes."""

    contacts: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1, max_length=500)], ...],
        msgspec.Meta(
            description="Whom to call, a line each.",
            examples=[["On call: +49 30 1234567", "Data centre: noc@example.net, contract 4711"]],
        ),
    ] = ()
    notes: Annotated[
        str,
        msgspec.Meta(
            description="What else whoever restores this host should know. No secret belongs here: the page is "
            "printed.",
            max_length=5000,
            examples=["The passwords are in the safe of the office, envelope 3."],
        ),
    ] = ""
