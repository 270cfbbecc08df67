"""A run: which logs of the sections are due, and rotating those that are.

Its hot path is a run in which nothing is due. What rotates is loaded when a log is.
"""

from __future__ import annotations

import os
import stat

from agent.logs.rotate.apply.su import Identity, switching
from agent.logs.rotate.due import judge
from agent.logs.rotate.facts import Facts, is_open_to_others
from agent.logs.rotate.hooks import Hooks
from agent.logs.rotate.rule import DAILY, HOURLY, MONTHLY, SIZE, WEEKLY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from agent.logs.rotate.carry import Carrier
    from agent.logs.rotate.due import Verdict
    from agent.logs.rotate.journal import Begun, Journal
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule, Section
    from agent.logs.rotate.say import Voice
    from agent.logs.rotate.state import State

    Judge = Callable[[Rule, str, Facts, Moment, Moment, bool], Verdict]

MAIL = "/usr/bin/mail"
_WHEN = {HOURLY: "hourly", DAILY: "after 1 days", WEEKLY: "weekly", MONTHLY: "monthly"}


def rotate(
    sections: Iterable[Section],
    state: State,
    *,
    now: Moment,
    voice: Voice,
    force: bool = False,
    debug: bool = False,
    mail_command: str = MAIL,
    judge: Judge = judge,
    hooks: Hooks | None = None,
    journal_path: str = "",
    save: Callable[[], bool] | None = None,
) -> bool:
    """Rotate what is due, and tell `state`. Whether all went well; what did not has been told.

    `save` writes the state file, and says whether it could: it is called once, at the end. `debug` changes nothing.
    With `journal_path` (empty: none) what a killed run had begun is finished first, under the lock that the caller
    holds; the logs that this is about are not rotated again.
    """
    journal = None
    if journal_path and not debug:
        journal = _LazyJournal(journal_path)
    run = _Run(state, now, voice, force, debug, mail_command, judge, hooks or Hooks(), journal)
    well = run.finish_begun()
    for section in sections:
        well = run.section(section) and well
    if save is not None and not debug:
        saved = save()
        well = saved and well
        if journal is not None:
            well = journal.settle(saved, voice) and well
    return well


