"""MySQL and MariaDB: a dump for each database, and the accounts.

Each dump is one transaction (`--single-transaction`), so that writers go on. Between databases there is no common
moment but that of a lock on all tables, which no backup is worth. Connections are described in a file in memory
(`--defaults-extra-file`), with the password.

Accounts and roles are asked for one by one, by SHOW CREATE USER and SHOW GRANTS, which both servers know. Those that
the server has in its tables and does not heed (names of hosts with `skip_name_resolve`) are none.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from functools import cached_property, partial
from io import BytesIO

from agent import credentials
from agent.backups.programs import Output, ProgramError, collect, first_of, path_of, secret_file
from agent.backups.sources.contract import Contents, Run, SourceError, file_name
from agent.backups.sources.patterns import chosen
from agent.config.backup_sources.mysql import MysqlSource
from backup.archive.streams import Stream

SYSTEM = ("information_schema", "performance_schema", "mysql", "sys")
"""Databases that are the server's own: the accounts of `mysql` are saved apart."""
_OPTIONS = (
    "--single-transaction",
    "--quick",
    "--routines",
    "--events",
    "--triggers",
    "--hex-blob",
    "--skip-dump-date",  # so that what has not changed has the same dump
    "--default-character-set=utf8mb4",
    "--max-allowed-packet=1G",  # the most that there can be, so that no row is too large
)
_OF_MYSQL = (
    "--no-tablespaces",
    "--column-statistics=0",  # which older servers do not have
    "--set-gtid-purged=OFF",  # which would let only one of several dumps be loaded
)
_DATABASES = "SELECT HEX(schema_name) FROM information_schema.schemata"
_ROLES = "SELECT CONCAT('`', REPLACE(user, '`', '``'), '`') FROM mysql.user WHERE is_role = 'Y' ORDER BY 1"
_ACCOUNTS = (
    "SELECT CONCAT(QUOTE(user), '@', QUOTE(host)) FROM mysql.user "
    "WHERE user NOT LIKE 'mysql.%' AND user <> 'mariadb.sys' {} ORDER BY 1"
)
_UNHEEDED = re.compile(r"ERROR (1133|1141|1396) ")
"""ER_PASSWORD_NO_MATCH, ER_NONEXISTING_GRANT and ER_CANNOT_USER: https://mariadb.com/kb/en/mariadb-error-codes/"""
_THEN = "no snapshot was made"


@contextmanager
def opened(options: MysqlSource, run: Run) -> Iterator[Contents]:
    """With the tools that are called as MySQL's."""
    with opened_as("mysql", ("mysqldump", "mariadb-dump"), ("mysql", "mariadb"), options) as contents:
        yield contents


@contextmanager
def opened_as(
    kind: str, dumpers: tuple[str, ...], clients: tuple[str, ...], options: MysqlSource
) -> Iterator[Contents]:
    """List the databases; `kind` is the folder in the snapshot, the tools are the first that are installed."""
    dumper, client = first_of(*dumpers), first_of(*clients)
    if dumper is None or client is None:
        missing = " and ".join(names[0] for names, found in ((dumpers, dumper), (clients, client)) if found is None)
        raise SourceError(f"{missing} cannot be found on PATH; {_THEN}")
    with secret_file(defaults(options), options.run_as) as file:
        server = _Server(options, dumper, client, file)
        names = chosen(
            [name for name in server.databases() if name not in SYSTEM],
            options.databases,
            options.exclude,
            what="database",
        )
        if not names and not options.users:
            raise SourceError("there is no database to dump")
        streams = [Stream(f"/{kind}/users.sql", server.users)] if options.users else []
        streams += [Stream(f"/{kind}/{file_name(name)}.sql", partial(server.dump, name)) for name in names]
        yield Contents(streams=tuple(streams), names=(f"/{kind}",))


