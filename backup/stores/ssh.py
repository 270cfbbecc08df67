"""Connections to SSH servers: who is meant by ssh's own configuration, keys, and servers that prove who they are."""

from __future__ import annotations

import logging
import os
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from io import StringIO
from pathlib import Path
from typing import Any

import paramiko
from paramiko.config import SSHConfig, SSHConfigDict
from paramiko.hostkeys import InvalidHostKey
from paramiko.ssh_exception import ConfigParseError, CouldNotCanonicalize

from backup.stores.contract import PermanentStoreError, StoreError
from backup.stores.home import home_of
from kit.terminal import bounded, clean

CONNECT = 20.0
"""Seconds for a connection, and for each step of the greeting."""
SILENCE = 120.0
"""Seconds without an answer after which a connection is dead."""
KEEPALIVE = 30
"""Seconds between signs of life, so that no firewall forgets a connection that is waiting."""

CIPHERS = ("aes128-gcm@openssh.com", "aes256-gcm@openssh.com", "aes128-ctr", "aes192-ctr", "aes256-ctr")
"""GCM first, which takes half of the time that CTR and a MAC of its own do; nothing that OpenSSH calls obsolete."""

# The library logs tracebacks of failures that are told as errors here.
logging.getLogger("paramiko").setLevel(logging.CRITICAL)


@dataclass(frozen=True, slots=True)
class Address:
    """As a person writes it: the host may be a name of ssh's configuration; what is None is for that to say."""

    host: str
    user: str | None = None
    port: int | None = None

    def __str__(self) -> str:
        user = f"{self.user}@" if self.user else ""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{user}{host}" + (f":{self.port}" if self.port else "")


@dataclass(frozen=True, slots=True)
class Connection:
    """A connection, and those to the hosts that it goes through."""

    client: paramiko.SSHClient
    hops: tuple[paramiko.SSHClient, ...] = ()

    def alive(self) -> bool:
        transport = self.client.get_transport()
        return transport is not None and transport.is_active()

    def close(self) -> None:
        for client in (self.client, *self.hops):
            client.close()


def connect(address: Address, environment: Mapping[str, str]) -> Connection:
    """An authenticated connection.

    Of ~/.ssh/config and /etc/ssh/ssh_config these count: HostName, User, Port, IdentityFile, IdentitiesOnly,
    UserKnownHostsFile, GlobalKnownHostsFile, ProxyJump (one host), Compression. Keys of an agent are tried too.
    The server's key must be in a known_hosts file; no setting changes that. Raises StoreError.
    """
    home = home_of(environment)
    return _connect(address, home, depth=0)


def _connect(address: Address, home: Path, *, depth: int) -> Connection:
    options = _options(address.host, home)
    try:
        port = address.port or int(options.get("port", paramiko.config.SSH_PORT))
    except ValueError:
        raise PermanentStoreError(f"{address}: the port in ssh's configuration is not a number") from None
    host = options.get("hostname", address.host)
    client = paramiko.SSHClient()
    hops: tuple[paramiko.SSHClient, ...] = ()
    client.set_missing_host_key_policy(_Refuse())
    try:
        for file in _known_hosts(options, home):
            client.load_system_host_keys(str(file))
        sock, hops = _proxy(options, host, port, home, depth)
        named = [file for file in options.get("identityfile", []) if Path(file).exists()]
        only = options.get("identitiesonly", "no") == "yes"
        client.connect(
            host,
            port=port,
            username=address.user or options.get("user"),
            key_filename=named or None,  # type: ignore[arg-type]  # it takes several, as its documentation says
            look_for_keys=not named and not only,
            allow_agent=not only,
            compress=options.get("compression", "no") == "yes",
            timeout=CONNECT,
            banner_timeout=CONNECT,
            auth_timeout=SILENCE,
            channel_timeout=SILENCE,
            transport_factory=_transport,  # type: ignore[arg-type]  # the stub has the names of arguments wrong
            sock=sock,
        )
        transport = client.get_transport()
        if transport is None:
            raise StoreError(f"{address}: the connection was closed at once")
        transport.set_keepalive(KEEPALIVE)
    except BaseException as error:
        Connection(client, hops).close()
        told = _told(address, error)
        if told is None:
            raise
        raise told from error
    return Connection(client, hops)


def _transport(sock: socket.socket, **options: Any) -> paramiko.Transport:
    transport = paramiko.Transport(sock, **options)
    transport.get_security_options().ciphers = CIPHERS
    return transport


