"""PostgreSQL: a real server with a real replica, and the pure reading of what it says."""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.contract import CheckError, Sample
from agent.checks.drivers import Trend
from agent.checks.postgresql import Answer, Memory, Postgresql, PostgresqlOptions, Survey, derive, is_due
from agent.privileged.protocol import MAX_BEFORE, Before, encode_request
from kit.units import Duration
from tests.agent.checks.daemons import Postgres, postgres, until
from tests.agent.checks.tree import NOW, collect, said, values

PASSWORD = "a-password-that-nobody-may-see"


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    """A server with a role for the check, and a database."""
    with postgres("max_connections = 20\nautovacuum = off\n") as running:
        running.sql(f"CREATE ROLE hostward LOGIN PASSWORD '{PASSWORD}'")
        running.sql("GRANT pg_monitor TO hostward")
        running.sql("CREATE DATABASE shop")
        running.sql("CREATE TABLE items AS SELECT generate_series(1, 1000) AS id", "shop")
        yield running


def check(server: Postgres, **settings: Any) -> Postgresql:
    options = {"host": str(server.folder), "port": server.port, "timeout": Duration(30)}
    return Postgresql(PostgresqlOptions(**(options | settings)))


def found(server: Postgres, **settings: Any) -> dict[str, float]:
    return values(collect(check(server, **settings)))


@pytest.fixture
def password_file(tmp_path: Path) -> str:
    file = tmp_path / "password"
    file.write_text(f"{PASSWORD}\n")
    file.chmod(0o600)
    return str(file)


def test_a_healthy_server_has_nothing_to_complain_of(server: Postgres) -> None:
    """A role that is only a member of pg_monitor sees all that there is."""
    sample = collect(check(server))
    assert said(sample) == []
    assert sample.summary.startswith("PostgreSQL ")
    measured = values(sample)
    assert measured["postgresql_up"] == 1
    assert measured["postgresql_connections_max"] == 17
    assert measured["postgresql_database_size_bytes shop"] > 5_000_000
    assert 0 <= measured["postgresql_transaction_id_age_percent shop"] < 1
    assert measured["postgresql_tables_due_for_vacuum shop"] == 0
    assert "postgresql_database_size_bytes template1" not in measured
    assert "postgresql_standby_lag_seconds" not in measured


def test_the_session_can_change_nothing_and_says_whose_it_is(server: Postgres) -> None:
    """Read-only at the server, with limits there, under the agent's name."""
    from agent.checks.postgresql_session import _connected

    options = check(server).options
    with _connected(options, "", "postgres", time.monotonic() + 20) as connection:
        row = connection.execute(
            "SELECT current_setting('application_name') AS name, current_setting('lock_timeout') AS lock"
        ).fetchone()
        assert row == {"name": "hostward", "lock": "1s"}
        with pytest.raises(psycopg.errors.ReadOnlySqlTransaction):
            connection.execute("CREATE TABLE mine (a int)")


def test_rates_need_two_samples(server: Postgres) -> None:
    """Transactions and roll-backs of each database, and checkpoints."""
    one = collect(check(server))
    assert "postgresql_transactions_per_second shop" not in values(one)
    with server.connect("shop") as connection:
        for _ in range(30):
            connection.execute("BEGIN")
            connection.execute("SELECT 1")
            connection.execute("ROLLBACK")

    def counted() -> dict[str, float] | None:
        measured = values(collect(check(server), after=one))
        return measured if measured["postgresql_transactions_per_second shop"] >= 3 else None

    # A session's counts reach the views when it ends, and a moment later.
    measured = until(counted, "the counters")
    assert measured["postgresql_rollbacks_percent shop"] > 50
    assert measured["postgresql_checkpoints_per_second timed"] >= 0


def test_a_long_transaction_and_an_idle_one_are_seen(server: Postgres) -> None:
    """By their age, and the session that does nothing in its transaction apart."""
    with server.connect("shop") as connection:
        connection.execute("BEGIN")
        connection.execute("SELECT pg_sleep(0.6)")
        measured = found(server)
        assert measured["postgresql_transaction_longest_seconds"] > 0.5
        assert measured["postgresql_idle_in_transaction_sessions"] == 1
        assert measured["postgresql_idle_in_transaction_seconds"] > 0
        assert measured["postgresql_connections shop idle in transaction"] == 1
        assert measured["postgresql_connections_used_percent"] == pytest.approx(100 * 2 / 17)
        connection.execute("ROLLBACK")


