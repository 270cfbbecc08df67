"""What an answer from home means for the report that was sent: a pure function of the answer."""

from __future__ import annotations

from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TypeAlias

from kit.terminal import clean
from wire import codec, limits
from wire.report import Reply

REFUSED_FOR_GOOD = {"bad_request", "malformed_report", "too_large"}
"""The report is at fault: it goes, counted, and the next one has its turn."""
SIGN_AGAIN = {"clock_skew", "replayed"}
"""The signature is at fault, and a new one may not be."""
ACT_FIRST = {"unsupported_version", "bad_signature", "unknown_host", "revoked"}
"""A person has to act at home or here; nothing is lost meanwhile."""


@dataclass(frozen=True, slots=True)
class Delivered:
    """Home has the report for good."""

    reply: Reply


@dataclass(frozen=True, slots=True)
class Refused:
    """Home will never take this report."""

    message: str


@dataclass(frozen=True, slots=True)
class SignAgain:
    """Home wants the same report, signed afresh."""

    message: str
    time: float | None
    """Home's clock, where that is what was wrong."""


@dataclass(frozen=True, slots=True)
class Later:
    """The report stays, and is sent again."""

    message: str
    slowly: bool = False
    """At the slowest pace: only a person can help."""
    after: float | None = None
    """Seconds that home asked to wait for."""


Verdict: TypeAlias = Delivered | Refused | SignAgain | Later


def judge(status: int, body: bytes, retry_after: str | None, *, now: float) -> Verdict:
    """What to do about the answer. `now` is seconds since the epoch, for a Retry-After that is a date."""
    if 200 <= status < 300:
        try:
            return Delivered(codec.decode_reply(body))
        except ValueError:
            return Later(f"the collector answered {status}, but not with a reply to a report")
    after = _seconds(retry_after, now)
    try:
        problem = codec.decode_refusal(body).error
    except ValueError:
        # A proxy in between, a server that is no collector, a collector that broke: none may cost a report.
        return Later(f"the collector answered {status}, and not in the way of a collector", after=after)
    said = clean(" ".join(problem.message.split()))[: limits.MAX_MESSAGE]
    message = f"the collector refuses ({clean(problem.code)}): {said}"
    if 400 <= status < 500 and status != 429:
        if problem.code in REFUSED_FOR_GOOD:
            return Refused(message)
        if problem.code in SIGN_AGAIN:
            return SignAgain(message, problem.time)
        if problem.code in ACT_FIRST:
            return Later(message, slowly=True)
        # A code that this version does not know: the report is worth more than the collector's patience.
        return Later(message, slowly=problem.permanent, after=after)
    return Later(message, after=after)


def _seconds(retry_after: str | None, now: float) -> float | None:
    """Retry-After (RFC 9110, section 10.2.3): whole seconds or a date; None for anything else."""
    if retry_after is None:
        return None
    text = retry_after.strip()
    if text.isascii() and text.isdigit():
        return float(text[:9])
    try:
        return max(0.0, parsedate_to_datetime(text).timestamp() - now)
    except (ValueError, OverflowError):
        return None
