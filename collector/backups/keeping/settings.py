"""What collector.toml says about keeping: which snapshots stay, and when home looks after its repositories."""

from __future__ import annotations

import re
from datetime import time
from typing import Annotated

import msgspec

from backup.select.policy import Policy
from backup.select.sizes import Group, Share, parse_subset
from backup.select.sizes import Size as Bytes
from backup.select.spans import NO_SPAN, Span
from kit.errors import UsageError
from kit.units import Duration, Size

_TIME = re.compile(r"([01][0-9]|2[0-3]):([0-5][0-9])")
_Number = Annotated[int, msgspec.Meta(ge=0, le=1_000_000)]


class KeepOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which snapshots of each group stay: all that any of the rules keeps, as restic's rules have it. Hours, days and
    the rest are those in which home received them. The others are removed.
    """

    last: Annotated[_Number, msgspec.Meta(description="The last ones, so many.", examples=[5])] = 0
    hourly: Annotated[
        _Number, msgspec.Meta(description="Of so many hours that have any the last one.", examples=[24])
    ] = 0
    daily: Annotated[_Number, msgspec.Meta(description="Of so many days.", examples=[7])] = 0
    weekly: Annotated[_Number, msgspec.Meta(description="Of so many weeks, which begin on Monday.", examples=[4])] = 0
    monthly: Annotated[_Number, msgspec.Meta(description="Of so many months.", examples=[12])] = 0
    yearly: Annotated[_Number, msgspec.Meta(description="Of so many years.", examples=[3])] = 0
    within: Annotated[
        str,
        msgspec.Meta(
            description="All that were received so long before the newest one, in years, months, days and hours; "
            "empty for none.",
            examples=["30d", "1y6m"],
        ),
    ] = ""

    def __post_init__(self) -> None:
        if not self.policy():
            raise ValueError("keeps nothing: expected last, hourly, daily, weekly, monthly, yearly or within")

    def policy(self) -> Policy:
        """The rules themselves. Raises ValueError, saying what was expected."""
        try:
            within = Span.parse(self.within) if self.within else NO_SPAN
        except UsageError as error:
            raise ValueError(f"within: {error}") from None
        counts = {name: getattr(self, name) for name in ("last", "hourly", "daily", "weekly", "monthly", "yearly")}
        return Policy(**counts, within=within)


Keep = Annotated[
    KeepOptions | None,
    msgspec.Meta(
        description="Which snapshots stay. Without it, none is ever removed.",
        examples=[{"daily": 7, "weekly": 4, "monthly": 12, "yearly": 3}],
    ),
]


class KeepingOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """When home keeps and verifies its repositories, and what that may use."""

    at: Annotated[
        str,
        msgspec.Meta(
            description="The time of day, by home's clock, at which policies are applied. What was missed while home "
            "was down is done at its start.",
            examples=["03:30"],
        ),
    ] = "03:30"
    newest: Annotated[
        int,
        msgspec.Meta(
            description="So many snapshots of each group are kept whatever the rules say: the last received ones.",
            ge=1,
            le=1_000_000,
            examples=[5],
        ),
    ] = 3
    hold: Annotated[
        Duration,
        msgspec.Meta(
            description="So long every snapshot is kept after its receipt, whatever the rules say: the time in which "
            "somebody can find out that a host does not send what it should.",
            examples=["14d"],
        ),
    ] = Duration(7 * 86400)
    verify_every: Annotated[
        Duration,
        msgspec.Meta(
            description="How often a repository is verified of which home has the password.",
            examples=["1d"],
            extra={"minimum": Duration(3600)},
        ),
    ] = Duration(7 * 86400)
    verify_part: Annotated[
        str,
        msgspec.Meta(
            description='How much of its data is read each time, chosen at random: a share as "5%", or a size as '
            '"20G". The structure is always verified as a whole.',
            examples=["100%", "20G"],
        ),
    ] = "10%"
    timeout: Annotated[
        Duration,
        msgspec.Meta(
            description="How long the work on one repository may take before it is stopped.",
            examples=["12h"],
            extra={"minimum": Duration(60)},
        ),
    ] = Duration(6 * 3600)
    memory_max: Annotated[
        Size,
        msgspec.Meta(
            description="How much memory, as addresses, the work on one repository may use.",
            examples=["8GiB"],
            extra={"minimum": Size(2**29)},
        ),
    ] = Size(4 * 2**30)
    nice: Annotated[
        int,
        msgspec.Meta(description="Its scheduling priority, from 0 to 19, the lowest.", ge=0, le=19, examples=[19]),
    ] = 10

    def __post_init__(self) -> None:
        if _TIME.fullmatch(self.at) is None:
            raise ValueError(f'at: expected a time of day such as "03:30", found "{self.at}"')
        try:
            part = parse_subset(self.verify_part)
        except UsageError as error:
            raise ValueError(f"verify_part: {error}") from None
        if isinstance(part, Group):
            raise ValueError(f'verify_part: expected a share as "5%", or a size as "20G", found "{self.verify_part}"')

    @property
    def time(self) -> time:
        """`at`, without a zone."""
        hour, minute = self.at.split(":")
        return time(int(hour), int(minute))

    @property
    def part(self) -> Group | Share | Bytes:
        """`verify_part`."""
        return parse_subset(self.verify_part)