def test_a_running_query_is_seen(server: Postgres) -> None:
    """By how long it has been running."""
    with server.connect("shop") as connection:

        def sleep() -> None:
            with suppress(psycopg.errors.QueryCanceled):
                connection.execute("SELECT pg_sleep(60)")

        thread = threading.Thread(target=sleep)
        thread.start()
        try:
            until(lambda: found(server)["postgresql_query_longest_seconds"] > 0.3, "the query")
        finally:
            connection.cancel()
            thread.join()


def test_a_blocked_session_is_seen(server: Postgres) -> None:
    """One that waits for another's lock, and for how long; afterwards none."""
    with server.connect("shop") as holder, server.connect("shop") as waiter:
        holder.execute("BEGIN")
        holder.execute("LOCK TABLE items")
        waiter.execute("SET lock_timeout = '60s'")
        thread = threading.Thread(target=lambda: waiter.execute("SELECT count(*) FROM items"))
        thread.start()
        try:
            until(lambda: found(server)["postgresql_blocked_sessions"] == 1, "the blocked session")
            assert found(server)["postgresql_blocked_longest_seconds"] > 0
        finally:
            holder.execute("ROLLBACK")
            thread.join()
    assert found(server)["postgresql_blocked_sessions"] == 0


def test_no_connection_left_is_critical(server: Postgres) -> None:
    """And before that, the percentage says how near it is."""
    held: list[psycopg.Connection[Any]] = []

    def hold() -> bool:
        # The server ends a connection some time after it is closed, as that of the check.
        with suppress(psycopg.OperationalError):
            held.append(server.connect(user="hostward"))
            return True
        return False

    try:
        for number in range(17):
            until(hold, f"connection {number} is had")
            if number == 15:
                assert found(server, tables_max=0)["postgresql_connections_used_percent"] == pytest.approx(100)
        sample = collect(check(server))
        assert values(sample) == {"postgresql_up": 0}
        ((state, message),) = said(sample)
        assert state == "critical"
        assert "connection slots" in message
    finally:
        for connection in held:
            connection.close()


def test_a_password_is_used_and_never_shown(server: Postgres, password_file: str, tmp_path: Path) -> None:
    """Neither where it is right nor where it is refused."""
    assert values(collect(check(server, host="127.0.0.1", password_file=password_file)))["postgresql_up"] == 1
    wrong = tmp_path / "wrong"
    wrong.write_text("another-secret")
    wrong.chmod(0o600)
    sample = collect(check(server, host="127.0.0.1", password_file=str(wrong)))
    ((state, message),) = said(sample)
    assert state == "critical"
    assert "password authentication failed" in message
    assert "another-secret" not in repr(sample)
    with pytest.raises(CheckError, match="others have rights to it"):
        wrong.chmod(0o644)
        collect(check(server, password_file=str(wrong)))


def test_a_role_that_may_see_nothing_makes_the_check_unknown(server: Postgres) -> None:
    """With what to do about it."""
    server.sql("DROP ROLE IF EXISTS nobody")
    server.sql("CREATE ROLE nobody LOGIN")
    with server.connect("shop"):
        messages = [message for state, message in said(collect(check(server, user="nobody"))) if state == "unknown"]
    assert any("GRANT pg_monitor" in message for message in messages)


def test_a_server_that_is_not_there_is_critical(tmp_path: Path) -> None:
    """With one reading that says so."""
    sample = collect(Postgresql(PostgresqlOptions(host=str(tmp_path))))
    assert values(sample) == {"postgresql_up": 0}
    ((state, message),) = said(sample)
    assert state == "critical"
    assert "\n" not in message


