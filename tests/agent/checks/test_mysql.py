"""MySQL and MariaDB: a real MariaDB with a real replica, and the pure reading of what either says."""

from __future__ import annotations

import shutil
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import msgspec
import pymysql
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Sample, remembered
from agent.checks.drivers import Trend
from agent.checks.mysql import COUNTERS, Answer, Channel, Memory, Mysql, MysqlOptions, derive
from agent.checks.mysql_session import channel, decoded, version
from agent.privileged.protocol import MAX_BEFORE, Before, encode_request
from kit.units import Duration
from tests.agent.checks.daemons import Mariadb, folder_of, mariadb, until
from tests.agent.checks.servers import certificate, listen
from tests.agent.checks.tree import NOW, collect, said, values

PASSWORD = "a-password-that-nobody-may-see"


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    """A server with an account for the check, and a database."""
    with mariadb("--log-bin", "--server-id=1", "--max-connections=12") as running:
        running.sql(
            f"CREATE USER hostward IDENTIFIED BY '{PASSWORD}'",
            "GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR ON *.* TO hostward",
            "CREATE DATABASE `my-shop`",
            "CREATE TABLE `my-shop`.items (id int PRIMARY KEY) ENGINE=InnoDB",
            "INSERT INTO `my-shop`.items VALUES (1), (2)",
        )
        yield running


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    return str(file)


def check(server: Mariadb, password_file: str, **settings: Any) -> Mysql:
    options = {"port": server.port, "password_file": password_file, "timeout": Duration(30)}
    return Mysql(MysqlOptions(**(options | settings)))


def test_a_healthy_server_has_nothing_to_complain_of(server: Mariadb, password_file: str) -> None:
    """An account without a right to any table sees all that there is, rates from the second sample on."""
    one = collect(check(server, password_file))
    assert said(one) == []
    assert one.summary.startswith("MariaDB 1")
    server.sql("SELECT 1")
    measured = values(collect(check(server, password_file), after=one))
    assert measured["mysql_up"] == 1
    assert measured["mysql_connections_max"] == 12
    assert measured["mysql_database_size_bytes my-shop"] >= 65536
    assert measured["mysql_queries_per_second"] > 0
    assert "mysql_database_size_bytes mysql" not in measured
    assert "mysql_replication_running " not in measured


def test_the_socket_will_do_too(server: Mariadb, password_file: str) -> None:
    """Instead of host and port."""
    sample = collect(check(server, password_file, port=1, socket=str(server.socket)))
    assert values(sample)["mysql_up"] == 1


def test_a_transaction_that_waits_for_a_lock_is_seen(server: Mariadb, password_file: str) -> None:
    """With the one that holds it, and how long."""
    with server.connect() as holder, server.connect() as waiter:
        holder.begin()
        holder.cursor().execute("SELECT * FROM `my-shop`.items WHERE id = 1 FOR UPDATE")

        def wait() -> None:
            with suppress(pymysql.Error):
                waiter.begin()
                waiter.cursor().execute("SELECT * FROM `my-shop`.items WHERE id = 1 FOR UPDATE")

        thread = threading.Thread(target=wait)
        thread.start()
        try:

            def waiting() -> dict[str, float] | None:
                # The server answers from before as long as it is asked again within a tenth of a second.
                time.sleep(0.2)
                measured = values(collect(check(server, password_file)))
                seconds = measured["mysql_lock_wait_longest_seconds"]
                return measured if measured["mysql_lock_waits"] == 1 and seconds >= 1 else None

            measured = until(waiting, "the wait")
            assert measured["mysql_transaction_longest_seconds"] >= 1
        finally:
            holder.rollback()
            thread.join()


def test_a_running_statement_is_seen(server: Mariadb, password_file: str) -> None:
    """By how long it has been running; a session that sleeps is none."""
    with server.connect() as busy, server.connect():

        def sleep() -> None:
            with suppress(pymysql.Error):
                busy.cursor().execute("SELECT SLEEP(60)")

        thread = threading.Thread(target=sleep)
        thread.start()
        try:
            until(
                lambda: values(collect(check(server, password_file)))["mysql_query_longest_seconds"] >= 1,
                "the statement",
            )
        finally:
            server.sql(f"KILL QUERY {busy.thread_id()}")
            thread.join()


