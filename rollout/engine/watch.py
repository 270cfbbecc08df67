"""One host's connection, watched: that it lives, what was last complained about, and that it is closed in the end.

pyinfra waits for ever for a host that lost its power, asks a person for what is missing, and leaves clients of ssh
open. A connection is asked for a sign of life here, as ssh's ServerAliveInterval does: paramiko's own keepalive wants
no answer, and so learns nothing.
"""

from __future__ import annotations

import errno
import posixpath
from collections.abc import Callable
from contextlib import suppress
from shlex import quote
from typing import Any

import gevent
import pyinfra.connectors.ssh_util
import pyinfra.connectors.sshuserclient.client
import pyinfra.connectors.util
from paramiko import SSHException, Transport
from pyinfra.api.command import StringCommand
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.connectors.sshuserclient.client import StrictPolicy
from pyinfra.connectors.util import CommandOutput

from rollout.engine import sentences

GOODBYE = 5.0
"""Seconds for tidying up on a host before its connection is closed."""
_MAYBE_FULL = ("Failure", "size mismatch in put!")
"""All that SFTP, and paramiko of it, can say of a full disk."""


class LostConnectionError(ConnectionError):
    """The host no longer answers, or closed the connection."""


class Watch:
    """Stands around a host's connector."""

    def __init__(self, host: Host, silence: float) -> None:
        """`silence`: seconds without a sign of life after which a connection is lost."""
        self.host = host
        self.complaint = ""
        """What was last complained about, by the host or by pyinfra of it."""
        self._silence = silence
        self._silent = False
        self._connector: Any = host.connector
        for name in ("run_shell_command", "put_file", "get_file"):
            setattr(self._connector, name, self._around(getattr(self._connector, name)))
        self._put = self._connector.put_file
        self._connect = self._connector.connect
        vars(self._connector).update(put_file=self._put_file, connect=self._connect_and_listen)

    @property
    def lost(self) -> bool:
        """Whether there is no connection (any more), of hosts that are reached by ssh."""
        client = self._client
        if client is None:
            return False
        transport = client.get_transport()
        return transport is None or not transport.is_active()

    def close(self) -> None:
        """Tidy up on the host as far as that goes quickly, and close the connection."""
        if self.host.connected and not self.lost:
            with suppress(PyinfraError, OSError, EOFError, SSHException), gevent.Timeout(GOODBYE, False):
                self.host.disconnect()
        client = self._client
        if client is not None:
            client.close()
        self.host.connected = False

    @property
    def _client(self) -> Any:
        return getattr(self._connector, "client", None)

    def _around(self, call: Callable[..., Any]) -> Callable[..., Any]:
        def watched(*args: Any, **arguments: Any) -> Any:
            if self.lost:
                raise self._lost_error()
            try:
                answer = call(*args, **arguments)
            except (OSError, EOFError, SSHException) as error:
                if self.lost:
                    raise self._lost_error() from error
                self.complaint = self._said(error, arguments)
                raise
            if isinstance(answer, tuple) and not answer[0]:
                if self.lost:
                    raise self._lost_error()
                output: CommandOutput = answer[1]
                self.complaint = sentences.of_complaint(output.stderr_lines or output.stdout_lines)
            return answer

        return watched

    def _said(self, error: Exception, arguments: dict[str, Any]) -> str:
        if isinstance(error, TimeoutError) and arguments.get("_timeout"):
            return f"a command did not end within {arguments['_timeout']} s"
        return sentences.one_line(str(error)) or type(error).__name__

    def _lost_error(self) -> LostConnectionError:
        why = f"it gave no sign of life for {self._silence:.0f} s" if self._silent else "it was closed"
        self.complaint = f"the connection was lost: {why}"
        return LostConnectionError(why)

    def _put_file(self, source: Any, destination: str, remote_temp_filename: str | None = None, **more: Any) -> Any:
        try:
            return self._put(source, destination, remote_temp_filename=remote_temp_filename, **more)
        except OSError as error:
            paths = [path for path in (destination, remote_temp_filename) if path]
            if not str(error).startswith(_MAYBE_FULL) or not self._full(paths):
                raise
            self.complaint = f"no space is left on the host for {destination}"
            raise OSError(errno.ENOSPC, self.complaint) from None

    def _full(self, paths: list[str]) -> bool:
        folders = " ".join(quote(posixpath.dirname(path) or ".") for path in paths)
        ok, output = False, CommandOutput([])
        with suppress(OSError, EOFError, SSHException), gevent.Timeout(GOODBYE, False):
            ok, output = self._connector.run_shell_command(StringCommand(f"df -Pk {folders}"))
        return ok and any(line.split()[3:4] == ["0"] for line in output.stdout_lines)

    def _connect_and_listen(self) -> None:
        self._silent = False
        self._connect()
        if self._client is not None:
            gevent.spawn(self._listen, self._client.get_transport())

    def _listen(self, transport: Transport) -> None:
        while transport.is_active():
            gevent.sleep(self._silence / 3)
            answered = False
            with gevent.Timeout(self._silence, False), suppress(OSError, EOFError, SSHException):
                transport.global_request("keepalive@openssh.com", wait=True)
                answered = True
            if not answered and transport.is_active():
                self._silent = True
                transport.close()


def ask_nobody() -> None:
    """Have pyinfra fail where it would ask a person, who is not there."""

    def password(prompt: str = "") -> str:
        if "sudo" in prompt:
            raise PyinfraError("sudo asks for a password, and the inventory gives none")
        raise PyinfraError(f"there is nobody to ask here: {prompt.strip().rstrip(':')}")

    for module in (pyinfra.connectors.util, pyinfra.connectors.ssh_util):
        vars(module)["getpass"] = password
    # What a jump host that is not known gets: pyinfra asks about it whatever the inventory says.
    vars(pyinfra.connectors.sshuserclient.client)["AskPolicy"] = StrictPolicy
