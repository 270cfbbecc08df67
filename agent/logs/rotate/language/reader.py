"""Reads files and folders of configuration: sections, directives, `include`, and what is refused.

After a mistake in a section the section is left out, and reading goes on behind it; after one outside of sections the
rest of the file is left out, and what it set is taken back.
"""

from __future__ import annotations

import fcntl
import os
import stat

from agent.logs.rotate.language import globs, olddir
from agent.logs.rotate.language.directives import (
    CRITERIA,
    DIRECTIVES,
    FLAGS,
    SCRIPTS,
    TABOO,
    expand_home,
    set_criterion,
)
from agent.logs.rotate.language.taboo import Taboo
from agent.logs.rotate.language.text import (
    BLANK,
    LETTERS,
    SPACE,
    FileMistakeError,
    MissingValueError,
    MistakeError,
    Source,
    split_names,
)
from agent.logs.rotate.rule import Rule, Section

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.say import Voice

DEEPEST = 16
"""Files that may be read within each other."""
TOO_LARGE = 2**24
"""Bytes: what is no smaller is no configuration."""
_NOT_EXPECTED_MODE = 0o7533
"""Bits of which a file of configuration should have one: that its owner may read it."""
_KNOWN = {*FLAGS, *CRITERIA, *DIRECTIVES, *TABOO, "errors", "include"}
_LONGEST = max(map(len, _KNOWN)) + 1
_BEGIN_NAMES = "\"'/~"
"""With what the names of a section's logs begin."""
_EXPECTED = "lines must begin with a keyword or a filename (possibly in double quotes)"
_NO_PATTERN = "(null)"
"""What messages call a section that lost its names to a failing `include`."""


class _Scope:
    """What is in force where a file is read: outside of sections, or in one."""

    __slots__ = ("failure", "rule", "section")

    def __init__(self, rule: Rule, section: Section | None) -> None:
        self.rule = rule
        self.section = section
        self.failure = ""
        """Why the section's last pattern could not be looked up."""


