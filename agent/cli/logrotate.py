"""`hostward logrotate`: what logrotate(8) does, by its options, its configuration and its state file.

It starts without `agent.cli.dispatch`: a timer runs it, mostly when nothing is due, and then argparse would take
longer than all the rest. Options, exit codes and messages are logrotate's: 0 done; 1 something failed; 2 bad usage;
3 the state file could not be locked.
"""

from __future__ import annotations

import os
import time

from agent.logs.rotate import language, moment, state
from agent.logs.rotate.hooks import Hooks
from agent.logs.rotate.run import MAIL, rotate
from agent.logs.rotate.say import Voice, write_all
from kit.version import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

STATE = "/var/lib/logrotate/status"
AGENT = "/var/lib/hostward"
"""Where the agent's state is, if there is an agent."""
COMPATIBLE = "3.22.0"
"""The version of logrotate that this does the same as; what scripts look for."""
USAGE_CODE, LOCK_CODE = 2, 3

_SHORT = {"d": "debug", "f": "force", "m": "mail", "s": "state", "v": "verbose", "l": "log", "?": "help"}
_FLAGS = ("debug", "force", "skip-state-lock", "wait-for-state-lock", "verbose", "version", "help", "usage")
_VALUES = ("mail", "state", "log")
_DEBUG_WARNING = (
    "warning: logrotate in debug mode does nothing except printing debug messages!"
    "  Consider using verbose mode (-v) instead if this is not what you want.\n\n"
)
_USAGE = """\
Usage: logrotate [-dfv?] [-d|--debug] [-f|--force] [-m|--mail=command]
        [-s|--state=statefile] [--skip-state-lock] [--wait-for-state-lock]
        [-v|--verbose] [-l|--log=logfile] [--version] [-?|--help] [--usage]
        [OPTION...] <configfile>
"""
_HELP = f"""\
Usage: logrotate [OPTION...] <configfile>
  -d, --debug                   Tell what would be done, and do nothing
  -f, --force                   Rotate whatever the time
  -m, --mail=command            What sends mail (instead of
                                `{MAIL}')
  -s, --state=statefile         Where it is kept when each log was rotated
      --skip-state-lock         Leave the state file unlocked
      --wait-for-state-lock     Wait while another holds its lock
  -v, --verbose                 Tell what is done
  -l, --log=logfile             Tell it in a file, too, or the system's log
                                (`syslog')
      --version                 Tell the version

Help options:
  -?, --help                    Show this
      --usage                   Show all options in short
"""
_VERSION = f"""\
logrotate {COMPATIBLE}

    Default mail command:       {MAIL}
    Default compress command:   /bin/gzip
    Default uncompress command: /bin/gunzip
    Default compress extension: .gz
    Default state file path:    {STATE}
    ACL support:                yes
    SELinux support:            yes
    Provided by:                hostward {__version__}
"""
_HEAD = f"logrotate {COMPATIBLE}, provided by hostward {__version__}\n\n"


class _Options:
    def __init__(self) -> None:
        self.flags: set[str] = set()
        self.mail = MAIL
        self.state = STATE
        self.logs: list[str] = []
        self.paths: list[str] = []


class _EndError(Exception):
    """The options end the program, with an exit code."""

    def __init__(self, code: int) -> None:
        super().__init__()
        self.code = code