def test_no_connection_left_is_critical(server: Mariadb, password_file: str) -> None:
    """And before that, the percentage says how near it is."""
    held: list[Any] = []
    account = {"user": "hostward", "password": PASSWORD}

    def emptied() -> bool:
        return values(collect(check(server, password_file))).get("mysql_connections") == 1

    # What a test before left running on the server may take its minute.
    until(emptied, "the room", patience=150)
    try:
        for _ in range(10):
            held.append(pymysql.connect(host="127.0.0.1", port=server.port, **account))
        measured = values(collect(check(server, password_file)))
        assert measured["mysql_connections_used_percent"] == pytest.approx(100 * 11 / 12, abs=10)
        with pytest.raises(pymysql.Error):
            for _ in range(5):
                held.append(pymysql.connect(host="127.0.0.1", port=server.port, **account))
        sample = collect(check(server, password_file))
        assert values(sample) == {"mysql_up": 0}
        assert said(sample) == [("critical", "Too many connections")]
    finally:
        for connection in held:
            connection.close()
    until(emptied, "the room", patience=150)


def test_a_password_that_is_refused_is_never_shown(server: Mariadb, tmp_path: Path) -> None:
    """And such attempts are counted."""
    wrong = tmp_path / "wrong"
    wrong.write_text("another-secret")
    wrong.chmod(0o600)
    before = int(server.sql("SHOW GLOBAL STATUS LIKE 'Aborted_connects'")[0][1])
    sample = collect(check(server, str(wrong)))
    ((state, message),) = said(sample)
    assert state == "critical"
    assert message.startswith("Access denied for user 'hostward'")
    assert "another-secret" not in repr(sample)
    assert int(server.sql("SHOW GLOBAL STATUS LIKE 'Aborted_connects'")[0][1]) > before


def test_an_account_without_rights_makes_the_check_unknown(server: Mariadb, tmp_path: Path) -> None:
    """Each part that it may not see, by itself."""
    server.sql("CREATE OR REPLACE USER nobody IDENTIFIED BY 'x'")
    secret = tmp_path / "nobody"
    secret.write_text("x")
    secret.chmod(0o600)
    sample = collect(check(server, str(secret), user="nobody"))
    assert values(sample)["mysql_up"] == 1
    states = {message.split(" cannot")[0]: state for state, message in said(sample)}
    assert states == {"transactions": "unknown", "replication": "unknown", "sizes": "unknown"}


def test_a_replica_says_how_far_behind_it_is(server: Mariadb, password_file: str) -> None:
    """And which of its threads stands still, and why."""
    server.sql(
        "CREATE USER IF NOT EXISTS replica IDENTIFIED BY 'replica-secret'",
        "GRANT REPLICATION SLAVE ON *.* TO replica",
    )
    file, position = server.sql("SHOW MASTER STATUS")[0][:2]
    with mariadb("--server-id=2") as replica:
        replica.sql(
            f"CREATE USER hostward IDENTIFIED BY '{PASSWORD}'",
            "GRANT PROCESS, REPLICATION CLIENT, SLAVE MONITOR ON *.* TO hostward",
            "CREATE DATABASE `my-shop`",
            f"CHANGE MASTER TO MASTER_HOST='127.0.0.1', MASTER_PORT={server.port}, MASTER_USER='replica', "
            f"MASTER_PASSWORD='replica-secret', MASTER_LOG_FILE='{file}', MASTER_LOG_POS={position}",
            "START SLAVE",
        )

        def follows() -> dict[str, float] | None:
            measured = values(collect(check(replica, password_file)))
            return measured if "mysql_replication_lag_seconds " in measured else None

        measured = until(follows, "replication")
        assert measured["mysql_replication_running "] == 1
        replica.sql("STOP SLAVE SQL_THREAD")
        assert said(collect(check(replica, password_file))) == [
            ("critical", "replication does not apply what it receives")
        ]
        server.sql("CREATE TABLE `my-shop`.clash (id int PRIMARY KEY)")
        replica.sql("START SLAVE SQL_THREAD")
        until(lambda: replica.sql("SHOW TABLES IN `my-shop`"), "the table")
        replica.sql("INSERT INTO `my-shop`.clash VALUES (7)")
        server.sql("INSERT INTO `my-shop`.clash VALUES (7)")
        sample = until(lambda: (s := collect(check(replica, password_file))) and s.findings and s, "the clash")
        ((state, message),) = said(sample)
        assert state == "critical"
        assert message.startswith("replication does not apply what it receives: ")
        assert "Duplicate entry" in message
        assert values(sample)["mysql_replication_running "] == 0
        assert "replica-secret" not in repr(sample)


