"""Rotates logs that are due: scripts, plans and their steps, in logrotate's order. Loaded when one is due."""

from __future__ import annotations

from functools import partial

from agent.logs.rotate import moment
from agent.logs.rotate.apply.applier import Applier
from agent.logs.rotate.apply.folders import Folders
from agent.logs.rotate.journal import Journal
from agent.logs.rotate.listing import nothing
from agent.logs.rotate.names import Names
from agent.logs.rotate.plan import Plan, Planner
from agent.logs.rotate.rule import NO_PATH
from agent.logs.rotate.steps import Compress, Copy, Discard, Fail, Say

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from agent.logs.rotate.apply.su import Identity
    from agent.logs.rotate.facts import Facts
    from agent.logs.rotate.hooks import Hooks
    from agent.logs.rotate.journal import Begun
    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.rule import Rule
    from agent.logs.rotate.say import Voice
    from agent.logs.rotate.state import State
    from agent.logs.rotate.steps import Step


def load(rule: Rule) -> None:
    """Load what a rule may need later, when another user may not be able to read it: only the loading matters."""
    import fnmatch  # noqa: F401  # names.py has it then
    import signal  # noqa: F401  # as operations.py

    from agent.logs.rotate.apply import codecs, compress, mail, scripts, shred  # noqa: F401  # and applier.py these

    if rule.codec:
        codecs.load(rule.codec)