class _LazyJournal:
    """A journal that is loaded when there is one, or when one is needed."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._journal: Journal | None = None
        self.is_left = os.path.lexists(path)
        """Whether a killed run left one."""

    def get(self) -> Journal:
        """The journal, which may not be there."""
        if self._journal is None:
            from agent.logs.rotate.journal import Journal  # see the module's docstring

            self._journal = Journal(self._path)
        return self._journal

    def settle(self, saved: bool, voice: Voice) -> bool:
        """End it when the state file knows all; else the next run reads it. Whether that went well."""
        if self._journal is None:
            return True
        if not saved:
            self._journal.close()
            return True
        try:
            self._journal.settle()
        except OSError as error:
            voice.error(f"error removing journal {self._path}: {error.strerror}")
            return False
        return True


class _Run:
    def __init__(
        self,
        state: State,
        now: Moment,
        voice: Voice,
        force: bool,
        debug: bool,
        mail_command: str,
        judge: Judge,
        hooks: Hooks,
        journal: _LazyJournal | None,
    ) -> None:
        self._state = state
        self._now = now
        self._voice = voice
        self._force = force
        self._debug = debug
        self._mail_command = mail_command
        self._judge = judge
        self._hooks = hooks
        self._journal = journal
        self._finished: set[str] = set()
        """Logs that a killed run had begun to rotate, or had just rotated."""
        self._stuck: set[str] = set()
        """Logs of which what is rotated cannot be copied or compressed: rotating again would overwrite that."""
        self._folders: dict[str, OSError | str] = {}
        """What is to be said against the folders of the section's logs; empty for nothing."""

    # --- What a killed run left ---

    def finish_begun(self) -> bool:
        """Whether what a killed run had begun is done now."""
        if self._journal is None or not self._journal.is_left:
            return True
        from agent.logs.rotate import moment  # see the module's docstring
        from agent.logs.rotate.journal import JournalError

        try:
            sections = self._journal.get().unfinished()
        except JournalError as error:
            self._voice.error(str(error))
            # Logs are rotated all the same, as logrotate would; whoever reads this looks at it and removes it.
            self._journal = None
            return False
        well = True
        for begun in sections:
            if begun.plans or begun.left:
                self._voice.verbose(f"finishing what was interrupted for {begun.pattern}")
            done = self._as_user(begun.rule, self._finisher(begun))
            well = done and well
            if begun.left is None:
                self._finished.update(plan.log for plan in begun.plans)
                if self._now.is_same_hour(moment.at(begun.at)):
                    self._finished.update(begun.ended)  # by its size, or by force, one would be rotated twice
            elif not done:
                self._stuck.add(begun.left.log)
        return well

    def _finisher(self, begun: Begun) -> Callable[[Identity], bool]:
        from agent.logs.rotate import moment  # see the module's docstring

        now = moment.at(begun.at)
        return lambda identity: self._carrier(begun.rule, begun.pattern, identity, now).finish(begun)

    # --- A section ---

    def section(self, section: Section) -> bool:
        """Whether all of its logs that are due are rotated."""
        self._voice.verbose(_header(section, self._force))
        if not section.logs:
            self._voice.verbose("No logs found. Rotation not needed.")
            return True
        self._folders.clear()
        return self._as_user(section.rule, lambda identity: self._section(section, identity))

    def _as_user(self, rule: Rule, do: Callable[[Identity], bool]) -> bool:
        identity = Identity(self._voice)
        if rule.su is not None and rule.su != (os.geteuid(), os.getegid()):
            try:
                identity.become(*rule.su)
            except OSError as error:
                words = switching((os.geteuid(), os.getegid()), rule.su)
                self._voice.error(f"error {words}: {error.strerror}")
                return False
        try:
            return do(identity)
        finally:
            identity.leave()

    def _section(self, section: Section, identity: Identity) -> bool:
        due = []
        spoilt = False
        for log in section.logs:
            self._voice.verbose(f"considering log {log}")
            well, facts = self._consider(section, log)
            if facts is not None:
                due.append((log, facts))
            spoilt = spoilt or not well
        if due:
            carrier = self._carrier(section.rule, section.pattern, identity, self._now)
            return carrier.rotate(due, spoilt=spoilt) and not spoilt
        self._say_what_does_not_run(section.rule, spoilt)
        return not spoilt

    def _say_what_does_not_run(self, rule: Rule, spoilt: bool) -> None:
        shared = rule.sharedscripts and not spoilt
        for script, runs, name, reason in (
            (rule.firstaction, True, "first action", "logs will be rotated"),
            (rule.prerotate, shared, "prerotate", "logs will be rotated"),
            (rule.postrotate, shared, "postrotate", "logs were rotated"),
            (rule.lastaction, True, "last action", "logs will be rotated"),
        ):
            if script is not None and runs:
                self._voice.verbose(f"not running {name} script, since no {reason}")

    def _carrier(self, rule: Rule, pattern: str, identity: Identity, now: Moment) -> Carrier:
        # Another user may not be able to read our modules.
        identity.lay_down(aloud=False)
        try:
            from agent.logs.rotate.carry import Carrier, load  # see the module's docstring

            if identity.other is not None:
                load(rule)
            journal = self._opened_journal()
        finally:
            identity.take_up()
        return Carrier(
            rule,
            pattern,
            self._state,
            now,
            voice=self._voice,
            identity=identity,
            hooks=self._hooks,
            mail_command=self._mail_command,
            journal=journal,
            pretend=self._debug,
        )

    def _opened_journal(self) -> Journal | None:
        if self._journal is None:
            return None
        journal = self._journal.get()
        try:
            journal.open()
        except OSError as error:
            self._voice.verbose(f"a kill will not be made good: {journal.path} cannot be made: {error.strerror}")
            self._journal = None
            return None
        return journal

    # --- A log ---

    def _consider(self, section: Section, log: str) -> tuple[bool, Facts | None]:
        """Whether there is nothing wrong with it, and, where it is due, what the file system says of it."""
        rule, voice = section.rule, self._voice
        status, well = self._look(rule, log)
        last = self._state.last(log)
        if last is None:
            voice.verbose("Creating new state")
            last = self._state.seen(log, self._now)
        if status is None:
            return well, None
        self._state.used(log)
        if stat.S_ISLNK(status.st_mode):
            voice.verbose(
                f"  log {log} is symbolic link. Rotation of symbolic links is not allowed to avoid security issues "
                "-- skipping."
            )
            return True, None
        if stat.S_ISREG(status.st_mode) and status.st_nlink > 1 and not rule.allowhardlink:
            voice.verbose(
                f"  log {log} has multiple ({status.st_nlink}) hard links. Rotation of files with multiple hard "
                f"links is not allowed for {section.pattern} -- skipping."
            )
            return True, None
        voice.verbose(f"  Now: {self._now}\n  Last rotated at {last}")
        if log in self._finished:
            voice.verbose("  log does not need rotating (its interrupted rotation has just been finished)")
            return True, None
        if log in self._stuck:
            voice.verbose(
                "  log does not need rotating (what was rotated last could not be copied or compressed yet)"
            )
            return True, None
        facts = Facts.of(status)
        verdict = self._judge(rule, log, facts, last, self._now, self._force)
        if verdict.alarm:
            voice.error(verdict.alarm)
        for words in verdict.words:
            voice.verbose(words)
        return True, facts if verdict.due else None

    def _look(self, rule: Rule, log: str) -> tuple[os.stat_result | None, bool]:
        """The status of a log, or None where it is passed over; and whether that is no error."""
        folder = log.rpartition("/")[0]
        if rule.su is None and os.geteuid() == 0:
            if folder not in self._folders:
                self._folders[folder] = _objection(folder)
            objection = self._folders[folder]
            if isinstance(objection, OSError):
                if rule.missingok and isinstance(objection, FileNotFoundError):
                    return None, True
                self._voice.error(f"stat of {folder} failed: {objection.strerror}")
                return None, False
            if objection:
                self._voice.error(f'skipping "{log}" because {objection}')
                return None, False
        try:
            return os.lstat(log), True
        except OSError as error:
            if rule.missingok and isinstance(error, FileNotFoundError):
                self._voice.verbose(f"  log {log} does not exist -- skipping")
                return None, True
            self._voice.error(f"stat of {log} failed: {error.strerror}")
            return None, False