def run(words: Sequence[str]) -> int:
    """Do what the words after `logrotate` say. Returns the exit code."""
    _open_standard_streams()
    try:
        options = _parsed(words)
    except _EndError as end:
        return end.code
    debug = "debug" in options.flags
    voice = Voice(verbose=debug or "verbose" in options.flags)
    for name in options.logs:
        try:
            voice.log_to(name)
        except OSError as error:
            voice.error(f"error opening log file {name}: {error.strerror}")
    now = moment.at(time.time())
    sections, failed = language.read(options.paths, voice, debug=debug)
    known = state.State(options.state, voice)
    if not debug:
        try:
            # Held until the end of the process, whatever ends it.
            state.lock(
                options.state,
                voice,
                skip="skip-state-lock" in options.flags,
                wait="wait-for-state-lock" in options.flags,
            )
        except state.LockError as error:
            voice.error(str(error))
            return LOCK_CODE
    failed |= not known.read()
    voice.verbose(f"\nHandling {len(sections)} logs")
    journal_path = "" if options.state == state.NO_STATE else f"{options.state}.journal"
    failed |= not rotate(
        sections,
        known,
        now=now,
        voice=voice,
        force="force" in options.flags,
        debug=debug,
        mail_command=options.mail,
        # What is left for the next run stands in the journal.
        hooks=_UntilRead(voice) if journal_path and not debug else None,
        journal_path=journal_path,
        save=lambda: known.write(now),
    )
    return int(failed)


class _UntilRead(Hooks):
    """Leaves a rotated log uncompressed while a check of our own agent, if there is one, has not read it to its end.

    The next run compresses it. Where no check follows logs all is as with logrotate.
    """

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._has_agent = os.path.lexists(f"{AGENT}/agent.db")
        self._ask: Callable[[str, int, int], bool] | None = None

    def may_compress(self, path: str, device: int, inode: int) -> bool:
        if not self._has_agent:
            return True
        if self._ask is None:
            from agent.logs.followers import Followers  # where there is no agent nothing of it is loaded

            self._ask = Followers(AGENT, now=time.time(), say=self._voice.verbose).may_compress
        return self._ask(path, device, inode)


def _parsed(words: Sequence[str]) -> _Options:
    """Options may stand among the files and several of one letter in a word, as popt has it. Raises _EndError."""
    options = _Options()
    rest = list(words)
    while rest:
        word = rest.pop(0)
        if word == "--":
            options.paths += rest
            break
        if word.startswith("--"):
            name, equals, value = word[2:].partition("=")
            if name in _VALUES and (equals or rest):
                _take(name, value if equals else rest.pop(0), options)
            elif name in _FLAGS and not equals:
                _take(name, "", options)
            else:
                _refuse(word)
        elif word.startswith("-") and word != "-":
            _take_letters(word, rest, options)
        else:
            options.paths.append(word)
    if {"skip-state-lock", "wait-for-state-lock"} <= options.flags:
        _tell_error("logrotate: options --skip-state-lock and --wait-for-state-lock are mutually exclusive\n")
        raise _EndError(1)
    if not options.paths:
        _tell_error(_HEAD + _USAGE)
        raise _EndError(1)
    return options


def _take_letters(word: str, rest: list[str], options: _Options) -> None:
    at = 1
    while at < len(word):
        name = _SHORT.get(word[at])
        at += 1
        if name in _VALUES:
            if at == len(word) and not rest:
                _refuse(word)
            _take(name, word[at:].removeprefix("=") if at < len(word) else rest.pop(0), options)
            return
        if name is None or word.startswith("=", at):
            _refuse(word)
        else:
            _take(name, "", options)


def _take(name: str, value: str, options: _Options) -> None:
    if name == "log":
        options.logs.append(value)
    elif name in _VALUES:
        setattr(options, name, value)
    else:
        options.flags.add(name)
    if name == "debug":
        _tell_error(_DEBUG_WARNING)
    told = {"version": _VERSION, "help": _HELP, "usage": _USAGE}.get(name)
    if told is not None:
        write_all(1, told.encode())
        raise _EndError(0)


def _refuse(word: str) -> None:
    _tell_error(f"logrotate: bad argument {word}: unknown error\n")
    raise _EndError(USAGE_CODE)


def _tell_error(text: str) -> None:
    write_all(2, os.fsencode(text))


def _open_standard_streams() -> None:
    """What was closed by whoever started this: the next file would get its number, and then what is said."""
    for number in range(3):
        try:
            os.fstat(number)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)
