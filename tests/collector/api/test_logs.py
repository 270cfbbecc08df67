"""Days of logs: from a report to what the API gives."""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from tests.collector.support import Home, Host
from tests.wire.reports import LOGS
from wire.report import LogSummary

DAY = LOGS.logs[0]


def day(number: int) -> LogSummary:
    return replace(DAY, day=f"2026-11-{number:02}", lines=number)


def test_days_come_back_as_they_were_told(home: Home, host: Host) -> None:
    """The newest first, each once: a repeat of a report adds nothing, and a day that is told again is replaced."""
    report = host.report(logs=[day(1), day(2)])
    assert host.send(report).status_code == 200
    assert host.send(report).json()["duplicate"]
    assert host.send(host.report(logs=[replace(day(2), lines=99)])).status_code == 200
    assert home.rows("log_days") == 2
    found = home.client.get(f"/api/v1/hosts/{host.id}/logs", headers=home.bearer()).json()
    assert found["host"] == host.id
    assert [(each["day"], each["lines"]) for each in found["days"]] == [("2026-11-02", 99), ("2026-11-01", 1)]
    assert found["days"][1]["new_shapes"] == [{"shape": 'disk "<text>" lost', "count": 1, "level": "error"}]
    assert found["days"][1]["access"]["paths"] == [{"name": "/", "count": 900}]
    detail = home.client.get(f"/api/v1/hosts/{host.id}", headers=home.bearer()).json()
    assert detail["logs"]["day"] == "2026-11-02"


def test_a_number_of_days_may_be_asked_for(home: Home, host: Host) -> None:
    assert host.send(host.report(logs=[day(number) for number in range(1, 12)])).status_code == 200
    for query, number in (("", 7), ("?days=1", 1), ("?days=92", 11)):
        found = home.client.get(f"/api/v1/hosts/web1/logs{query}", headers=home.bearer()).json()
        assert len(found["days"]) == number


@pytest.mark.parametrize("query", ["days=0", "days=93", "days=x", "days=1&days=2", "day=1", "days=²"])
def test_what_cannot_be_asked_for_is_told(home: Home, host: Host, query: str) -> None:
    answer = home.client.get(f"/api/v1/hosts/{host.id}/logs?{query}", headers=home.bearer())
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "bad_parameter")


def test_a_host_that_is_none_has_no_logs(home: Home) -> None:
    assert home.client.get("/api/v1/hosts/nobody/logs", headers=home.bearer()).status_code == 404


def test_a_day_that_is_none_is_refused(host: Host) -> None:
    """Days are ordered by their text."""
    answer = host.send(host.report(logs=[replace(DAY, day="22.11.2026")]))
    assert (answer.status_code, answer.json()["error"]["code"]) == (400, "malformed_report")