class Carrier:
    """Rotates by one rule."""

    def __init__(
        self,
        rule: Rule,
        pattern: str,
        state: State,
        now: Moment,
        *,
        voice: Voice,
        identity: Identity,
        hooks: Hooks,
        mail_command: str,
        journal: Journal | None,
        pretend: bool,
    ) -> None:
        self._rule = rule
        self._pattern = pattern
        self._state = state
        self._now = now
        self._voice = voice
        self._hooks = hooks
        self._journal = journal
        self._pretend = pretend
        self._folders = Folders()
        self._applier = Applier(
            rule,
            pattern,
            now,
            folders=self._folders,
            voice=voice,
            identity=identity,
            hooks=hooks,
            mail_command=mail_command,
            pretend=pretend,
        )
        self._named = now
        self._is_in_journal = False
        if rule.dateyesterday or rule.datehourago:
            self._named = moment.in_names(now, yesterday=rule.dateyesterday, hour_ago=rule.datehourago)
        if journal is not None:
            self._applier.mark = journal.made

    def rotate(self, due: Sequence[tuple[str, Facts]], *, spoilt: bool) -> bool:
        """Whether all of them went well. `spoilt`: another log of the section did not, which ends what is shared."""
        try:
            return self._rotate(due, spoilt)
        finally:
            self._folders.forget()

    def _rotate(self, due: Sequence[tuple[str, Facts]], spoilt: bool) -> bool:
        rule, voice = self._rule, self._voice
        if rule.firstaction is not None:
            voice.verbose("running first action script")
            if not self._applier.script(rule.firstaction, [self._pattern]):
                voice.error(f"error running first action script for {self._pattern}")
                return False
        if rule.sharedscripts:
            well = not spoilt and self._together(due)
        else:
            well = True
            for one in due:
                well = self._together([one]) and well
        return self._last_action() and well

    def _last_action(self) -> bool:
        rule, voice = self._rule, self._voice
        if rule.lastaction is None:
            return True
        voice.verbose("running last action script")
        well = self._applier.script(rule.lastaction, [self._pattern])
        if not well:
            voice.error(f"error running last action script for {self._pattern}")
        if self._journal is not None and self._is_in_journal:
            self._journal.did("lastaction")
        return well

    def _together(self, due: Sequence[tuple[str, Facts]]) -> bool:
        """Rotate logs between whose scripts there are no others: all, or one."""
        rule = self._rule
        if rule.prerotate is not None:
            self._voice.verbose("running prerotate script")
            if not self._applier.script(rule.prerotate, [self._pattern if rule.sharedscripts else due[0][0]]):
                self._failed_script("prerotate", due[0][0])
                return False
        if rule.compress and rule.compressext == NO_PATH:
            log = due[0][0]
            self._voice.verbose(f"rotating log {log}, log->rotateCount is {rule.rotate}")
            self._voice.error(f"log {log}: compression enabled, but compression extension is not set")
            return False
        planners = []
        well = True
        for log, facts in due:
            try:
                planner = self._planner(log, facts)
                planner.make_room()
                planners.append(planner)
            except OSError as error:
                self._state.rotated(log, self._now)
                self._voice.error(f"cannot read the folder of the old logs of {log}: {error.strerror}")
                well = False
                if rule.sharedscripts:
                    return False
        if not planners:
            return well
        for each in planners:
            each.take_away(self._inode(each.log))
        for each in planners:
            each.finish()
        plans = [each.plan for each in planners]
        if self._journal is not None:
            if not self._is_in_journal:
                self._journal.section(rule, self._pattern, self._now.seconds)
                self._is_in_journal = True
            self._journal.begin(plans)
        well = self._carry_out(plans, script_ran=False) and well
        if self._journal is not None:
            self._journal.end()
        self._applier.marks = {}
        return well

    def _planner(self, log: str, facts: Facts) -> Planner:
        """Raises OSError."""
        place = Names(self._rule, log).folder
        try:
            folder = self._folders.at(place)
            listing, device = folder.listing(), folder.identity[0]
        except OSError as error:
            by_date = self._rule.dateext and isinstance(error, NotADirectoryError)
            if not (self._pretend or by_date or isinstance(error, FileNotFoundError)):
                raise
            would_be = self._pretend and self._rule.createolddir is not None and isinstance(error, FileNotFoundError)
            silent = would_be or isinstance(error, NotADirectoryError)
            listing, device = nothing("" if silent else str(error.strerror)), 0
        return Planner(
            self._rule,
            log,
            facts,
            listing,
            self._now,
            self._named,
            may_compress=partial(self._may_compress, device),
            wordy=self._voice.wordy,
            pretend=self._pretend,
        )

    def _inode(self, log: str) -> int:
        """Of a log when it is rotated: by its name it may be another file by then. A pattern may mean rotated ones,
        too, and scripts do much. 0: not known beforehand."""
        try:
            folder, name = self._folders.of(log)
            if folder.will_change(name):
                return folder.listing().inode(name) or 0
            return folder.look(name).st_ino
        except OSError:
            return 0  # It is told when it is to be renamed or opened.

    def _may_compress(self, device: int, path: str, inode: int) -> bool:
        return self._hooks.may_compress(path, device, inode)

    def finish(self, begun: Begun) -> bool:
        """Do what a killed run had begun and not ended, or what another could not do. Whether all went well."""
        self._is_in_journal = True
        self._applier.resuming = True
        self._applier.marks = begun.made
        well = True
        try:
            for log in begun.ended:
                self._state.rotated(log, self._now)
            if begun.plans:
                well = self._carry_out(begun.plans, script_ran="postrotate" in begun.scripts)
                if self._journal is not None:
                    self._journal.end()
            if begun.left is not None:
                well = self._do(begun.left.after)
                if not well or self._applier.postponed:
                    self._leave(begun.left.log, begun.left.after)
            elif "lastaction" not in begun.scripts:
                well = self._last_action() and well
        finally:
            self._folders.forget()
        return well

    def _carry_out(self, plans: Sequence[Plan], *, script_ran: bool) -> bool:
        """Where scripts are shared, the first log that does not go well ends it for all of them."""
        shared = self._rule.sharedscripts
        ready = []
        for each in plans:
            self._state.rotated(each.log, self._now)
            if self._do(each.before):
                ready.append(each)
                continue
            # One that is compressed, but could not be removed, would be compressed again.
            self._leave(each.log, [step for step in each.before if self._applier.is_compressed(step)])
            if shared:
                return False
        going = []
        for each in ready:
            if self._do(each.rotate):
                going.append(each)
                continue
            if self._applier.is_rotated(each.rotate):
                self._leave(each.log, each.after)
            if shared:
                break
        well = len(going) == len(plans)
        if not going or (shared and not well) or not (script_ran or self._postrotate(going)):
            for each in going:
                self._leave(each.log, each.after)
            return False
        for index, each in enumerate(going):
            done = self._do(each.after)
            if not self._rule.codec:  # Native rules have others that compress what is left.
                self._leave(each.log, self._applier.postponed)
            self._applier.postponed = []
            if not done:
                well = False
                for left in going[index:] if shared else [each]:
                    self._leave(left.log, left.after)
                if shared:
                    break
        return well

    def _leave(self, log: str, steps: Sequence[Step]) -> None:
        """Let the next run copy and compress what was rotated: it would be overwritten one day."""
        left = Plan(log)
        left.after = [step for step in steps if isinstance(step, Copy | Discard | Compress)]
        if self._journal is not None and left.after:
            self._journal.leave(self._rule, self._pattern, self._now.seconds, left, self._applier.marks)

    def _postrotate(self, plans: Sequence[Plan]) -> bool:
        script = self._rule.postrotate
        if script is None:
            return True
        self._voice.verbose("running postrotate script")
        arguments = [self._pattern] if self._rule.sharedscripts else [plans[0].log, plans[0].final]
        well = self._applier.script(script, arguments)
        if not well:
            self._failed_script("postrotate", plans[0].log)
        if self._journal is not None:
            self._journal.did("postrotate")
        return well

    def _failed_script(self, name: str, log: str) -> None:
        if self._rule.sharedscripts:
            self._voice.error(f"error running shared {name} script for '{self._pattern}'")
        else:
            self._voice.error(f"error running non-shared {name} script for {log} of '{self._pattern}'")

    def _do(self, steps: Sequence[Step]) -> bool:
        """Do steps until one does not go well; some words are said even then."""
        well = True
        for step in steps:
            if isinstance(step, Say):
                if step.well if well else step.failed:
                    self._applier.do(step)
            elif well or isinstance(step, Fail):
                well = self._applier.do(step)
        return well
