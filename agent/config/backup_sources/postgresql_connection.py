"""How PostgreSQL's own tools reach a server: what the tables of its sources have in common."""

from __future__ import annotations

from typing import Annotated, Literal

import msgspec

from agent.config.backup_sources.common import Port, RunAs, Secret, Words


class PostgresqlConnection(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A server, the role, and as whom the tools run."""

    host: Annotated[
        Words,
        msgspec.Meta(
            description="Name or address, or the folder of the Unix socket, where a role without a password is known "
            "by the user that runs the backup (peer).",
            examples=["db.example.com"],
        ),
    ] = "/var/run/postgresql"
    port: Annotated[Port, msgspec.Meta(description="Port number.", examples=[5433])] = 5432
    user: Annotated[Words, msgspec.Meta(description="The role.", examples=["backup"])] = "postgres"
    password_file: Annotated[
        Secret,
        msgspec.Meta(
            description="The file that holds the role's password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/postgresql.password"],
        ),
    ] = ""
    sslmode: Annotated[
        Literal["disable", "prefer", "require", "verify-ca", "verify-full"],
        msgspec.Meta(
            description="Whether to use TLS, and what of the server's certificate to verify, as libpq has it.",
            examples=["verify-full"],
        ),
    ] = "prefer"
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities that `verify-ca` and `verify-full` trust, PEM.",
            examples=["/etc/ssl/certs/ca-certificates.crt"],
        ),
    ] = ""
    run_as: Annotated[
        RunAs,
        msgspec.Meta(
            description="As which user PostgreSQL's tools run, where root runs the backup; empty for who runs it.",
            examples=["postgres"],
        ),
    ] = ""
