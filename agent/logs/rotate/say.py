"""Where what a rotation says goes: standard error, a file (`--log`), or the system's log.

The streams are logrotate's: everything goes to standard error, nothing to standard output; a file gets what
`--verbose` would show, whether it is given or not. Each message is one write, so that nothing is lost by a kill, and
no failing stream ends a rotation.
"""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

INFO, WARNING, ERROR = 6, 4, 3
"""How grave a message is, as syslog(3) numbers it."""
_PREFIXES = {WARNING: "warning: ", ERROR: "error: "}
SHOWN = WARNING
"""What is shown without `--verbose`, and all that is graver."""


class Voice:
    """What is said, in lines that get their newline here."""

    def __init__(self, *, verbose: bool = False, stream: int = 2) -> None:
        self._is_verbose = verbose
        self._stream = stream
        self._log: int | None = None
        self._syslog: Callable[[int, str], None] | None = None

    @property
    def log_descriptor(self) -> int | None:
        """The file of `--log`, which scripts inherit."""
        return self._log

    def log_to(self, name: str) -> None:
        """Say everything to a file, which is emptied, or with `syslog` to the system's log. Raises OSError."""
        if name == "syslog":
            import syslog  # where it is not asked for, nothing should load it

            syslog.openlog("logrotate", 0, syslog.LOG_USER)
            self._syslog = syslog.syslog
            return
        self._log = os.open(name, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o666)
        os.set_inheritable(self._log, True)

    @property
    def wordy(self) -> bool:
        """Whether what is `verbose` goes anywhere."""
        return self._is_verbose or self._log is not None or self._syslog is not None

    def error(self, text: str) -> None:
        """What went wrong."""
        self._say(ERROR, f"{_PREFIXES[ERROR]}{text}\n")

    def warning(self, text: str) -> None:
        """What may be meant otherwise; it changes no exit code."""
        self._say(WARNING, f"{_PREFIXES[WARNING]}{text}\n")

    def verbose(self, text: str) -> None:
        """What is done, for those who asked."""
        if self.wordy:
            self._say(INFO, f"{text}\n")

    def plain(self, text: str) -> None:
        """What a program said, as it said it."""
        self._say(ERROR, text)

    def _say(self, level: int, text: str) -> None:
        # Names of files go out as the bytes that they are.
        data = os.fsencode(text)
        if level <= SHOWN or self._is_verbose:
            write_all(self._stream, data)
        if self._log is not None:
            write_all(self._log, data)
        if self._syslog is not None:
            # It has the gravity beside the text.
            text = data.decode(errors="replace").replace("\0", " ").removesuffix("\n")
            self._syslog(level, text.removeprefix(_PREFIXES.get(level, "")))


def write_all(descriptor: int, data: bytes) -> None:
    """Write it, or what can be: that nobody listens is no reason to leave a rotation half done."""
    while data:
        try:
            data = data[os.write(descriptor, data) :]
        except OSError:
            return