def test_dead_rows_are_found_in_every_database(server: Postgres) -> None:
    """With the number of tables that autovacuum should have come to."""
    server.sql("CREATE TABLE worn AS SELECT generate_series(1, 20000) AS id", "shop")
    try:
        server.sql("UPDATE worn SET id = id + 1", "shop")
        # A session tells what it did when it has ended: had ANALYZE counted by then, it would be counted twice.
        counted = "SELECT 1 FROM pg_stat_user_tables WHERE relname = 'worn' AND n_dead_tup >= 20000"
        until(lambda: server.sql(counted, "shop") or None, "the dead rows are counted")
        server.sql("ANALYZE worn", "shop")

        def worn() -> Sample | None:
            sample = collect(check(server))
            return sample if values(sample).get("postgresql_tables_due_for_vacuum shop") == 1 else None

        measured = values(until(worn, "the dead rows"))
        assert measured["postgresql_table_dead_rows_percent shop public.worn"] == pytest.approx(50, abs=5)
        assert "postgresql_table_dead_rows_percent shop public.items" not in measured
        assert not any(name.startswith("postgresql_table_dead") for name in found(server, tables_max=0))
    finally:
        server.sql("DROP TABLE worn", "shop")


def test_what_costs_more_is_looked_at_less_often(server: Postgres) -> None:
    """And what was found then holds until the next time."""
    options = {"tables_max": 0, "survey_every": Duration(600)}
    one = collect(check(server, **options))
    server.sql("CREATE DATABASE extra")
    try:
        again = values(collect(check(server, **options), after=one))
        assert again["postgresql_database_size_bytes shop"] == values(one)["postgresql_database_size_bytes shop"]
        assert "postgresql_database_size_bytes extra" not in again
        assert "postgresql_transaction_id_age_percent extra" in again
        assert "postgresql_database_size_bytes extra" in values(collect(check(server, **options)))
    finally:
        server.sql("DROP DATABASE extra")


