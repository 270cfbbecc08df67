"""What each directive does to the rule in force: one entry a directive."""

from __future__ import annotations

import os

from agent.logs.rotate import rule as rules
from agent.logs.rotate.language import numbers
from agent.logs.rotate.language.text import (
    SPACE,
    FileMistakeError,
    MissingValueError,
    MistakeError,
    last_byte,
    split_names,
    split_quoted,
    until_nul,
)
from agent.logs.rotate.rule import Ownership, Rule, Script

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from agent.logs.rotate.language.text import Source
    from agent.logs.rotate.say import Voice

    Directive = Callable[[Rule, Source, Voice], None]

FLAGS: dict[str, dict[str, object]] = {
    "allowhardlink": {"allowhardlink": True},
    "noallowhardlink": {"allowhardlink": False},
    "compress": {"compress": True},
    "nocompress": {"compress": False},
    "copy": {"copy": True},
    "nocopy": {"copy": False},
    "copytruncate": {"copytruncate": True, "renamecopy": False},
    "nocopytruncate": {"copytruncate": False},
    "nocreate": {"create": None},
    "nocreateolddir": {"createolddir": None},
    "datehourago": {"datehourago": True},
    "dateyesterday": {"dateyesterday": True},
    "dateext": {"dateext": True},
    "nodateext": {"dateext": False},
    "delaycompress": {"delaycompress": True},
    "nodelaycompress": {"delaycompress": False},
    "ifempty": {"ifempty": True},
    "notifempty": {"ifempty": False},
    "ignoreduplicates": {"ignoreduplicates": True},
    "mailfirst": {"mailfirst": True},
    "maillast": {"mailfirst": False},
    "nomail": {"mail": None},
    "missingok": {"missingok": True},
    "nomissingok": {"missingok": False},
    "noolddir": {"olddir": None},
    "renamecopy": {"renamecopy": True, "copytruncate": False},
    "norenamecopy": {"renamecopy": False},
    "sharedscripts": {"sharedscripts": True},
    "nosharedscripts": {"sharedscripts": False},
    "shred": {"shred": True},
    "noshred": {"shred": False},
}
"""Directives without a value. More of them may stand on a line."""
CRITERIA = {each: each for each in (rules.HOURLY, rules.DAILY, rules.MONTHLY, rules.YEARLY)}
"""Directives without a value that decide when a log is due."""
SCRIPTS = ("firstaction", "prerotate", "postrotate", "lastaction", "preremove")
"""What has text up to an `endscript`."""
TABOO = ("tabooext", "taboopat")
"""What is not of a section, but of reading itself, as `include` is."""
WEEK = range(rules.EVERY_7_DAYS + 1)


def set_criterion(rule: Rule, criterion: str, source: Source, voice: Voice) -> None:
    """What decides from now on. A change of what the same file set is told."""
    if source.has_criterion and rule.criterion != criterion:
        voice.verbose(f"note: '{criterion}' overrides previously specified '{rule.criterion}'")
    rule.criterion = criterion
    source.has_criterion = True


def _count(attribute: str, called: str, bad: str, *, lowest: int = 0) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        text = _required(source, called)
        value = numbers.whole(text)
        if value is None or value < lowest:
            # A section that the file ends without closing is used all the same.
            setattr(rule, attribute, max(numbers.begun(text), lowest))
            raise MistakeError(f"bad {bad} '{text}'")
        setattr(rule, attribute, value)

    return directive


