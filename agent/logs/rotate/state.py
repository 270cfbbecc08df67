"""When each log was rotated: logrotate's state file, of which versions 1 and 2 are read and 2 is written.

A line of it is a quoted name and a local time, `"/var/log/syslog" 2026-11-22-6:25:1`. Its order is that of the
buckets in which logrotate keeps it, so that the file is the same whoever writes it.
"""

from __future__ import annotations

import errno
import fcntl
import os
import stat
import time

from agent.logs.rotate import moment
from agent.logs.rotate.language.text import split_names

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.logs.rotate.moment import Moment
    from agent.logs.rotate.say import Voice

NO_STATE = "/dev/null"
"""Given as the state file: nothing is locked, nothing written."""
_HEADS = ("logrotate state -- version 1\n", "logrotate state -- version 2\n")
_LONGEST_LINE = 8191
"""Characters, with the newline."""
_MODE = 0o640
_KEPT = 31_556_926
"""Seconds, of a tropical year, after which a log is forgotten that was not there in this run."""
_DAY = 86400
_BUCKETS = 64
_WEIGHTS = tuple(pow(13, place, _BUCKETS) for place in range(16)) * 512
"""What each byte of a name counts for its bucket, from the last one on: found by what the real one writes."""
_FIELDS = (
    ("year", 1900, 2100),
    ("month", 1, 12),
    ("day", 0, 31),
    ("hour", 0, 23),
    ("minute", 0, 59),
    ("second", 0, 59),
)
_DIGITS = frozenset("0123456789")
_PLAIN = 30
"""Characters in which a date surely has its place."""
_MOST_DIGITS = 12
"""Of a number: what is longer is none of a time."""
_ATTRIBUTES = ("system.posix_acl_access", "security.selinux")
"""What a new state file has as the old one had it, besides owner and mode."""


class LockError(Exception):
    """The state file cannot be locked. The text is the whole message."""


def lock(path: str, voice: Voice, *, skip: bool = False, wait: bool = False) -> int | None:
    """Lock a state file, which is made where there is none. Raises LockError.

    Returns the descriptor that holds the lock; None where nothing is locked: `skip`, NO_STATE, and a file that
    everybody may read, and so could lock.
    """
    if path == NO_STATE:
        return None
    while (descriptor := _locked(path, voice, skip=skip, wait=wait)) is not None:
        # Whoever held it has put another file in its place: the next one would lock that and rotate beside us.
        if _is_at(path, descriptor):
            voice.verbose(f"acquired lock on state file {path}")
            break
        os.close(descriptor)
    return descriptor