def test_tls_is_verified(tmp_path: Path, password_file: str) -> None:
    """By the authorities that are configured, unless anybody may answer."""
    _, authority = certificate(tmp_path)
    with folder_of("mysql") as folder:
        for name in ("certificate.pem", "key.pem"):
            shutil.copyfile(tmp_path / name, folder / name)
        check_tls(folder, authority, password_file)


def check_tls(folder: Path, authority: Path, password_file: str) -> None:
    with mariadb(f"--ssl-cert={folder}/certificate.pem", f"--ssl-key={folder}/key.pem") as server:
        server.sql(
            f"CREATE USER hostward IDENTIFIED BY '{PASSWORD}' REQUIRE SSL",
            "GRANT PROCESS, SLAVE MONITOR ON *.* TO hostward",
        )
        trusted = check(server, password_file, tls=True, ca_file=str(authority))
        assert said(collect(trusted)) == []
        assert said(collect(check(server, password_file, tls=True, verify=False))) == []
        ((state, message),) = said(collect(check(server, password_file, tls=True)))
        assert state == "critical"
        assert message.startswith("the TLS certificate is not trusted: ")
        plain = collect(check(server, password_file))
        assert values(plain) == {"mysql_up": 0}
        with pytest.raises(CheckError, match="the certificates in /nowhere cannot be read"):
            collect(check(server, password_file, tls=True, ca_file="/nowhere"))


def silence(connection: socket.socket, stop: threading.Event) -> None:
    stop.wait(30)


def nonsense(connection: socket.socket, stop: threading.Event) -> None:
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


@pytest.mark.parametrize(("talk", "expected"), [(silence, "no answer within 2s"), (nonsense, None)])
def test_what_is_no_server_is_critical(talk: Any, expected: str | None, password_file: str) -> None:
    """In time, and in one sentence."""
    with listen(talk) as port:
        options = MysqlOptions(port=port, password_file=password_file, timeout=Duration(3))
        sample = collect(Mysql(options))
    assert values(sample) == {"mysql_up": 0}
    ((state, message),) = said(sample)
    assert state == "critical"
    assert message
    assert expected in (None, message)


def test_a_closed_port_is_critical(password_file: str) -> None:
    """With the system's reason."""
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    ((state, message),) = said(collect(Mysql(MysqlOptions(port=port, password_file=password_file))))
    assert state == "critical"
    assert "Connection refused" in message


def whole() -> Sample:
    """A sample with every reading that there is."""
    answer = Answer(
        version="MySQL 8.4.2",
        connections_max=100,
        status={"Threads_connected": 40, "Threads_running": 2, "Uptime": 60}
        | dict(zip(COUNTERS, (1000.0, 20.0, 30.0, 900.0, 90.0, 10.0), strict=True)),
        sessions={"longest": 5},
        transactions={"longest": 9, "waiting": 2, "waited": -1},
        channels=[
            Channel(name="east", receiving=True, applying=True, lag=3.0),
            Channel(name="west", receiving=False, applying=True, lag=None, receive_error="no route"),
        ],
        sizes={"shop": 3e9, "mysql": 1e9},
    )
    before = Memory(
        surveyed=NOW - 86400, trends={"shop": Trend(((NOW - 86400, 1e9),))}, counters=[0.0] * len(COUNTERS)
    )
    return derive(MysqlOptions(), answer, before, now=NOW, elapsed=10.0)