def _age(attribute: str, called: str, bad: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        text = _required(source, called)
        value = numbers.whole(text)
        if value is None or value < 0:
            setattr(rule, attribute, max(numbers.begun(text), 0))
            # logrotate shows the text from the end of the value on.
            shown = last_byte(source.text[: source.at]) + source.text[source.at :]
            raise MistakeError(f"bad {bad} age '{until_nul(shown)}'")
        setattr(rule, attribute, value)

    return directive


def _size(attribute: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        try:
            text = source.value(attribute)
        except MissingValueError as missing:
            # The directive counts for nothing then, and what comes after it is read.
            voice.error(f"{source.place} {missing}")
            return
        if not text:  # so it is where the file ends
            return
        value = numbers.size(text)
        if attribute == rules.SIZE:
            set_criterion(rule, rules.SIZE, source, voice)
        setattr(rule, attribute, value)

    return directive


COMPRESSED = {"bzip2": ".bz2", "compress": ".Z", "gzip": ".gz", "xz": ".xz", "zip": ".zip", "zstd": ".zst"}
"""The extension that goes with a `compresscmd` by its name; others leave it as it is."""


def _path(attribute: str, called: str, shown: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        setattr(rule, attribute, None if attribute == "olddir" else rules.NO_PATH)  # and so it is after a mistake
        value = _word(source, called, f"bad {called} path")
        if attribute == "olddir":
            value = expand_home(value, voice)
        setattr(rule, attribute, value)
        voice.verbose(f"{shown} is now {value}")
        extension = COMPRESSED.get(os.path.basename(value))
        if attribute == "compresscmd" and extension is not None:
            rule.compressext = extension
            voice.verbose(f"compress_ext was changed to {extension}")

    return directive


def _extension(attribute: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        value = _required(source, f"{attribute} name")
        setattr(rule, attribute, value)
        voice.verbose(f"{attribute} is now {value}")

    return directive


def _script(attribute: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        text = source.script()
        if text is None:
            raise FileMistakeError(f"{source.name}:prerotate, postrotate or preremove without endscript")
        setattr(rule, attribute, Script(text))

    return directive


def _create(attribute: str) -> Directive:
    def directive(rule: Rule, source: Source, voice: Voice) -> None:
        ownership = _ownership(attribute, source, getattr(rule, f"{attribute}_last"))
        setattr(rule, attribute, ownership)
        setattr(rule, f"{attribute}_last", ownership)

    return directive


def _ownership(called: str, source: Source, last: Ownership) -> Ownership:
    """Mode, user and group, a mode, or user and group; the rest as it was said last. Raises MistakeError."""
    words = _words(called, source, at_most=3)
    if not words:
        return last
    from agent.logs.rotate.language import users  # what is nearly always absent, or only `create`

    if len(words) == 1:
        return Ownership(users.mode(words[0]), last.uid, last.gid)
    gid = users.group(words[-1])
    uid = users.user(words[-2])
    return Ownership(users.mode(words[0]) if len(words) == 3 else last.mode, uid, gid)


def _su(rule: Rule, source: Source, voice: Voice) -> None:
    words = _words("su", source, at_most=2)
    if not words:
        if rule.su is None:
            raise MistakeError("no user for su")
        return
    from agent.logs.rotate.language import users  # few sections have it

    gid = users.group(words[1]) if len(words) > 1 else None
    uid = users.user(words[0])
    if gid is None:
        if rule.su is None:
            raise MistakeError("no group for su")
        gid = rule.su[1]
    rule.su = (uid, gid)


def _words(called: str, source: Source, *, at_most: int) -> list[str]:
    try:
        words, more = split_quoted(until_nul(source.rest()), 3)
    except ValueError:
        raise MistakeError(f"invalid arguments for {called}") from None
    if more or len(words) > at_most:
        raise MistakeError(f"extra arguments for {called}")
    return words


def _weekly(rule: Rule, source: Source, voice: Voice) -> None:
    set_criterion(rule, rules.WEEKLY, source, voice)
    text = until_nul(source.rest())
    day = numbers.unsigned(text, 10)
    if day is None or day not in WEEK:
        raise FileMistakeError(f"{source.place} bad weekly directive '{text}'")
    rule.weekday = day


def _mail(rule: Rule, source: Source, voice: Voice) -> None:
    start = source.at
    rule.mail = None
    try:
        value = _word(source, "mail", "")
        if not value.isascii():
            raise _NoWordError
        rule.mail = value
    except _NoWordError:
        raise MistakeError(f"bad mail address {until_nul(source.text[start:])}") from None


def _dateformat(rule: Rule, source: Source, voice: Voice) -> None:
    text = source.rest().lstrip(SPACE).removeprefix("=").lstrip(SPACE)
    if not text and source.at < len(source.text):
        voice.error(f"{source.place} argument expected after dateformat")
        return
    rule.dateformat = until_nul(text)


def _compressoptions(rule: Rule, source: Source, voice: Voice) -> None:
    text = until_nul(source.rest())
    try:
        words = split_names(text)
    except ValueError:
        words = []
    if not words:
        raise MistakeError("invalid compression options")
    rule.compressoptions = tuple(words)
    voice.verbose(f"compress_options is now {text}")


def _required(source: Source, called: str) -> str:
    try:
        return source.value(called)
    except MissingValueError as missing:
        raise MistakeError(str(missing)) from None


class _NoWordError(MistakeError):
    """A value has space or control characters in it."""


def _word(source: Source, called: str, bad: str) -> str:
    value = _required(source, called)
    if any(char in SPACE or char < " " or char == "\x7f" for char in value):
        raise _NoWordError(f"{bad} {value}")
    return value


def expand_home(path: str, voice: Voice) -> str:
    """A path that begins with `~/` in the home of who runs this."""
    if not path.startswith("~/"):
        return path
    expanded = os.environ.get("HOME", "") + path[1:]
    voice.verbose(f"replaced '{path}' with '{expanded}'")
    return expanded


DIRECTIVES: dict[str, Directive] = {
    "addextension": _extension("addextension"),
    "compresscmd": _path("compresscmd", "compress", "compress_prog"),
    "compressext": _path("compressext", "compress-ext", "compress_ext"),
    "compressoptions": _compressoptions,
    "create": _create("create"),
    "createolddir": _create("createolddir"),
    "dateformat": _dateformat,
    "extension": _extension("extension"),
    "firstaction": _script("firstaction"),
    "lastaction": _script("lastaction"),
    "mail": _mail,
    "maxage": _age("maxage", "maxage count", "maximum"),
    "maxsize": _size("maxsize"),
    "minage": _age("minage", "minage count", "minimum"),
    "minsize": _size("minsize"),
    "olddir": _path("olddir", "olddir", "olddir"),
    "postrotate": _script("postrotate"),
    "preremove": _script("preremove"),
    "prerotate": _script("prerotate"),
    "rotate": _count("rotate", "rotate count", "rotation count", lowest=-1),
    "shredcycles": _count("shredcycles", "shred cycles", "shred cycles"),
    "size": _size("size"),
    "start": _count("start", "start count", "start count"),
    "su": _su,
    "uncompresscmd": _path("uncompresscmd", "uncompress", "uncompress_prog"),
    "weekly": _weekly,
}
"""Directives with a value, which takes the rest of the line."""