class Reader:
    """`sections` grows with each file that is read."""

    def __init__(self, voice: Voice, *, debug: bool) -> None:
        self.sections: list[Section] = []
        self._voice = voice
        self._pretended: set[str] | None = set() if debug else None
        self._outside = _Scope(Rule(), None)
        self._taken: dict[str, Section] = {}
        self._taboo = Taboo()
        self._depth = 0

    def read(self, path: str) -> bool:
        """Read a file, or the files of a folder. Returns whether all was well."""
        return self._read(path, self._outside)

    def _read(self, path: str, scope: _Scope) -> bool:
        try:
            status = os.stat(path)
        except (OSError, ValueError) as error:
            self._voice.error(f"cannot stat {path}: {getattr(error, 'strerror', error)}")
            return False
        if stat.S_ISDIR(status.st_mode):
            return self._read_folder(path, scope)
        before = scope.rule.copied()
        if self._read_file(path, scope):
            return True
        self._take_back(scope, before)
        return False

    def _read_folder(self, path: str, scope: _Scope) -> bool:
        """Read its files, from inside of it: their names are shown without it, and relative ones mean files of it."""
        try:
            here = os.open(".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            self._voice.error(f"cannot open current directory: {error.strerror}")
            return False
        try:
            try:
                os.chdir(path)
                names = os.listdir(".")
            except OSError as error:
                self._voice.error(f"error changing to directory {path}: {error.strerror}")
                return False
            failed = False
            for name in sorted(filter(self._is_configuration, names), key=os.fsencode):
                before = scope.rule.copied()
                if not self._read_file(name, scope):
                    self._voice.error(f"found error in file {name}, skipping")
                    self._take_back(scope, before)
                    failed = True
            return not failed
        finally:
            os.fchdir(here)
            os.close(here)

    def _is_configuration(self, name: str) -> bool:
        pattern = self._taboo.match(name)
        if pattern is not None:
            self._voice.verbose(f"Ignoring {name}, because of {pattern} pattern match")
        return pattern is None

    def _read_file(self, name: str, scope: _Scope) -> bool:
        text = self._text(name)
        if not isinstance(text, str):
            return text
        self._depth += 1
        try:
            return self._parse(Source(name, text), scope)
        finally:
            self._depth -= 1

    def _text(self, name: str) -> str | bool:
        """What is in a file; True where it is not to be read, False where it is refused."""
        try:
            # A pipe that nobody writes to must not hold anything up.
            descriptor = os.open(name, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK)
        except (OSError, ValueError) as error:
            self._voice.error(f"failed to open config file {name}: {getattr(error, 'strerror', error)}")
            return False
        try:
            status = os.fstat(descriptor)
            said = self._refusal(name, status)
            if said is not None:
                return said
            self._lock(descriptor, name)
            self._voice.verbose(f"reading config file {name}")
            with open(descriptor, "rb", buffering=0, closefd=False) as file:
                data = file.read(TOO_LARGE)
        except OSError as error:
            self._voice.error(f"error reading config file {name}: {error.strerror}")
            return False
        finally:
            os.close(descriptor)
        return os.fsdecode(data)

    def _lock(self, descriptor: int, name: str) -> None:
        """Tell of somebody who writes the file just now and says so; it is read all the same."""
        try:
            fcntl.lockf(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except OSError:
            self._voice.error(f"Could not lock file {name} for reading")

    def _refusal(self, name: str, status: os.stat_result) -> bool | None:
        """None for what is to be read; else whether leaving it out is no failure."""
        if not stat.S_ISREG(status.st_mode):
            self._voice.verbose(f"Ignoring {name} because it's not a regular file.")
            return True
        if os.getuid() == 0 and not self._is_secure(name, status):
            return False
        if status.st_size == 0:
            self._voice.verbose(f"Ignoring {name} because it's empty.")
            return True
        if status.st_size >= TOO_LARGE:
            self._voice.error(f"file {name} too large, probably not a config file.")
            return False
        return None

    def _is_secure(self, name: str, status: os.stat_result) -> bool:
        """Whether nobody but root could have written what root is to do."""
        mode = stat.S_IMODE(status.st_mode)
        if status.st_uid != 0:
            self._voice.error(f"Ignoring {name} because the file owner is wrong (should be root or user with uid 0).")
            return False
        if mode & _NOT_EXPECTED_MODE != stat.S_IRUSR:
            self._voice.warning(f"Potentially dangerous mode on {name}: 0{mode:o}")
        if mode & (stat.S_IWGRP | stat.S_IWOTH):
            self._voice.error(f"Ignoring {name} because it is writable by group or others.")
            return False
        return True

    def _parse(self, source: Source, outside: _Scope) -> bool:
        """Read a file's text. Returns whether there was no mistake that counts."""
        text = source.text
        scope = outside
        failed = False
        while source.at < len(text):
            char = text[source.at]
            try:
                if char in LETTERS:
                    failed |= not self._directive(source, scope, inside=scope is not outside)
                elif char in BLANK:
                    source.at += 1
                elif char == "\n":
                    source.at += 1
                    source.line += 1
                elif char == "#":
                    source.at = source.line_end(source.at)
                elif char == "}":
                    if scope is outside:
                        raise FileMistakeError(f"{source.place} unexpected }}")
                    self._end(source, scope)
                    source.has_criterion = False
                    scope = outside
                elif char in _BEGIN_NAMES and scope is outside:
                    scope = self._new_scope(source, outside)
                    failed |= not self._take_logs(source, scope)
                else:
                    # What is skipped begins with a byte, which is the second one of this character if it has two.
                    source.at += len(os.fsencode(char)) != 2
                    raise MistakeError("unexpected log filename" if char in _BEGIN_NAMES else _EXPECTED)
            except FileMistakeError as mistake:
                if not mistake.is_told:
                    self._voice.error(str(mistake))
                if scope is not outside:
                    self._remove_last()
                return False
            except MistakeError as mistake:
                self._voice.error(f"{source.place} {mistake}")
                if scope.section is None or scope is outside:
                    return False
                if source.at < len(text):  # at the end of the text nothing is left to be skipped, and none has failed
                    named = "log config" if scope.section.pattern == _NO_PATTERN else scope.section.pattern
                    self._voice.error(f"found error in {named}, skipping")
                    failed = True
                    self._skip(source)
                scope = outside
        return not failed

    def _directive(self, source: Source, scope: _Scope, *, inside: bool) -> bool:
        """Read one. Returns whether what it includes was well. Raises MistakeError."""
        text = source.text
        # What nearly always stands there is a directive by itself; letter by letter takes three times as long.
        word = text[source.at : source.at + _LONGEST].split(None, 1)[0]
        if word not in _KNOWN:
            word = text[source.at : source.word_end(source.at)]
        end = source.at + len(word)
        if end < len(text) and text[end] not in SPACE and text[end] != "=":
            source.at = end + 1
            raise MistakeError(f"keyword '{word}' not properly separated, found {_shown(text[end])}")
        flags = FLAGS.get(word)
        if flags is not None:
            vars(scope.rule).update(flags)
        elif word in CRITERIA:
            set_criterion(scope.rule, word, source, self._voice)
        elif word == "errors":
            self._voice.warning(
                f"{source.name}: {source.line}: the errors directive is deprecated and no longer used."
            )
        else:
            source.at = end
            if word in DIRECTIVES:
                DIRECTIVES[word](scope.rule, source, self._voice)
            elif word == "include":
                return self._include(source, scope)
            elif word in TABOO:
                self._change_taboo(word, source, inside=inside)
            else:
                self._voice.warning(f"{source.place} unknown option '{word}' -- ignoring line")
                source.at = source.line_end(end)
            return True
        # What separates goes with the word, but a newline is left to whoever counts lines.
        source.at = end if text.startswith("\n", end) else end + 1
        return True

    def _include(self, source: Source, scope: _Scope) -> bool:
        try:
            path = expand_home(source.value("include"), self._voice)
        except MissingValueError as missing:
            raise MistakeError(str(missing)) from None
        self._voice.verbose(f"including {path}")
        if self._depth > DEEPEST:
            self._voice.error(f"{source.place} include nesting too deep")
            return False
        return self._read(path, scope)

    def _change_taboo(self, word: str, source: Source, *, inside: bool) -> None:
        if inside:
            source.at += 1
            raise MistakeError(f"{word} may not appear inside of log file definition")
        try:
            self._taboo.change(source.value(word), extensions=word == "tabooext")
        except MissingValueError as missing:
            self._voice.error(f"{source.place} {missing}")

    def _new_scope(self, source: Source, outside: _Scope) -> _Scope:
        rule = outside.rule.copied()
        # The only directive that says nothing of the sections after it, in logrotate.
        rule.addextension = None
        section = Section(rule, pattern=_NO_PATTERN, logs=[], place=source.place)
        self.sections.append(section)
        return _Scope(rule, section)

    def _take_logs(self, source: Source, scope: _Scope) -> bool:
        """Read the names before a `{`. Returns whether no log is another section's, too. Raises FileMistakeError."""
        section = scope.section
        assert section is not None
        pattern, brace = source.names()
        if brace == "}":
            raise FileMistakeError(f"{source.place} unexpected }} (missing previous '{{')")
        if not brace:
            raise FileMistakeError(f"{source.place} missing '{{' after log files definition")
        section.pattern = pattern.rstrip(SPACE)
        try:
            names = split_names(section.pattern)
        except ValueError:
            names = []
        if not names:
            raise FileMistakeError(f"{source.place} error parsing filename")
        # No shorter with all(): each name is to be looked at.
        return not [name for name in names if not self._take(name, section, source, scope)]

    def _take(self, name: str, section: Section, source: Source, scope: _Scope) -> bool:
        """Add what a name means to a section's logs, up to the first that another has."""
        scope.failure = ""
        try:
            logs = globs.expand(name)
        except PermissionError as error:
            scope.failure = f"{source.place} glob failed for {name}: {error.strerror}"
            self._voice.verbose(f"{scope.failure}\n{source.place} no matches for glob '{name}', skipping")
            return True
        for log in logs:
            other = self._taken.get(log)
            if other is not None:
                if not other.rule.ignoreduplicates:
                    self._voice.error(f"{source.place} duplicate log entry for {log}")
                    return False
                self._voice.verbose(f"{source.place} ignore duplicate log entry for {log}")
            elif not _is_folder(log):
                self._taken[log] = section
                section.logs.append(log)
        return True

    def _end(self, source: Source, scope: _Scope) -> None:
        """Read the end of a section. Raises FileMistakeError."""
        source.at += 1
        assert scope.section is not None
        if scope.failure and not scope.rule.missingok:
            raise FileMistakeError(scope.failure)
        olddir.verify(scope.section, source, self._voice, self._pretended)
        source.at = source.blank_end(source.at)
        if source.line_end(source.at) != source.at:
            self._voice.error(f"{source.place}, unexpected text after }}")
            source.at = source.line_end(source.at)

    def _skip(self, source: Source) -> None:
        """Leave out what is left of a section: up to a `}` at the beginning of a line that is in no script."""
        text = source.text
        source.line += text[source.at] == "\n"
        source.at += 1
        while source.at < len(text):
            if text[source.at] == "}":
                source.at += 1
                self._remove_last()
                return
            start = source.blank_end(source.at)
            source.at = source.word_end(start)
            if text[start : source.at] in SCRIPTS:
                if source.script() is None:
                    source.at = len(text)
            else:
                source.at = source.line_end(source.at) + 1
                source.line += 1

    def _remove_last(self) -> None:
        self._voice.verbose("removing last 1 log configs")
        self._release(self.sections.pop())

    def _take_back(self, scope: _Scope, rule: Rule) -> None:
        """Have in force what was before a file that failed; a section that included it has no logs from now on.

        Where the file had sections, its last one is it that loses them and is read on, as logrotate has it.
        """
        scope.rule = rule
        if scope.section is not None:
            scope.section = self.sections[-1] if self.sections else scope.section
            self._release(scope.section)
            scope.section.rule = rule
            scope.section.pattern = _NO_PATTERN
            scope.section.logs = []

    def _release(self, section: Section) -> None:
        for log in section.logs:
            self._taken.pop(log, None)


def _shown(char: str) -> str:
    """A byte as C shows a char of it, which has a sign."""
    byte = char.encode(errors="surrogateescape")[0]
    return f"0x{byte | 0xFFFFFF00 if byte > 127 else byte:x}" if byte else "0"


def _is_folder(path: str) -> bool:
    try:
        return stat.S_ISDIR(os.lstat(path).st_mode)
    except (OSError, ValueError):
        return False