def _options(host: str, home: Path) -> SSHConfigDict:
    """The first value counts, so the person's own file comes before the system's."""
    text = ""
    for file in (home / ".ssh/config", Path("/etc/ssh/ssh_config")):
        try:
            # Settings above the first Host hold for all hosts, also after the other file's last one.
            text += f"Host *\n{file.read_text(errors='replace')}\n"
        except OSError:
            continue
    config = SSHConfig()
    try:
        config.parse(StringIO(text))
        return config.lookup(host)
    except (ConfigParseError, CouldNotCanonicalize, ImportError, ValueError) as error:
        # ImportError: `Match exec` takes a package that is not a part of this.
        raise PermanentStoreError(f"ssh's configuration cannot be used for {clean(host)}: {error}") from error
    except KeyError as error:  # as ssh, the library wants to know its user's name
        raise PermanentStoreError(f"ssh cannot be used by a user without a name: number {os.getuid()}") from error


def _known_hosts(options: SSHConfigDict, home: Path) -> list[Path]:
    user = options.get("userknownhostsfile", f"{home}/.ssh/known_hosts {home}/.ssh/known_hosts2")
    system = options.get("globalknownhostsfile", "/etc/ssh/ssh_known_hosts /etc/ssh/ssh_known_hosts2")
    files = [Path(name.replace("~", str(home), 1) if name.startswith("~/") else name) for name in
             (*user.split(), *system.split())]  # fmt: skip
    return [file for file in files if file.is_file()]


def _proxy(
    options: SSHConfigDict, host: str, port: int, home: Path, depth: int
) -> tuple[paramiko.Channel | None, tuple[paramiko.SSHClient, ...]]:
    """What stands between here and the host, where ssh's configuration has something there, and its connections."""
    jump, command = options.get("proxyjump", "none"), options.get("proxycommand", "none")
    if jump != "none":
        if depth >= 4:
            raise PermanentStoreError(f"{clean(host)}: ProxyJump goes through more than four hosts")
        if "," in jump:
            raise PermanentStoreError(f"{clean(host)}: ProxyJump through several hosts: give each its own ProxyJump")
        before = _connect(_jump(jump), home, depth=depth + 1)
        transport = before.client.get_transport()
        assert transport is not None
        try:
            channel = transport.open_channel("direct-tcpip", (host, port), ("127.0.0.1", 0), timeout=CONNECT)
        except BaseException:
            before.close()
            raise
        return channel, (before.client, *before.hops)
    if command != "none":
        # The library would hand it this process's environment, with the repository's password.
        raise PermanentStoreError(f"{clean(host)}: ssh's configuration has a ProxyCommand, which is not run: "
                                  f"expected ProxyJump")  # fmt: skip
    return None, ()


def _jump(text: str) -> Address:
    user, _, place = text.strip().rpartition("@")
    host, _, port = place.rpartition(":")
    return Address(host, user or None, int(port)) if host and port.isdigit() else Address(place, user or None)


class _Refuse(paramiko.MissingHostKeyPolicy):
    def missing_host_key(self, client: paramiko.SSHClient, hostname: str, key: paramiko.PKey) -> None:
        raise PermanentStoreError(
            f"{hostname}: its host key ({key.get_name()}, {key.fingerprint}) is in no known_hosts file: compare it, "
            f"then connect once with ssh as this user, or add it with ssh-keyscan"
        )


def _told(address: Address, error: BaseException) -> StoreError | None:
    """The StoreError that a failure to connect is; None for one that is none of the connection's."""
    match error:
        case StoreError():
            return error
        case paramiko.BadHostKeyException():
            return PermanentStoreError(
                f"{address}: its host key is not the one in known_hosts: either it was changed, or this is another "
                f"host that poses as it"
            )
        case paramiko.AuthenticationException():
            return PermanentStoreError(f"{address}: no key was accepted: {bounded(str(error), 200)}")
        case InvalidHostKey():
            return PermanentStoreError(f"{address}: a known_hosts file has a line that is no key")
        case socket.gaierror() if error.errno != socket.EAI_AGAIN:
            return PermanentStoreError(f"{address}: {error.strerror}")
        case paramiko.SSHException() | OSError() | EOFError():
            return StoreError(f"{address}: {bounded(str(error) or type(error).__name__, 300)}")
    return None
