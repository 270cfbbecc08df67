"""What is done to a log that is due (pure): its steps, in the order and with the words that logrotate has.

There are three parts, since scripts run between them, and shared scripts once for all logs of a section: `before`
makes room among the older ones, `rotate` takes the log away, `after` compresses, mails and removes.
"""

from __future__ import annotations

from agent.logs.rotate.names import LONGEST_PATTERN, LONGEST_SUFFIX, DateFormat, Names, matching
from agent.logs.rotate.rule import HOURLY
from agent.logs.rotate.steps import (
    Compress,
    Copy,
    Create,
    Discard,
    Fail,
    Look,
    Mail,
    Missing,
    Move,
    Open,
    Remove,
    Say,
    Shift,
    Step,
    Truncate,
    Warn,
    shifting,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.logs.rotate.facts import Facts
    from agent.logs.rotate.listing import Listing
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule

DAY = 86400


class Plan:
    """The steps for one log."""

    __slots__ = ("after", "before", "final", "log", "rotate")

    def __init__(self, log: str) -> None:
        self.log = log
        self.final = ""
        """The rotated log's path, before compression."""
        self.before: list[Step] = []
        self.rotate: list[Step] = []
        self.after: list[Step] = []


class Planner:
    """Plans what is done to `log`, in three parts, with the folder of its older ones as `listing`, which becomes as
    it will be then. Where logs are rotated together each part is done to all of them before the next: so it is
    planned.

    `named` is the time that goes into names by date. `may_compress` is asked about a path and its inode. `pretend`:
    nothing will be done, and `listing` stays. Without `wordy` it has no words.
    """

    def __init__(
        self,
        rule: Rule,
        log: str,
        facts: Facts,
        listing: Listing,
        now: Moment,
        named: Moment,
        *,
        may_compress: Callable[[str, int], bool],
        pretend: bool,
        wordy: bool = True,
    ) -> None:
        self.log = log
        self.plan = Plan(log)
        self._rule = rule
        self._facts = facts
        self._listing = listing
        self._now = now
        self._named = named
        self._may_compress = may_compress
        self._wordy = wordy
        self._pretend = pretend
        self._names = Names(rule, log)
        self._packed = rule.compressext if rule.compress else ""
        self._steps = self.plan.before
        self._kept = rule.rotate or 1
        self._final = ""
        """The rotated log's name, before compression; empty where it is not rotated."""
        self._doomed: list[str] = []
        """Names of older ones that go at the end."""
        self._refused: list[str] = []
        """Names of older ones that may not be compressed yet."""

    def whole(self) -> Plan:
        """All parts of a log that is rotated by itself."""
        self.make_room()
        self.take_away(self._facts.inode)
        self.finish()
        return self.plan

    def make_room(self) -> None:
        """Plan what is done to the older ones before."""
        rule = self._rule
        self._say(f"rotating log {self.log}, log->rotateCount is {rule.rotate}")
        suffix, pattern = self._date()
        if not suffix:
            return
        if rule.dateext:
            final = self._names.dated(suffix)
            if rule.compress and (rule.delaycompress or rule.codec):
                self._pack_older(pattern)
            self._make_room_by_date(pattern)
            if self._is_taken(final):
                return
        else:
            final = self._names.numbered(rule.start)
            if rule.compress and (rule.delaycompress or rule.codec):
                self._pack_previous(final)
            elif rule.compress and self._waits(final):
                self._refused.append(final)
            self._make_room_by_number()
        self._final = final
        self.plan.final = self._path(final)

    def take_away(self, inode: int) -> None:
        """Plan what is done to the log itself, which has that inode now; 0 for one that is made until then."""
        self._facts.inode = inode
        if self._final:
            self._steps = self.plan.rotate
            self._take_away(self._final)

    def finish(self) -> None:
        """Plan what is done afterwards."""
        if self._final:
            self._steps = self.plan.after
            self._finish(self._final)

    # --- Before ---

    def _date(self) -> tuple[str, str]:
        """What goes into a name, and the pattern of it; empty where it cannot be."""
        rule = self._rule
        given = rule.dateformat
        form = DateFormat(given if given is not None else ("-%Y%m%d%H" if rule.criterion == HOURLY else "-%Y%m%d"))
        if len(form.pattern) > LONGEST_PATTERN:
            self._steps.append(Fail(f"Date format {form.given} is too long"))
            return "", ""
        if given is not None:
            self._say(f"Converted '{form.given}' -> '{form.converted}'")
        suffix = form.applied(self._named)
        if not suffix or len(suffix) > LONGEST_SUFFIX:
            self._steps.append(Fail(f"failed to apply date format '{form.given}'"))
            return "", ""
        self._say(f"dateext suffix '{suffix}'")
        self._say(f"glob pattern '{form.pattern}'")
        return suffix, form.pattern

    def _pack_older(self, pattern: str) -> None:
        older = matching(self._listing.names(), self._names.dated(pattern))
        self._warn_of_folder()
        if not older:
            self._say("glob finding logs to compress failed")
        for name in list(older):
            self._pack_if_allowed(name)

    def _pack_previous(self, name: str) -> None:
        if not self._listing.is_there(name):
            self._say(f"previous log {self._path(name)} does not exist")
        else:
            self._pack_if_allowed(name)

    def _waits(self, name: str) -> bool:
        """Whether there is one of that name that may not be compressed yet. Others are overwritten, as logrotate has
        it."""
        inode = self._listing.inode(name)
        return inode is not None and not self._may_compress(self._path(name), inode)

    def _pack_if_allowed(self, name: str) -> None:
        """Compress one of which it is known beforehand whether that is allowed: what is not stays as it is called."""
        if self._may_compress(self._path(name), self._listing.inode(name) or 0):
            self._pack(name)
        else:
            self._refused.append(name)
            self._say(f"leaving {self._path(name)} as it is until it has been read to its end")

    def _pack(self, name: str, modified: int = 0) -> None:
        inode = self._listing.inode(name) or 0
        self._steps.append(Compress(self._path(name), inode, modified))
        if not self._pretend:
            self._listing.drop(name)
            self._listing.add(name + self._rule.compressext, 0, made_of=name)

    def _make_room_by_date(self, pattern: str) -> None:
        rule = self._rule
        older = matching(self._listing.names(), self._names.dated(pattern) + self._packed)
        if rule.codec:  # What compression left for later is one of them, too.
            plain = matching(self._listing.names(), self._names.dated(pattern)) if self._packed else []
            older = sorted([*older, *plain])
        self._warn_of_folder()
        if not older:
            self._say("glob finding old rotated logs failed")
        elif self._wordy and not any(self._listing.inode(name) for name in older):
            # They are made by compression, so they are not there where that failed.
            self._steps.append(
                Say("glob finding old rotated logs failed", well=False, failed=True, missing=self._path(older[0]))
            )
        doomed = [
            name
            for index, name in enumerate(older)
            if ((rule.rotate != -1 and index <= len(older) - rule.rotate) or self._is_old(name))
            and self._listing.is_there(name)
        ]
        # The last of them goes at the end: until the log is rotated there may be one more.
        for name in doomed[:-1]:
            self._mail_removed(name)
            self._say(f"removing {self._path(name)}")
            self._remove(name)
        self._doomed = doomed[-1:]

    def _make_room_by_number(self) -> None:
        rule = self._rule
        kept = self._kept
        if rule.rotate == -1:
            numbers = [
                self._names.number_of(name, behind) for name in self._listing.names() for behind in self._behind()
            ]
            kept = max([number for number in numbers if number is not None], default=-1)
            if self._listing.failure:
                self._warn_of_folder()
                path = self._path(f"{self._names.stem}.*{self._names.extension}{self._packed}")
                self._steps.append(Fail(f"could not find last rotated file: {path}"))
            if kept < 0:
                return
        last = kept + rule.start - 1
        name = self._names.numbered(last + 1) + self._packed
        missing = f"log {self._path(name)} doesn't exist -- won't try to dispose of it"
        was_there = self._listing.is_there(name)
        for number in range(last, rule.start - 1, -1):
            if not self._shift(number, kept):
                break
            if number == last and rule.rotate != -1 and not was_there and self._listing.is_there(name):
                # It comes by renaming, so it is not there where that failed.
                self._steps.append(Say(missing, well=False, failed=True))
        if rule.rotate == -1:
            return
        if not self._listing.is_there(name):
            self._say(missing, failed=True)
        beyond = self._names.numbered(last + 1)
        self._doomed = [beyond + behind for behind in self._behind() if self._listing.is_there(beyond + behind)]

    def _warn_of_folder(self) -> None:
        if self._listing.failure:
            self._steps.append(Warn(f"error accessing {self._names.folder}: {self._listing.failure}"))

    def _shift(self, number: int, kept: int) -> bool:
        """Whether the next may follow."""
        rule = self._rule
        for behind in self._behind():
            name = self._names.numbered(number) + behind
            following = self._names.numbered(number + 1) + behind
            inode = self._listing.inode(name)
            if inode is None and behind != self._packed:
                continue
            closed = "" if rule.maxage or self._pretend else self._listing.closed
            if inode is None and not closed:
                self._miss(number, kept)
                continue
            if rule.maxage and self._is_old(name):
                self._mail_removed(name)
                self._remove(name)
                continue
            self._say(shifting(self._path(name), self._path(following), kept, rule.start, number))
            if inode is None:
                words = f"error renaming {self._path(name)} to {self._path(following)}: {closed}"
                self._steps.append(Fail(words))
                return False
            self._steps.append(Shift(self._path(name), self._path(following), inode))
            if name in self._refused:
                self._refused = [following if each == name else each for each in self._refused]
            if not self._pretend:
                self._listing.drop(name)
                self._listing.add(following, inode)
        return True

    def _miss(self, number: int, kept: int) -> None:
        """There is none of that number."""
        if not self._wordy:
            return
        before = self._steps[-1] if self._steps else None
        if isinstance(before, Missing) and before.last == number + 1:
            before.last = number
            return
        head, tail = self._path(f"{self._names.stem}."), self._names.extension + self._packed
        self._steps.append(Missing(head, tail, number, number, kept, self._rule.start, bool(self._rule.maxage)))

    def _behind(self) -> tuple[str, ...]:
        """What names of older ones may have behind them: some may not be compressed yet."""
        return ("", self._packed) if self._packed and (self._rule.codec or self._refused) else (self._packed,)

    def _is_old(self, name: str) -> bool:
        """Whether it has the age at which older ones go."""
        if not self._rule.maxage:
            return False
        try:
            status = self._listing.look(name)
        except OSError:
            return False
        return (self._now.seconds - int(status.st_mtime)) // DAY > self._rule.maxage

    def _is_taken(self, final: str) -> bool:
        rule = self._rule
        packed = final + self._packed
        if not self._listing.is_there(packed):
            return False
        shown = final if rule.delaycompress else packed
        words = f"destination {self._path(shown)} already exists, skipping rotation"
        # One that is made by compression is not there where that failed.
        self._steps.append(Fail(words, self._path(packed) if self._listing.inode(packed) == 0 else ""))
        return True

    # --- The log itself ---

    def _take_away(self, final: str) -> None:
        rule, log, facts = self._rule, self.log, self._facts
        path = self._path(final)
        if rule.renamecopy and rule.copy:
            return
        if rule.copy or rule.copytruncate:
            if not self._copies():
                self._say(f"skip copying {log} to {path}")
                if not rule.copytruncate:
                    self._steps.append(Open(log, facts.inode))
            else:
                self._say(f"copying {log} to {path}")
                self._steps.append(Copy(log, path, facts.inode, rule.copytruncate))
                self._will_be(final, 0)
            if rule.copytruncate:
                if self._copies():
                    self._say(f"truncating {log}")
                self._steps.append(Truncate(log, path if self._copies() else "", facts.inode))
            else:
                self._say(f"Not truncating {log}")
            return
        aside = f"{log}.tmp" if rule.renamecopy else path
        self._steps.append(Look(log))
        self._say(f"renaming {log} to {aside}", failed=True)
        self._steps.append(Move(log, aside, facts.inode))
        self._is_away()
        if not rule.renamecopy:
            self._will_be(final, facts.inode)
        if rule.rotate == 0:
            self._doomed = [final if rule.delaycompress else final + self._packed]
            self._say(f"disposeName will be {self._path(self._doomed[0])}", failed=True)
        if rule.create is not None:
            mode = facts.mode & 0o777 if rule.create.mode is None else rule.create.mode
            uid = facts.uid if rule.create.uid is None else rule.create.uid
            gid = facts.gid if rule.create.gid is None else rule.create.gid
            if self.log == self._path(name := self.log.rpartition("/")[2]):
                self._will_be(name, 0)
            self._say(f"creating new {log} mode = 0{mode:o} uid = {uid} gid = {gid}")
            self._steps.append(Create(log, mode, uid, gid, aside if rule.create.mode is None else ""))

    def _copies(self) -> bool:
        """Whether copying rules make a copy: none that would neither be kept nor sent."""
        return self._rule.rotate != 0 or bool(self._rule.mail)

    # --- After ---

    def _finish(self, final: str) -> None:
        rule, log, facts = self._rule, self.log, self._facts
        if rule.renamecopy:
            aside = f"{log}.tmp"
            self._say(f"copying {aside} to {self._path(final)}")
            self._steps.append(Copy(aside, self._path(final), facts.inode, True))
            self._will_be(final, 0)
            self._say(f"Not truncating {aside}")
            self._say(f"removing tmp log {aside}", failed=True)
            self._steps.append(Discard(aside, facts.inode))
        there = self._copies() or rule.renamecopy or not (rule.copy or rule.copytruncate)
        if rule.compress and not rule.delaycompress and there:
            self._pack(final, facts.modified)
        if rule.mail and rule.mailfirst and there:
            self._mail_first(final + self._packed if rule.compress and not rule.delaycompress else final)
        for name in self._doomed:
            if not rule.mailfirst:
                self._mail_removed(name)
            self._remove(name)
        # Not compressing them now is told whoever does it later.
        self._steps += [
            Compress(self._path(name), inode)
            for name in self._refused
            if (inode := self._listing.inode(name)) is not None
        ]

    # --- All parts ---

    def _mail_first(self, name: str) -> None:
        path = self._path(name)
        if self._rule.compress and not self._rule.delaycompress:
            self._steps.append(Mail(path, self.log, True))
        else:
            self._steps.append(Mail(path, path, False))

    def _mail_removed(self, name: str) -> None:
        """Send one that goes; before the rotation logrotate sends it with `mailfirst`, too, and as if it were new."""
        if not self._rule.mail:
            return
        if self._rule.mailfirst:
            self._mail_first(name)
        else:
            path = self._path(name)
            # That one is not packed yet, with `rotate 0` and `delaycompress`, logrotate does not know either.
            self._steps.append(Mail(path, path, bool(self._packed)))

    def _remove(self, name: str) -> None:
        inode = self._listing.inode(name) or 0
        self._steps.append(Remove(self._path(name), inode))
        if not self._pretend:
            self._listing.drop(name)

    def _is_away(self) -> None:
        """The log, which a pattern that means older ones takes for one of another's."""
        folder, _, name = self.log.rpartition("/")
        if folder == self._names.folder and not self._pretend:
            self._listing.drop(name)

    def _will_be(self, name: str, inode: int) -> None:
        if not self._pretend:
            self._listing.add(name, inode)

    def _say(self, text: str, *, failed: bool = False) -> None:
        if self._wordy:
            self._steps.append(Say(text, failed=failed))

    def _path(self, name: str) -> str:
        return f"{self._names.folder}/{name}"