def _objection(folder: str) -> OSError | str:
    """Why logs in that folder are not rotated; empty for none. Others could redirect what root does there."""
    try:
        status = os.stat(folder or "/")
    except OSError as error:
        return error
    if is_open_to_others(status):
        return (
            "parent directory has insecure permissions (It's world writable or writable by group which is not "
            '"root") Set "su" directive in config file to tell logrotate which user/group should be used for '
            "rotation."
        )
    return ""


def _header(section: Section, force: bool) -> str:
    rule = section.rule
    when = "forced from command line" if force else _WHEN.get(rule.criterion, "yearly")
    if not force and rule.criterion == SIZE:
        when = f"{rule.size} bytes"
    words = [f"\nrotating pattern: {section.pattern} {when} "]
    if rule.olddir is not None:
        words.append(f"olddir is {rule.olddir}, ")
    words.append(f"empty log files are {'' if rule.ifempty else 'not '}rotated, ")
    if rule.minsize:
        words.append(f"only log files >= {rule.minsize} bytes are rotated, ")
    if rule.maxsize:
        words.append(f"log files >= {rule.maxsize} are rotated earlier, ")
    if rule.minage:
        words.append(f"only log files older than {rule.minage} days are rotated, ")
    if rule.mail is not None and (rule.rotate != -1 or rule.maxage):
        words.append(f"old logs mailed to {rule.mail}, ")
    age = f" after {rule.maxage} days" if rule.maxage else ""
    if rule.rotate == 0:
        words.append("no old logs will be kept")
    elif rule.rotate > 0:
        words.append(f"({rule.rotate} rotations), old logs are removed{age}")
    elif age:
        words.append(f"(unlimited rotations), old logs are removed{age}")
    else:
        words.append("old logs are kept forever")
    return "".join(words)
