"""The session of the mysql check. Loads `pymysql`.

An account needs PROCESS and REPLICATION CLIENT (in MariaDB since 10.5 SLAVE MONITOR), and no right to any table:
sizes are those of InnoDB's files. MySQL and MariaDB tell some things by other names; the statements here know both.
"""

from __future__ import annotations

import re
import ssl
import time
from contextlib import closing
from typing import TypeAlias

import pymysql
from pymysql.constants import CR
from pymysql.cursors import DictCursor

from agent.checks.contract import CheckError
from agent.checks.drivers import read_password, told
from agent.checks.mysql import COUNTERS, Answer, Channel, MysqlOptions, Row
from kit.units import format_duration

Connection: TypeAlias = "pymysql.Connection[DictCursor]"

VARIABLES = "SHOW GLOBAL VARIABLES LIKE 'max_connections'"
STATUS = "SHOW GLOBAL STATUS WHERE Variable_name IN %s"
GAUGES = ("Threads_connected", "Threads_running", "Uptime")
# The threads of replication and the event scheduler never end; one that sleeps runs nothing.
SESSIONS = """
SELECT COALESCE(MAX(TIME), 0) AS longest FROM information_schema.PROCESSLIST
WHERE COMMAND IN ('Query', 'Execute') AND USER NOT IN ('system user', 'event_scheduler') AND ID <> CONNECTION_ID()"""
TRANSACTIONS = """
SELECT COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_started, NOW())), 0) AS longest,
  COALESCE(SUM(trx_state = 'LOCK WAIT'), 0) AS waiting,
  COALESCE(MAX(TIMESTAMPDIFF(SECOND, trx_wait_started, NOW())), 0) AS waited
FROM information_schema.INNODB_TRX"""
MARIADB_SIZES = """
SELECT SUBSTRING_INDEX(NAME, '/', 1) AS name, SUM(FILE_SIZE) AS size
FROM information_schema.INNODB_SYS_TABLESPACES WHERE NAME LIKE '%/%' GROUP BY 1"""
MYSQL_SIZES = MARIADB_SIZES.replace("INNODB_SYS_TABLESPACES", "INNODB_TABLESPACES")
MARIADB_REPLICATION = "SHOW ALL SLAVES STATUS"
MYSQL_REPLICATION = "SHOW REPLICA STATUS"

_ENCODED = re.compile("@([0-9a-f]{4})")


def ask(options: MysqlOptions, deadline: float, *, survey: bool) -> Answer | str:
    """What the server says until `deadline` by time.monotonic, or why it could not be reached.

    Raises CheckError where the password or the certificates cannot be read.
    """
    password = read_password(options.password_file)
    try:
        with closing(_connect(options, password, deadline)) as connection:
            return _Asking(connection, password).answer(survey=survey)
    except (pymysql.Error, OSError) as error:
        return _reason(error, password, options.patience)


class _Asking:
    """What is being learned from one server."""

    def __init__(self, connection: Connection, password: str) -> None:
        self.connection = connection
        self.password = password
        self.problems: list[str] = []

    def answer(self, *, survey: bool) -> Answer:
        told_version = str(self.fetch("SELECT VERSION() AS version")[0]["version"])
        mariadb = "mariadb" in told_version.lower()
        values = {row["Variable_name"]: row["Value"] for row in self.fetch(STATUS, [[*GAUGES, *COUNTERS]])}
        sessions = self.take("sessions", SESSIONS)
        transactions = self.take("transactions", TRANSACTIONS)
        channels = self.take("replication", MARIADB_REPLICATION if mariadb else MYSQL_REPLICATION)
        sizes = self.take("sizes", MARIADB_SIZES if mariadb else MYSQL_SIZES) if survey else None
        return Answer(
            version=version(told_version),
            connections_max=float(self.fetch(VARIABLES)[0]["Value"]),
            status={name: float(values.get(name, 0)) for name in (*GAUGES, *COUNTERS)},
            sessions=sessions[0] if sessions else None,
            transactions=transactions[0] if transactions else None,
            channels=None if channels is None else [channel(row) for row in channels],
            sizes=None if sizes is None else {decoded(row["name"]): float(row["size"]) for row in sizes},
            problems=self.problems,
        )

    def take(self, name: str, statement: str) -> list[Row] | None:
        """The rows of a statement, None where the account may not ask. Raises where the connection broke."""
        try:
            return self.fetch(statement)
        except pymysql.Error as error:
            if not self.connection.open or error.args[0] in (CR.CR_SERVER_LOST, CR.CR_SERVER_GONE_ERROR):
                raise
            self.problems.append(f"{name} cannot be told: {_said(error, self.password)}")
            return None

    def fetch(self, statement: str, values: object = None) -> list[Row]:
        with self.connection.cursor() as cursor:
            cursor.execute(statement, values)
            return list(cursor.fetchall())


