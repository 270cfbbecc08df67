"""`[backups.NAME.redis]`: all of a Redis or Valkey server, as one RDB file."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.config.backup_sources.common import Port, Secret, Words
from kit.units import Duration


class RedisSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """All data of a Redis or Valkey server, as it gives them to a replica: `/redis/dump.rdb`.

    The server forks as for any new replica. A user of the ACL needs `+sync` and `+replconf`.
    """

    host: Annotated[Words, msgspec.Meta(description="Name or address.", examples=["cache.example.com"])] = "127.0.0.1"
    port: Annotated[Port, msgspec.Meta(description="Port number.", examples=[6380])] = 6379
    socket: Annotated[
        str,
        msgspec.Meta(
            description="The Unix socket, instead of host and port.", examples=["/run/redis/redis-server.sock"]
        ),
    ] = ""
    user: Annotated[
        str, msgspec.Meta(description="The ACL's user; empty for the default one.", examples=["backup"])
    ] = ""
    password_file: Annotated[
        Secret,
        msgspec.Meta(
            description="The file that holds the password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/redis.password"],
        ),
    ] = ""
    tls: Annotated[
        bool,
        msgspec.Meta(description="Whether to use TLS; without it a password travels in the clear.", examples=[True]),
    ] = False
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities to trust, PEM; empty for those of the system.",
            examples=["/etc/ssl/example-ca.pem"],
        ),
    ] = ""
    patience: Annotated[
        Duration,
        msgspec.Meta(
            description="How long the server may say nothing. It says something every second while it prepares.",
            examples=["5m"],
            extra={"minimum": Duration(1), "maximum": Duration(86400)},
        ),
    ] = Duration(60)

    def __post_init__(self) -> None:
        if self.ca_file and not self.tls:
            raise ValueError("ca_file is only read with tls = true")
        if self.tls and self.socket:
            raise ValueError("tls is for host and port; a Unix socket needs none")
        if self.user and not self.password_file:
            raise ValueError("user needs a password_file")
