"""Rotating as another user: the effective ids, so that scripts can still be root's."""

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from agent.logs.rotate.say import Voice


class Identity:
    """Who rotates. It goes back to who it was by `leave`."""

    def __init__(self, voice: Voice) -> None:
        self._voice = voice
        self._own = os.geteuid(), os.getegid()
        self._groups: list[int] | None = None
        self.other: tuple[int, int] | None = None
        """User and group id that it became; None where it is itself."""

    def become(self, uid: int, gid: int) -> None:
        """Raises OSError; then it is itself."""
        self._say(self._own, (uid, gid))
        if self._own[0] == 0:
            # What root's groups may do, this user may not.
            self._groups = os.getgroups()
            os.setgroups([gid])
        try:
            os.setegid(gid)
            os.seteuid(uid)
        except OSError:
            self._return()
            raise
        self.other = uid, gid

    def leave(self) -> None:
        """Be itself again."""
        if self.other is not None:
            self._say(self.other, self._own)
            self._return()
            self.other = None

    def announce(self) -> None:
        """Say that a program is started that is the other's for good."""
        if self.other is not None:
            uid, gid = self.other
            self._voice.verbose(f"switching uid to {uid} and gid to {gid} permanently (pid {os.getpid()})")

    def lay_down(self, *, aloud: bool = True) -> None:
        """Be itself for a moment, to do what is root's; `take_up` ends it."""
        if self.other is not None:
            if aloud:
                self._say(self.other, self._own)
            self._return()

    def take_up(self) -> None:
        """End what `lay_down` began."""
        if self.other is not None:
            uid, gid = self.other
            if self._own[0] == 0:
                self._groups = os.getgroups()
                os.setgroups([gid])
            os.setegid(gid)
            os.seteuid(uid)

    def _return(self) -> None:
        os.seteuid(self._own[0])
        os.setegid(self._own[1])
        if self._groups is not None:
            os.setgroups(self._groups)
            self._groups = None

    def _say(self, before: tuple[int, int], after: tuple[int, int]) -> None:
        self._voice.verbose(switching(before, after))


def switching(before: tuple[int, int], after: tuple[int, int]) -> str:
    """The words for becoming another user and group."""
    users, groups = zip(before, after, strict=True)
    return "switching euid from {} to {} and egid from {} to {} (pid {})".format(*users, *groups, os.getpid())