def _locked(path: str, voice: Voice, *, skip: bool, wait: bool) -> int | None:
    try:
        descriptor = os.open(path, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        descriptor = _create(path, voice)
    except (OSError, ValueError) as error:
        raise LockError(f"error opening state file {path}: {_reason(error)}") from None
    try:
        if skip:
            voice.verbose(f"Skip locking state file {path}")
            os.close(descriptor)
            return None
        if os.fstat(descriptor).st_mode & stat.S_IROTH:
            voice.warning(
                f"state file {path} is world-readable and thus can be locked from other unprivileged users."
                " Skipping lock acquisition..."
            )
            os.close(descriptor)
            return None
        if wait:
            voice.verbose(f"waiting for lock on state file {path}")
        fcntl.flock(descriptor, fcntl.LOCK_EX | (0 if wait else fcntl.LOCK_NB))
    except BlockingIOError:
        os.close(descriptor)
        raise LockError(
            f"state file {path} is already locked\n"
            "logrotate does not support parallel execution on the same set of logfiles."
        ) from None
    except OSError as error:
        os.close(descriptor)
        raise LockError(f"error acquiring lock on state file {path}: {error.strerror}") from None
    return descriptor


def _is_at(path: str, descriptor: int) -> bool:
    try:
        return os.path.samestat(os.stat(path), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _create(path: str, voice: Voice) -> int:
    voice.verbose(f"Creating stub state file: {path}")
    try:
        return os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, _MODE)
    except OSError as error:
        raise LockError(f"error creating stub state file {path}: {error.strerror}") from None


class State:
    """What is known of each log. Nothing of it is written before `write`."""

    def __init__(self, path: str, voice: Voice) -> None:
        self.path = path
        self._voice = voice
        self._entries: dict[str, tuple[int, ...]] = {}
        """Year, month, day, hour, minute and second, as the file has them."""
        self._used: set[str] = set()
        self._moments: dict[tuple[int, ...], Moment] = {}
        """Of the times that entries have: many logs are rotated at once."""

    def read(self) -> bool:
        """Read the file, if there is one. Returns whether that was well; what came before a bad line counts."""
        voice = self._voice
        voice.verbose(f"Reading state from file: {self.path}")
        data = b""
        try:
            # Whatever else has that name must not keep us waiting.
            descriptor = os.open(self.path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            with open(descriptor, "rb", buffering=0) as file:
                if stat.S_ISREG(os.fstat(file.fileno()).st_mode):
                    data = file.readall()
        except FileNotFoundError:
            voice.verbose(f"state file {self.path} does not exist")
        except (OSError, ValueError) as error:
            voice.error(f"error opening state file {self.path}; assuming empty state: {_reason(error)}")
        voice.verbose(f"Allocating hash table for state file, size {_BUCKETS} entries")
        return not data or self._take(os.fsdecode(data))

    def _take(self, text: str) -> bool:
        lines = text.split("\n")
        unfinished = lines.pop()
        if not lines or f"{lines[0]}\n" not in _HEADS:
            self._voice.error(f"bad top line in state file {self.path}")
            return False
        wordy = self._voice.wordy
        # Many logs are rotated at once, so that most dates were read in a line before.
        dates: dict[str, tuple[int, ...]] = {}
        is_plain = "\\" not in text and "\0" not in text and text.isascii()
        for number, line in enumerate(lines[1:], 2):
            if not line:
                continue
            parts = line.split('"') if is_plain and len(line) < _LONGEST_LINE else []
            if len(parts) == 3 and not parts[0] and parts[1] and parts[2] in dates:
                name, when = parts[1], dates[parts[2]]
            else:
                try:
                    name, when = _parsed(line, number)
                    _verify(name, when)
                except ValueError as error:
                    self._voice.error(f"{error} in state file {self.path}")
                    return False
                # A day that no month has is one of the next, and an hour that summer time skips the one after it.
                when = _fields(self._moment(when))
                if len(parts) == 3 and parts[2].startswith(" "):
                    dates[parts[2]] = when
            if wordy and name not in self._entries:
                self._voice.verbose("Creating new state")
            self._entries[name] = when
        if unfinished:
            self._voice.error(f"line {len(lines) + 1} too long in state file {self.path}")
        return not unfinished

    def last(self, log: str) -> Moment | None:
        """When a log was rotated, or seen first; None where it never was."""
        when = self._entries.get(log)
        return None if when is None else self._moment(when)

    def _moment(self, when: tuple[int, ...]) -> Moment:
        found = self._moments.get(when)
        if found is None:
            found = self._moments[when] = moment.on(*when)
        return found

    def used(self, log: str) -> None:
        """Note that a log is there: it is not forgotten, however long ago it was rotated."""
        self._used.add(log)

    def seen(self, log: str, now: Moment) -> Moment:
        """Note a log that was never seen: its first turn is reckoned from the hour that this is. Returns that."""
        season = time.localtime(now.seconds).tm_isdst
        hour = moment.at(time.mktime((now.year, now.month, now.day, now.hour, 0, 0, 0, 0, season)))
        self._entries[log] = _fields(hour)
        return hour

    def rotated(self, log: str, now: Moment) -> None:
        """Note that a log was rotated now."""
        self._entries[log] = _fields(now)

    def write(self, now: Moment) -> bool:
        """Replace the file, wholly or not at all, and durably. Returns whether that could be done."""
        if self.path == NO_STATE:
            return True
        try:
            _replace(self.path, lambda: self._text(now))
        except _WriteError as error:
            self._voice.error(str(error))
            return False
        return True

    def _text(self, now: Moment) -> bytes:
        self._forget(now)
        lines = [_HEADS[-1]]
        dates: dict[tuple[int, ...], str] = {}
        for log in self._in_order():
            when = self._entries[log]
            if when not in dates:
                year, month, day, hour, minute, second = when
                dates[when] = f"{year}-{month}-{day}-{hour}:{minute}:{second}"
            lines.append(f'"{_quoted(log)}" {dates[when]}\n')
        return os.fsencode("".join(lines))

    def _forget(self, now: Moment) -> None:
        """Drop logs that are gone and were not rotated for a year."""
        bound = now.seconds - _KEPT
        # Most are told by the calendar, which costs nothing.
        about = _fields(moment.at(bound + _DAY))
        gone = {
            log
            for log, when in self._entries.items()
            if when < about and log not in self._used and moment.on(*when).seconds < bound
        }
        for log in self._in_order() if gone else ():
            if log in gone:
                self._voice.verbose(
                    f"Removing {log} from state file, because it does not exist and has not been rotated for one year"
                )
        for log in gone:
            del self._entries[log]

    def _in_order(self) -> list[str]:
        buckets: list[list[str]] = [[] for _ in range(_BUCKETS)]
        folders: dict[str, int] = {}
        """What the path before the name counts: the same for many logs."""
        for log in reversed(self._entries):
            end = log.rfind("/") + 1
            folder, data = log[:end], os.fsencode(log[end:])
            if folder not in folders:
                folders[folder] = _weight(os.fsencode(folder))
            buckets[(folders[folder] * _WEIGHTS[len(data)] + _weight(data)) % _BUCKETS].append(log)
        return [log for bucket in buckets for log in bucket]


def _fields(when: Moment) -> tuple[int, ...]:
    return (when.year, when.month, when.day, when.hour, when.minute, when.second)


def _parsed(line: str, number: int) -> tuple[str, tuple[int, ...]]:
    """Name and time of a line. Raises ValueError with the message."""
    if "\0" in line or len(os.fsencode(line)) >= _LONGEST_LINE:
        raise ValueError(f"line {number} {'not parsable' if line.startswith(chr(0)) else 'too long'}")
    name, closed, date = line[1:].partition('" ')
    quotes = line.count('"') + date.count("'") + line.count("\\")
    if not (closed and line.startswith('"') and quotes == 2 and len(date.split()) == 1):
        try:
            name, date = split_names(line)
        except ValueError:
            raise ValueError(f"bad line {number}") from None
        name = _unescaped(name)
    year, _, rest = date.partition("-")
    month, _, rest = rest.partition("-")
    day, _, rest = rest.partition("-")
    hour, _, rest = rest.partition(":")
    minute, _, second = rest.partition(":")
    fields = (year, month, day, hour, minute, second)
    if name and date.isascii() and len(date) <= _PLAIN and all(map(str.isdigit, fields)):
        return name, tuple(map(int, fields))
    numbers = _scan(date)
    if not name or len(numbers) < 3:
        raise ValueError(f"bad line {number}")
    return name, (*numbers, *[0] * (6 - len(numbers)))


def _scan(date: str) -> list[int]:
    """The numbers of `YEAR-MONTH-DAY-HOUR:MINUTE:SECOND` up to the first that is none, as sscanf(3) takes them."""
    numbers: list[int] = []
    rest = date
    for separator in "---::\0":
        rest = rest.lstrip(" \t\v\f\r")
        end = 1 if rest[:1] in ("+", "-") else 0
        while rest[end : end + 1] in _DIGITS:
            end += 1
        if not rest[:end].strip("+-"):
            break
        numbers.append(int(rest[:end][:_MOST_DIGITS]))
        if not rest.startswith(separator, end):
            break
        rest = rest[end + 1 :]
    return numbers


def _verify(name: str, when: tuple[int, ...]) -> None:
    """Raises ValueError with the message for what is no time."""
    for value, (field, lowest, highest) in zip(when, _FIELDS, strict=True):
        if not lowest <= value <= highest:
            raise ValueError(f"bad {field} {value} for file {name}")


def _weight(data: bytes) -> int:
    return sum(map(int.__mul__, reversed(data), _WEIGHTS))


def _quoted(log: str) -> str:
    if "\\" in log or '"' in log or "\n" in log:
        return log.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return log


def _unescaped(name: str) -> str:
    """What `write` made of a newline, a backslash and a quote."""
    parts = []
    characters = iter(name)
    for char in characters:
        if char == "\\":
            after = next(characters, "")
            char = {"n": "\n", "\\": "\\", '"': '"'}.get(after, "\\" + after)
        parts.append(char)
    return "".join(parts)


class _WriteError(Exception):
    """The state file cannot be written. The text is the whole message."""


def _replace(path: str, text: Callable[[], bytes]) -> None:
    """Write a file beside it, with its owner, mode and access list, and put that in its place. Raises _WriteError.

    `text` is asked for when there is a file to write it to.
    """
    temporary = f"{path}.tmp"
    if os.path.exists(path) and not os.path.isfile(path):
        raise _WriteError(f"not writing state to {path} because it is not a regular file")
    try:
        os.unlink(temporary)
    except FileNotFoundError:
        pass
    except OSError as error:
        raise _WriteError(f"error removing old temporary state file {temporary}: {error.strerror}") from None
    flags = os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC
    try:
        descriptor = os.open(temporary, flags, 0o600)
    except OSError as error:
        raise _WriteError(f"error creating output file {temporary}: {error.strerror}") from None
    try:
        try:
            _adopt(path, descriptor)
            with open(descriptor, "wb", buffering=0, closefd=False) as file:
                rest = memoryview(text())
                while rest:
                    rest = rest[file.write(rest) :]
            os.fsync(descriptor)
            os.rename(temporary, path)
        finally:
            os.close(descriptor)
        folder = os.open(os.path.dirname(path) or ".", os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            os.fsync(folder)
        finally:
            os.close(folder)
    except OSError as error:
        if os.path.lexists(temporary):
            os.unlink(temporary)
        raise _WriteError(f"error renaming temp state file {temporary} to {path}: {error.strerror}") from None


def _adopt(path: str, descriptor: int) -> None:
    """Give what will be the state file the owner and rights of the one that there is; nobody else may read it."""
    try:
        old = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        os.fchmod(descriptor, _MODE)
        return
    try:
        status = os.fstat(old)
        new = os.fstat(descriptor)
        if (status.st_uid, status.st_gid) != (new.st_uid, new.st_gid):
            os.fchown(descriptor, status.st_uid, status.st_gid)
        for attribute in _ATTRIBUTES:
            try:
                os.setxattr(descriptor, attribute, os.getxattr(old, attribute))
            except OSError as error:
                if error.errno not in (errno.ENODATA, errno.ENOTSUP, errno.EPERM, errno.EACCES):
                    raise
        os.fchmod(descriptor, stat.S_IMODE(status.st_mode) & ~stat.S_IROTH)
    finally:
        os.close(old)


def _reason(error: Exception) -> str:
    return getattr(error, "strerror", None) or str(error)
