"""What is kept of the days of logs."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from collector.rules.intake import HostRecord
from collector.store import hosts, logs
from collector.store.database import open_database
from collector.store.place import Place
from tests.wire.reports import LOGS


def test_pruning_keeps_the_newest_days_of_each_host(db_place: Place, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logs, "KEPT_DAYS", 2)
    database = open_database(db_place)
    with database.write() as connection:
        for host in ("a", "b"):
            hosts.add_host(
                connection,
                HostRecord(id=host, name=host, enrolled=1.0, agent="0.1.0", facts={}, since=1.0),
                host.encode(),
            )
        days = [replace(LOGS.logs[0], day=f"2026-11-{number:02}") for number in (3, 1, 2)]
        logs.add_days(connection, [*(("a", day) for day in days), ("b", days[1])])
        hosts.prune(connection)
    with database.read() as connection:
        assert [day.day for day in logs.recent_days(connection, "a", 9)] == ["2026-11-03", "2026-11-02"]
        assert logs.recent_days(connection, "b", 9) == [days[1]]
    database.close()