def channel(row: Row) -> Channel:
    """A row of SHOW ALL SLAVES STATUS, or of SHOW REPLICA STATUS, whose names are newer."""

    def value(*names: str) -> str | None:
        found = next((row[name] for name in names if row.get(name) is not None), None)
        return None if found is None else str(found)

    behind = value("Seconds_Behind_Master", "Seconds_Behind_Source")
    return Channel(
        name=value("Connection_name", "Channel_Name") or "",
        receiving=value("Slave_IO_Running", "Replica_IO_Running") == "Yes",
        applying=value("Slave_SQL_Running", "Replica_SQL_Running") == "Yes",
        lag=None if behind is None else max(0.0, float(behind)),
        receive_error=value("Last_IO_Error") or "",
        apply_error=value("Last_SQL_Error") or "",
    )


def decoded(name: str) -> str:
    """The name of a database from that of its folder, where what is no letter is `@` and its code point."""
    return _ENCODED.sub(lambda match: chr(int(match[1], 16)), name)


def version(told: str) -> str:
    """`MariaDB 10.11.19` of what the server calls its version."""
    number = next(iter(re.findall(r"[0-9]+(?:\.[0-9]+)+", told)), told)
    return f"{'MariaDB' if 'mariadb' in told.lower() else 'MySQL'} {number}"


def _connect(options: MysqlOptions, password: str, deadline: float) -> Connection:
    """A session that can change nothing. Nothing is taken from a user's own my.cnf."""
    limit = max(1.0, deadline - time.monotonic())
    connection: Connection = pymysql.connect(
        host=options.host,
        port=options.port,
        unix_socket=options.socket or None,
        user=options.user,
        password=password,
        ssl=_tls(options) if options.tls else None,
        ssl_disabled=not options.tls,
        connect_timeout=limit,
        read_timeout=limit,
        write_timeout=limit,
        program_name="hostward",
        init_command="SET SESSION TRANSACTION READ ONLY",
        cursorclass=DictCursor,
        charset="utf8mb4",
        autocommit=True,
    )
    return connection


def _tls(options: MysqlOptions) -> ssl.SSLContext:
    try:
        context = ssl.create_default_context(cafile=options.ca_file or None)
    except (OSError, ssl.SSLError):
        raise CheckError(f"the certificates in {options.ca_file} cannot be read") from None
    if not options.verify:
        context.check_hostname = False
        context.verify_mode = ssl.CERT_NONE
    return context


def _reason(error: pymysql.Error | OSError, password: str, patience: float) -> str:
    """Why there was no answer. What the system said is under what the driver made of it."""
    under = getattr(error, "original_exception", None) or error.__cause__ or error.__context__ or error
    match under:
        case ssl.SSLCertVerificationError():
            return f"the TLS certificate is not trusted: {under.verify_message}"
        case TimeoutError():
            return f"no answer within {format_duration(patience)}"
    return _said(error, password)


def _said(error: pymysql.Error | OSError, password: str) -> str:
    """The text that a driver's error holds beside its number."""
    return told(Exception(error.args[-1]) if error.args else error, password)
