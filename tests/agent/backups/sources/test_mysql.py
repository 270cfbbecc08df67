"""Databases of a real MariaDB server, saved while they are written to, and restored into a fresh one."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest

from agent.backups.sources.contract import SourceError
from agent.backups.sources.mysql import defaults, script_of
from agent.backups.sources.patterns import chosen
from agent.config.backup_sources.mysql import MysqlSource
from kit.errors import HostwardError
from tests.agent.backups.sources.saver import Saver
from tests.agent.backups.sources.writers import writing
from tests.agent.checks.daemons import Mariadb, mariadb
from tests.require import require_program

PASSWORD = "s'e\"c\\r # et"
ESCAPED = PASSWORD.replace("\\", "\\\\").replace("'", "''")


@pytest.fixture(scope="module")
def server() -> Iterator[Mariadb]:
    """A shop with all that a database can hold, and an account."""
    for program in ("mariadb-dump", "mariadb"):
        require_program(program)
    with mariadb() as found:
        found.sql(
            "CREATE DATABASE shop CHARACTER SET utf8mb4",
            "CREATE DATABASE `odd/%\nname`",
            "USE shop",
            "CREATE TABLE accounts (id INT PRIMARY KEY, money INT) ENGINE=InnoDB",
            "INSERT INTO accounts SELECT seq, 1000 FROM seq_1_to_100",
            "CREATE TABLE goods (id INT PRIMARY KEY, name VARCHAR(99), photo BLOB, price DECIMAL(10,2))",
            "INSERT INTO goods SELECT seq, CONCAT('good € ', seq), UNHEX(SHA2(seq, 512)), seq / 7 "
            "FROM seq_1_to_20000",
            "CREATE TABLE log (note VARCHAR(100))",
            "CREATE TRIGGER noted AFTER UPDATE ON goods FOR EACH ROW INSERT INTO log VALUES (NEW.name)",
            "CREATE PROCEDURE total() SELECT SUM(money) FROM accounts",
            "CREATE EVENT daily ON SCHEDULE EVERY 1 DAY DO DELETE FROM log",
            "CREATE VIEW dear AS SELECT * FROM goods WHERE price > 2000",
            f"CREATE USER clerk@'127.0.0.1' IDENTIFIED BY '{ESCAPED}'",
            "CREATE ROLE reader",
            "GRANT SELECT ON shop.* TO reader",
            "GRANT reader TO clerk@'127.0.0.1'",
            "ALTER USER root@localhost IDENTIFIED VIA unix_socket OR mysql_native_password USING PASSWORD('')",
            "GRANT SELECT, SHOW VIEW, TRIGGER, EVENT, LOCK TABLES ON *.* TO clerk@'127.0.0.1'",
        )
        yield found


def source(server: Mariadb, **options: Any) -> MysqlSource:
    return MysqlSource(**({"socket": str(server.socket)} | options))


def test_databases_come_back(server: Mariadb, saver: Saver) -> None:
    """A dump of a database that is written to is one transaction; a fresh server has every row, and all else."""
    connection = server.connect()

    def move(number: int) -> None:
        with connection.cursor() as cursor:
            cursor.execute("START TRANSACTION")
            cursor.execute("UPDATE shop.accounts SET money = money - 7 WHERE id = %s", (number % 100 + 1,))
            cursor.execute("UPDATE shop.accounts SET money = money + 7 WHERE id = %s", (number * 31 % 100 + 1,))
            cursor.execute("COMMIT")

    with connection, writing(move):
        outcome = saver.save("mariadb", source(server))
    assert set(saver.files(outcome)) == {f"/mariadb/{name}.sql" for name in ("users", "shop", "odd%2F%25\nname")}
    goods = "SELECT id, name, HEX(photo), price FROM shop.goods ORDER BY id"
    expected = [tuple(map(str, row)) for row in server.sql(goods)]
    with saver.restored("mariadb", outcome) as fresh:
        assert sorted(fresh.databases()) == ["odd/%\nname", "shop"]
        assert fresh.query(goods) == expected
        assert fresh.query("CALL total()", "shop") == [("100000",)]
        fresh.query("UPDATE goods SET name = 'tab\there' WHERE id = 1", "shop")
        assert fresh.query("SELECT note FROM log", "shop") == [("tab\there",)]
        assert fresh.query("SELECT event_name FROM information_schema.events") == [("daily",)]
        assert fresh.query("SELECT COUNT(*) FROM dear", "shop") == [("6000",)]
        assert ("clerk",) in fresh.query("SELECT user FROM mysql.user WHERE host = '127.0.0.1'")
        assert fresh.query("SHOW GRANTS FOR reader")[-1] == ("GRANT SELECT ON `shop`.* TO `reader`",)
        assert any("TRIGGER" in grant for (grant,) in fresh.query("SHOW GRANTS FOR clerk@'127.0.0.1'"))
        with pytest.raises(HostwardError, match="no_such_table"):
            fresh.query("SELECT * FROM no_such_table", "shop")


def test_what_has_not_changed_is_stored_once_and_no_password_is_seen(
    server: Mariadb, saver: Saver, tmp_path: Path
) -> None:
    """A second dump adds nothing but trees; the password is in no words, no environment and no file."""
    file = tmp_path / "password"
    file.write_text(PASSWORD)
    file.chmod(0o600)
    options = MysqlSource(port=server.port, user="clerk", password_file=str(file), databases=("shop",), users=False)
    seen: list[str] = []

    def look() -> None:
        for child in psutil.Process().children(recursive=True):
            seen.extend([*child.cmdline(), *child.environ().values()])

    first = saver.save("mariadb", options, look)
    again = saver.save("mariadb", options)
    named = saver.files(saver.save("mysql", source(server, databases=("odd*",), users=False)))
    assert set(named) == {"/mysql/odd%2F%25\nname.sql"} and b"CREATE DATABASE" in named["/mysql/odd%2F%25\nname.sql"]
    assert first.summary.data_added > 1 << 20 and again.summary.data_added < 4096
    assert PASSWORD not in "".join(seen)
    saver.checked()
    file.write_text("wrong")
    with pytest.raises(HostwardError, match="Access denied") as caught:
        saver.save("mariadb", options)
    assert "wrong" not in str(caught.value)
    with pytest.raises(HostwardError, match="there is no database gone"):
        saver.save("mariadb", source(server, databases=("gone",)))
    with pytest.raises(HostwardError, match=r"failed with exit code .*; no snapshot was made"):
        saver.save("mariadb", source(server), lambda: server.sql("DROP DATABASE `odd/%\nname`"))
    assert saver.count() == 3
    server.sql("CREATE DATABASE `odd/%\nname`")


def test_options_are_told_in_a_file() -> None:
    """Values are quoted as option files have it, and TLS is verified by either client."""
    told = defaults(MysqlSource(host='d"b', port=3307, user="u\\s", tls=True, ca_file="/ca.pem")).splitlines()
    assert told[:4] == ["[client]", 'user="u\\\\s"', 'host="d\\"b"', "port=3307"]
    assert {'ssl-ca="/ca.pem"', "loose-ssl-verify-server-cert", "loose-ssl-mode=VERIFY_IDENTITY"} <= set(told)


def test_accounts_come_before_what_they_are_granted() -> None:
    """And roles before both; what is there stays as it is."""
    created = ["CREATE USER `a`@`%` IDENTIFIED WITH 'x' AS 0x41", "CREATE USER `CREATE USER `@`%`"]
    assert script_of(["`r`"], created, ["GRANT `r` TO `a`@`%`"]).splitlines() == [
        "CREATE ROLE IF NOT EXISTS `r`;",
        "CREATE USER IF NOT EXISTS `a`@`%` IDENTIFIED WITH 'x' AS 0x41;",
        "CREATE USER IF NOT EXISTS `CREATE USER `@`%`;",
        "GRANT `r` TO `a`@`%`;",
        "FLUSH PRIVILEGES;",
    ]


def test_databases_are_chosen_by_patterns() -> None:
    """One that was meant and is not there is an error; that nothing at all is there is none."""
    there = ["shop", "shop_test", "blog"]
    assert chosen(there, ("*",), ("*_test",), what="database") == ["blog", "shop"]
    assert chosen(there, ("shop*",), (), what="database") == ["shop", "shop_test"]
    assert chosen([], ("*",), (), what="database") == []
    with pytest.raises(SourceError, match="there is no database wiki"):
        chosen(there, ("*", "wiki"), (), what="database")
