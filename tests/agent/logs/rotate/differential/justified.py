"""What differs from logrotate on purpose. docs/logs.md tells users of it under "What differs"."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from tests.agent.logs.rotate.differential.case import Case


@dataclass(frozen=True)
class Justified:
    """A difference that may stay."""

    reason: str
    applies: Callable[[Case, str], bool]
    """Whether a difference, as `Twins.differences` words it, of a case is this one."""


TABLE: tuple[Justified, ...] = ()


def reason(case: Case, difference: str) -> str | None:
    """Why a difference may stay; None when it may not."""
    return next((entry.reason for entry in TABLE if entry.applies(case, difference)), None)


def unjustified(case: Case, differences: list[str]) -> list[str]:
    """Those that may not stay."""
    return [difference for difference in differences if reason(case, difference) is None]
