"""`[backups.NAME.mysql]` and `[backups.NAME.mariadb]`: databases of MySQL or MariaDB, dumped by their own tools."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.config.backup_sources.common import Port, RunAs, Secret, Words


class MysqlSource(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Databases of a MySQL or MariaDB server, one dump each with routines, events and triggers, and the accounts.

    The snapshot of a table `mysql` holds `/mysql/DATABASE.sql` and `/mysql/users.sql`, that of `mariadb` the same in
    `/mariadb`. A dump is one transaction: tables that know none (MyISAM) are as they are when it comes to them.
    """

    host: Annotated[Words, msgspec.Meta(description="Name or address.", examples=["db.example.com"])] = "127.0.0.1"
    port: Annotated[Port, msgspec.Meta(description="Port number.", examples=[3307])] = 3306
    socket: Annotated[
        str,
        msgspec.Meta(description="The Unix socket, instead of host and port.", examples=["/run/mysqld/mysqld.sock"]),
    ] = ""
    user: Annotated[
        Words,
        msgspec.Meta(
            description="The account. It needs SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES and PROCESS.",
            examples=["backup"],
        ),
    ] = "root"
    password_file: Annotated[
        Secret,
        msgspec.Meta(
            description="The file that holds the account's password, or `credential:NAME`; empty for none.",
            examples=["/etc/hostward/mysql.password"],
        ),
    ] = ""
    tls: Annotated[
        bool,
        msgspec.Meta(
            description="Whether the connection must use TLS, with a certificate of an authority in `ca_file`.",
            examples=[True],
        ),
    ] = False
    ca_file: Annotated[
        str,
        msgspec.Meta(
            description="Certificates of the authorities to trust, PEM.", examples=["/etc/ssl/example-ca.pem"]
        ),
    ] = ""
    databases: Annotated[
        tuple[Words, ...],
        msgspec.Meta(
            description="Which to dump, by name (* and ? as in file names). A name that fits none fails the run.",
            min_length=1,
            examples=[["shop", "billing*"]],
        ),
    ] = ("*",)
    exclude: Annotated[
        tuple[Words, ...], msgspec.Meta(description="Databases to leave out.", examples=[["test_*"]])
    ] = ()
    users: Annotated[
        bool,
        msgspec.Meta(
            description="Whether accounts and what they are granted are saved too, which takes SELECT on `mysql.*`.",
            examples=[False],
        ),
    ] = True
    run_as: Annotated[
        RunAs,
        msgspec.Meta(
            description="As which user the tools run, where root runs the backup; empty for who runs it.",
            examples=["mysql"],
        ),
    ] = ""

    def __post_init__(self) -> None:
        if self.tls and not self.ca_file:
            raise ValueError("tls needs a ca_file")
        if self.tls and self.socket:
            raise ValueError("tls is for host and port; a Unix socket needs none")
        if self.ca_file and not self.tls:
            raise ValueError("ca_file is only read with tls = true")