def test_what_the_answers_mean() -> None:
    """Each number from what it comes from, and each thing that is wrong in one sentence."""
    sample = whole()
    measured = values(sample)
    assert measured["mysql_connections_used_percent"] == 40
    assert measured["mysql_lock_waits"] == 2
    assert measured["mysql_lock_wait_longest_seconds"] == 0
    assert measured["mysql_buffer_pool_hits_percent"] == pytest.approx(90)
    assert measured["mysql_database_growth_bytes_per_day shop"] == pytest.approx(2e9)
    assert measured["mysql_aborted_connects_per_second"] == 2
    assert measured["mysql_replication_lag_seconds east"] == 3
    assert "mysql_replication_lag_seconds west" not in measured
    assert said(sample) == [("critical", "replication west receives nothing from its primary: no route")]


def test_both_servers_names_for_replication_are_known() -> None:
    """MariaDB's, and those that MySQL has since 8.0.22."""
    old = {
        "Connection_name": "",
        "Slave_IO_Running": "Connecting",
        "Slave_SQL_Running": "Yes",
        "Seconds_Behind_Master": None,
        "Last_IO_Error": "no route",
        "Last_SQL_Error": "",
    }
    new = {
        "Channel_Name": "east",
        "Replica_IO_Running": "Yes",
        "Replica_SQL_Running": "No",
        "Seconds_Behind_Source": 12,
        "Last_IO_Error": "",
        "Last_SQL_Error": "clash",
    }
    assert channel(old) == Channel(name="", receiving=False, applying=True, lag=None, receive_error="no route")
    assert channel(new) == Channel(name="east", receiving=True, applying=False, lag=12, apply_error="clash")


@pytest.mark.parametrize(
    ("told", "expected"),
    [
        ("10.11.19-MariaDB-0+deb12u1-log", "MariaDB 10.11.19"),
        ("8.4.2", "MySQL 8.4.2"),
        ("8.0.36-0ubuntu0.22.04.1", "MySQL 8.0.36"),
    ],
)
def test_versions_are_read(told: str, expected: str) -> None:
    """Without what a distribution adds."""
    assert version(told) == expected


def test_names_of_folders_are_decoded() -> None:
    """As MySQL writes what is no letter or digit."""
    assert decoded("my@002dshop") == "my-shop"
    assert decoded("plain_1") == "plain_1"


@given(st.text())
def test_any_name_can_be_decoded(name: str) -> None:
    """Whatever a server calls its files."""
    assert isinstance(decoded(name), str)
    assert version(name)


def test_options_that_contradict_each_other_are_refused() -> None:
    """When the configuration is read."""
    with pytest.raises(ValueError, match="only read with tls"):
        MysqlOptions(verify=False)
    with pytest.raises(ValueError, match="a Unix socket needs none"):
        MysqlOptions(tls=True, socket="/x")


def test_a_server_of_many_databases_is_remembered_in_little_room() -> None:
    """After weeks as well: root's half takes no more of a check's memory, and only those that are shown matter."""
    sizes = {f"customer_{number:05}": 1e9 + number for number in range(3000)}
    options, memory = MysqlOptions(databases_max=200), Memory()
    status = dict.fromkeys(("Threads_connected", "Threads_running", "Uptime", *COUNTERS), 0.0)
    for survey in range(14 * 4):
        answer = Answer(version="MySQL 8", connections_max=1, status=status, sizes=sizes)
        sample = derive(options, answer, memory, now=NOW + 6 * 3600 * survey, elapsed=None)
        memory = sample.memory
    assert len(encode_request("check", "mysql", Before(memory))) < MAX_BEFORE / 2
    assert f"mysql_database_growth_bytes_per_day {max(sizes)}" in values(sample)
    memory = remembered(msgspec.msgpack.decode(msgspec.msgpack.encode(memory)), Memory)
    # Between two surveys the same ones are shown, and how many are not.
    answer = Answer(version="MySQL 8", connections_max=1, status=status)
    later = derive(options, answer, memory, now=NOW + 6 * 3600 * survey, elapsed=None)
    assert values(later) == values(sample)
    assert said(later) == said(sample) == [("ok", "2800 databases more than the 200 largest are not shown")]