def test_a_statement_that_takes_too_long_costs_only_itself(server: Postgres, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its part is unknown, the others are there."""
    from agent.checks import postgresql_session

    before = collect(check(server))
    monkeypatch.setattr(postgresql_session, "REPLICAS", "SELECT pg_sleep(60)")
    sample = collect(check(server, timeout=Duration(6)), after=before)
    ((state, message),) = said(sample)
    assert state == "unknown"
    assert message.startswith("replicas cannot be told: canceling statement due to statement timeout")
    measured = values(sample)
    assert measured["postgresql_up"] == 1
    assert "postgresql_replicas" not in measured
    assert measured["postgresql_slots_inactive"] == 0


def test_failing_archiving_is_critical(server: Postgres) -> None:
    """And over with the first file that is archived."""
    with postgres("archive_mode = on\narchive_command = 'false'\n") as archiving:
        archiving.sql("CREATE ROLE hostward LOGIN IN ROLE pg_monitor")
        archiving.sql("SELECT pg_switch_wal()")
        archiving.sql("CREATE TABLE t (a int)")
        archiving.sql("SELECT pg_switch_wal()")
        until(lambda: found(archiving)["postgresql_archiver_failing"] == 1, "the failure")
        ((state, message),) = said(collect(check(archiving)))
        assert state == "critical"
        assert message.startswith("archiving 0000")
        archiving.sql("ALTER SYSTEM SET archive_command = 'true'")
        archiving.sql("SELECT pg_reload_conf()")
        until(lambda: found(archiving)["postgresql_archiver_failing"] == 0, "the archived file")


def test_a_replica_is_followed_from_both_ends(server: Postgres) -> None:
    """Streaming, behind, and without its primary; with the slot that keeps its log."""
    server.sql("SELECT pg_create_physical_replication_slot('spare', true)")
    with postgres("hot_standby = on\n", of=server) as standby:
        until(lambda: found(server)["postgresql_replicas"] == 1, "the replica")
        measured = until(
            lambda: (m := found(standby)).get("postgresql_standby_streaming") == 1 and m, "the standby's stream"
        )
        assert measured["postgresql_standby_lag_seconds"] < 30
        standby.sql("SELECT pg_wal_replay_pause()")
        server.sql("CREATE TABLE bulk AS SELECT generate_series(1, 20000) AS id", "shop")
        lag = "postgresql_replica_lag_bytes walreceiver local"
        until(lambda: found(server).get(lag, 0) > 100_000, "the lag")
        assert found(server)["postgresql_replica_lag_seconds walreceiver local"] >= 0
        until(lambda: found(standby)["postgresql_standby_lag_seconds"] > 0, "the standby's lag")
        slot = found(server)
        assert slot["postgresql_slots_inactive"] == 1
        assert slot["postgresql_slot_retained_bytes spare"] > 100_000
        assert slot["postgresql_slot_active spare"] == 0
        standby.sql("SELECT pg_wal_replay_resume()")
        until(lambda: found(server)[lag] == 0, "the end of the lag")
        standby.sql("ALTER SYSTEM SET primary_conninfo = 'host=/nowhere password=conninfo-secret'")
        standby.sql("SELECT pg_reload_conf()")
        sample = until(lambda: (s := collect(check(standby))) and said(s) and s, "the loss of the primary")
        assert said(sample) == [("critical", "this standby receives nothing from its primary")]
        assert "conninfo-secret" not in repr(sample)
    server.sql("SELECT pg_drop_replication_slot('spare')")


def test_a_server_that_hangs_is_given_up_in_time(server: Postgres) -> None:
    """A frozen server takes the connection and says nothing."""
    with postgres() as frozen:
        assert frozen.process is not None
        os.kill(frozen.process.pid, signal.SIGSTOP)
        sample = collect(check(frozen, timeout=Duration(3)))
        assert values(sample) == {"postgresql_up": 0}
        assert said(sample)[0][0] == "critical"


def rows() -> dict[str, list[dict[str, Any]]]:
    """All that a server can tell: a cascading standby on which something is wrong everywhere."""
    return {
        "instance": [{"version": "15.1", "standby": True, "uptime": 60.0, "slots": 97}],
        "sessions": [
            {
                "database": "shop",
                "state": "active",
                "count": 3,
                "hidden": 0,
                "blocked": 1,
                "idle": None,
                "query": 5.0,
                "waiting": 4.0,
                "transaction": 9.0,
            }
        ],
        "databases": [
            {
                "database": "shop",
                "xid_age": 2**30,
                "multixact_age": 2**29,
                "open": True,
                "commits": 90.0,
                "rollbacks": 10.0,
                "deadlocks": 1.0,
                "temporary": 1e6,
                "hits": 99.0,
                "reads": 1.0,
                "checksums": 2,
            }
        ],
        "replicas": [{"replica": "b", "address": "10.0.0.2", "state": "streaming", "bytes": 7.0, "seconds": 2.0}],
        "slots": [{"slot": "s", "active": False, "status": "lost", "retained": 9.0}],
        "standby": [{"streaming": False, "wanted": True, "replayed": True, "age": 90.0}],
        "archiver": [{"failing": True, "file": "00001", "failures": 3.0, "age": 61.0}],
        "checkpoints": [{"timed": 5.0, "requested": 2.0}],
        "sizes": [{"database": "shop", "size": 3e9}],
        "tables": [{"database": "shop", "name": "public.t", "dead": 30_000.0, "live": 10_000.0, "due": 4}],
    }


def whole() -> Sample:
    """A sample with every reading that there is."""
    day = Memory(
        survey=Survey(time=NOW - 86400),
        trends={"shop": Trend(((NOW - 86400, 1e9),))},
        counters={"shop": [0.0] * 6},
        checkpoints=[0.0, 0.0],
    )
    answer = Answer(rows=rows(), problems=[], surveyed=True, unseen=[])
    return derive(PostgresqlOptions(), answer, day, now=NOW, elapsed=10.0)


def test_what_the_rows_mean() -> None:
    """Each number from the columns that it comes from, and each thing that is wrong in one sentence."""
    sample = whole()
    measured = values(sample)
    assert measured["postgresql_transaction_id_age_percent shop"] == 50
    assert measured["postgresql_multixact_id_age_percent shop"] == 25
    assert measured["postgresql_database_growth_bytes_per_day shop"] == pytest.approx(2e9)
    assert measured["postgresql_table_dead_rows_percent shop public.t"] == 75
    assert measured["postgresql_rollbacks_percent shop"] == pytest.approx(10)
    assert measured["postgresql_cache_hits_percent shop"] == pytest.approx(99)
    assert measured["postgresql_standby_lag_seconds"] == 90
    assert measured["postgresql_connections_used_percent"] == pytest.approx(100 * 4 / 97)
    assert said(sample) == [
        ("critical", "slot s is lost: its reader was too far behind and must be set up anew"),
        ("critical", "this standby receives nothing from its primary"),
        ("critical", "2 pages of database shop failed their checksums"),
        ("critical", "archiving 00001 failed 1m1s ago, and nothing was since"),
    ]


def test_only_the_largest_databases_have_readings() -> None:
    """And a remark says how many more there are."""
    answer = Answer(rows=rows(), problems=[], surveyed=True, unseen=[])
    (one,) = answer.rows["databases"]
    answer.rows["databases"] = [one | {"database": f"d{number}"} for number in range(30)]
    answer.rows["sizes"] = [{"database": f"d{number}", "size": float(number)} for number in range(30)]
    sample = derive(PostgresqlOptions(databases_max=3), answer, Memory(), now=NOW, elapsed=None)
    named = {m.labels["database"] for m in sample.measurements if m.name == "postgresql_database_size_bytes"}
    assert named == {"d27", "d28", "d29"}
    assert ("ok", "27 databases more than the 3 largest are not shown") in said(sample)


@given(st.floats(0, 1e9), st.floats(1, 1e6), st.floats(-1e6, 1e6))
def test_a_survey_is_due_when_its_time_is_over(then: float, every: float, passed: float) -> None:
    """Or when it is from the future, by a clock that was set back since."""
    assert is_due(Survey(time=then), then + passed, every) == (not 0 <= (then + passed) - then < every)
    assert is_due(None, then, every)


def test_what_another_version_remembered_is_forgotten(server: Postgres) -> None:
    """It does not keep the check from running."""
    sample = collect(check(server), after=Sample(memory={"survey": "yesterday"}))
    assert values(sample)["postgresql_up"] == 1


def test_verifying_needs_authorities() -> None:
    """And authorities without verifying are a mistake."""
    with pytest.raises(ValueError, match='sslmode = "verify-full" needs a ca_file'):
        PostgresqlOptions(sslmode="verify-full")
    with pytest.raises(ValueError, match='sslmode = "prefer" reads no ca_file'):
        PostgresqlOptions(ca_file="/etc/ssl/ca.pem")


def test_a_server_of_many_databases_is_remembered_in_little_room() -> None:
    """After weeks as well: root's half takes no more of a check's memory, and only those that are shown matter."""
    names = [f"customer_{number:05}" for number in range(3000)]
    (row,) = rows()["databases"]
    answer = Answer(
        rows={
            "instance": rows()["instance"],
            "databases": [row | {"database": name} for name in names],
            "sizes": [{"database": name, "size": 1e9 + number} for number, name in enumerate(names)],
        },
        problems=[],
        surveyed=True,
        unseen=[],
    )
    options, memory = PostgresqlOptions(databases_max=50), Memory()
    for survey in range(14 * 4):
        sample = derive(options, answer, memory, now=NOW + 6 * 3600 * survey, elapsed=None)
        memory = sample.memory
    assert len(encode_request("check", "postgresql", Before(memory))) < MAX_BEFORE / 2
    assert f"postgresql_database_growth_bytes_per_day {names[-1]}" in values(sample)
    # Between two surveys the same ones are shown.
    later = derive(
        options, Answer(rows=answer.rows, problems=[], surveyed=False, unseen=[]), memory, now=NOW, elapsed=None
    )
    shown = {name for name in values(sample) if name.startswith("postgresql_database_size_bytes")}
    assert len(shown) == 50
    assert {name for name in values(later) if name.startswith("postgresql_database_size_bytes")} == shown


def test_a_table_that_is_empty_has_no_share_of_dead_rows() -> None:
    """Also where tables without dead rows are looked at."""
    answer = Answer(
        rows=rows() | {"tables": [{"database": "shop", "name": "public.new", "dead": 0.0, "live": 0.0, "due": 0}]},
        problems=[],
        surveyed=True,
        unseen=[],
    )
    sample = derive(PostgresqlOptions(dead_rows_min=0), answer, Memory(), now=NOW, elapsed=None)
    assert "postgresql_table_dead_rows_percent shop public.new" not in values(sample)
