"""Why home refuses a request: a closed set of codes, each with its HTTP status and whether it is final."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Code = Literal[
    "bad_request",
    "malformed_report",
    "too_large",
    "unsupported_version",
    "bad_signature",
    "clock_skew",
    "replayed",
    "unknown_host",
    "revoked",
    "busy",
]


@dataclass(frozen=True, slots=True)
class Meaning:
    """What a code says to the sender."""

    status: int
    """The HTTP status that it travels with."""
    permanent: bool
    """True: this very request will never be taken. False: it may be, later or signed afresh."""


REFUSALS: dict[Code, Meaning] = {
    "bad_request": Meaning(400, permanent=True),
    "malformed_report": Meaning(400, permanent=True),
    "too_large": Meaning(413, permanent=True),
    "unsupported_version": Meaning(422, permanent=False),
    "bad_signature": Meaning(401, permanent=True),
    "clock_skew": Meaning(401, permanent=False),
    "replayed": Meaning(401, permanent=False),
    "unknown_host": Meaning(401, permanent=True),
    "revoked": Meaning(403, permanent=True),
    "busy": Meaning(503, permanent=False),
}
"""docs/reporting.md tells what the sender does about each."""


class WireError(Exception):
    """A request that is not taken; `str(error)` is one clear sentence that is safe to show to its sender."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code: Code = code

    @property
    def status(self) -> int:
        """The HTTP status of the refusal."""
        return REFUSALS[self.code].status

    @property
    def permanent(self) -> bool:
        """Whether the same request would be refused for ever."""
        return REFUSALS[self.code].permanent
