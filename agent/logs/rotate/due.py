"""Whether a log is due (pure). What logrotate 3.22 was seen to decide, and to say, with its words."""

from __future__ import annotations

from agent.logs.rotate.rule import DAILY, HOURLY, MONTHLY, SIZE, WEEKLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.facts import Facts
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule

DAY = 86400
_FUTURE = 25 * 3600
"""Seconds: a last rotation that is further ahead than that was dated by a clock that was wrong."""


class Verdict:
    """Whether a log is rotated, and why: sentences for -v, `alarm` for those who read errors."""

    __slots__ = ("alarm", "due", "words")

    def __init__(self, due: bool, words: tuple[str, ...] = (), alarm: str = "") -> None:
        self.due = due
        self.words = words
        self.alarm = alarm


def judge(rule: Rule, log: str, facts: Facts, last: Moment, now: Moment, force: bool) -> Verdict:
    """`last` is when the log was rotated, or first seen."""
    reasons: list[str] = []
    alarm = ""
    if force or (rule.maxsize and facts.size > rule.maxsize):
        due = True
    elif rule.criterion == SIZE:
        due = facts.size >= rule.size
        if not due:
            reasons.append("log size is below the 'size' threshold")
    elif last.seconds - now.seconds > _FUTURE:
        due = True
        alarm = f"log {log} last rotated in the future -- rotation forced"
    elif now.is_same_hour(last):
        due = False
        reasons.append("log has already been rotated")
    else:
        due = _its_turn(rule, last, now, reasons)
        # All that hold are said.
        if rule.minsize and facts.size < rule.minsize:
            due = False
            reasons.append("'minsize' directive is used and the log size is smaller than the minsize value")
        if rule.minage and now.seconds - facts.modified // 10**9 <= rule.minage * DAY:
            due = False
            reasons.append("'minage' directive is used and the log age is smaller than the minage days")
    if due and not rule.ifempty and not facts.size:
        due = False
        reasons.append("log is empty")
    if due:
        return Verdict(True, ("  log needs rotating",), alarm)
    return Verdict(False, tuple([f"  log does not need rotating ({reason})" for reason in reasons]), alarm)


def _its_turn(rule: Rule, last: Moment, now: Moment, reasons: list[str]) -> bool:
    """Whether its time has come; it was not rotated in this hour."""
    criterion = rule.criterion
    if criterion == HOURLY:
        return True
    if criterion == DAILY:
        if not now.is_same_day(last):
            return True
        reasons.append(f"log has been rotated at {last}, which is less than a day ago")
    elif criterion == WEEKLY:
        days = now.days_since(last)
        if days >= 7 or (days > 0 and now.weekday == rule.weekday):  # EVERY_7_DAYS is no day's
            return True
        reasons.append(f"log has been rotated at {last}, which is less than a week ago")
    elif criterion == MONTHLY:
        if now.month != last.month or now.year != last.year:
            return True
        reasons.append(f"log has been rotated at {last}, which is less than a month ago")
    else:
        if now.year != last.year:
            return True
        reasons.append(f"log has been rotated at {last}, which is less than a year ago")
    return False
