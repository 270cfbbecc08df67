"""The language of Redis: words that are said, and lines that come back.

https://redis.io/docs/latest/develop/reference/protocol-spec/ (RESP2)
"""

from __future__ import annotations

import socket

from kit.errors import HostwardError

_LINE = 1 << 16
"""Bytes of a line at most."""


class RedisError(HostwardError):
    """What the server says is an error, or no answer; the message is all that is known."""


class Lines:
    """A connection."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self.rest = b""
        """What was read beyond the last line."""

    def say(self, *words: str) -> None:
        """Send a command."""
        parts = [word.encode() for word in words]
        self._link.sendall(b"*%d\r\n" % len(parts) + b"".join(b"$%d\r\n%s\r\n" % (len(part), part) for part in parts))

    def answer(self) -> bytes:
        """The next line that is not empty, without its end."""
        while True:
            while b"\n" not in self.rest:
                self._receive()
                if len(self.rest) > 2 * _LINE:
                    raise RedisError("what it says is no answer of Redis")
            line, _, self.rest = self.rest.partition(b"\n")
            if line.strip():
                return line.rstrip(b"\r")

    def reply(self) -> list[str]:
        """The next whole answer, with what is in arrays one after the other, and nothing for nil.

        Raises RedisError for one that says that something is wrong.
        """
        line = self.answer()
        kind, text = line[:1], line[1:].decode(errors="replace")
        if kind == b"-":
            raise RedisError(text)
        if kind == b"*":
            return [value for _ in range(int(text)) for value in self.reply()]
        if kind == b"$":
            return [self._bytes(int(text)).decode(errors="replace")] if int(text) >= 0 else []
        return [text]

    def _bytes(self, count: int) -> bytes:
        while len(self.rest) < count + 2:
            self._receive()
        found, self.rest = self.rest[:count], self.rest[count + 2 :]
        return found

    def _receive(self) -> None:
        more = self._link.recv(_LINE)
        if not more:
            raise RedisError("it ended the connection")
        self.rest += more