def defaults(options: MysqlSource) -> str:
    """The file of options for a client. Raises SecretError.

    Its syntax: https://dev.mysql.com/doc/refman/8.4/en/option-files.html
    """
    lines = ["[client]", f"user={_quoted(options.user)}"]
    if options.socket:
        lines += [f"socket={_quoted(options.socket)}", "protocol=socket"]
    else:
        lines += [f"host={_quoted(options.host)}", f"port={options.port}", "protocol=tcp"]
    if options.password_file:
        lines.append(f"password={_quoted(credentials.read_secret(options.password_file))}")
    if options.tls:
        # MariaDB's client has the one, MySQL's the other; `loose` lets either pass over what it does not know.
        lines += [
            f"ssl-ca={_quoted(options.ca_file)}",
            "loose-ssl-verify-server-cert",
            "loose-ssl-mode=VERIFY_IDENTITY",
        ]
    return "\n".join([*lines, ""])


def script_of(roles: list[str], created: list[str], granted: list[str]) -> str:
    """A script that makes roles and accounts and grants them what they had, from what the SHOW statements gave.

    What is there already is left as it is. Grants come last, for they may name roles.
    """
    lines = [f"CREATE ROLE IF NOT EXISTS {role}" for role in roles]
    lines += [line.replace("CREATE USER ", "CREATE USER IF NOT EXISTS ", 1) for line in created]
    return "".join(f"{line};\n" for line in [*lines, *granted, "FLUSH PRIVILEGES"])


class _Server:
    """Tools and the file that says how they reach the server."""

    def __init__(self, options: MysqlSource, dumper: str, client: str, file: int) -> None:
        self._user = options.run_as
        self._dumper = dumper
        self._client = client
        self._file = file

    def ask(self, statements: str) -> list[str]:
        """The lines that statements give, as they are. Raises ProgramError."""
        words = [
            self._client,
            f"--defaults-extra-file={path_of(self._file)}",
            "--batch",
            "--raw",
            "--skip-column-names",
            "--default-character-set=utf8mb4",
        ]
        given = statements.encode()
        return collect(words, given=given, pass_fds=[self._file], user=self._user).decode().split("\n")[:-1]

    def databases(self) -> list[str]:
        """Their names, in which there can be any character. Raises ProgramError."""
        return [bytes.fromhex(name).decode() for name in self.ask(_DATABASES)]

    def dump(self, name: str) -> Output:
        """A database, with the statement that makes it."""
        more = () if self._is_mariadbs else _OF_MYSQL
        return self._output(*_OPTIONS, *more, "--databases", "--", name)

    def users(self) -> nullcontext[BytesIO]:
        """Accounts and roles."""
        (version,) = self.ask("SELECT VERSION()")
        mariadb = "MariaDB" in version
        roles = self.ask(_ROLES) if mariadb else []  # MySQL's are accounts
        accounts = self.ask(_ACCOUNTS.format("AND is_role = 'N'" if mariadb else ""))
        # Hashes of MySQL's may hold any byte.
        before = "" if mariadb else "SET print_identified_with_as_hex = ON; "
        created = {account: self._heeded(f"{before}SHOW CREATE USER {account}") for account in accounts}
        known = [account for account in accounts if created[account]]
        granted = [line for name in [*roles, *known] for line in self._heeded(f"SHOW GRANTS FOR {name}")]
        script = script_of(roles, [line for account in known for line in created[account]], granted)
        return nullcontext(BytesIO(script.encode()))

    def _heeded(self, statement: str) -> list[str]:
        """What a statement about an account gives; nothing where the server does not heed it."""
        try:
            return self.ask(statement)
        except ProgramError as error:
            if _UNHEEDED.search(str(error)):
                return []
            raise

    @cached_property
    def _is_mariadbs(self) -> bool:
        return b"MariaDB" in collect([self._dumper, "--version"])

    def _output(self, *words: str) -> Output:
        return Output(
            [self._dumper, f"--defaults-extra-file={path_of(self._file)}", *words],
            pass_fds=[self._file],
            user=self._user,
            then=_THEN,
        )


def _quoted(value: str) -> str:
    escaped = value.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
    return f'"{escaped}"'
