"""What a restored server is told."""

from __future__ import annotations

import pytest

from agent.backups.wal.plan import Kind, RestorePlan, Target, plan_restore
from agent.backups.wal.settings import recovery_settings, without_recovery
from tests.agent.backups.wal.test_plan import BRANCH, chain
from tests.backup.select.test_wal import wal

SECOND = 10**9


def told(target: Target, plan: RestorePlan | None = None, *, archiving: bool = False) -> dict[str, str]:
    """The settings, by name."""
    text = recovery_settings(
        plan or plan_restore(chain(), target), target, "/srv/it's 5%.wal", action="pause", archiving=archiving
    )
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    return {name: value.strip("'") for name, _, value in (line.partition(" = ") for line in lines)}


@pytest.mark.parametrize(
    ("target", "name", "value"),
    [
        (Target(Kind.TIME, 35 * SECOND + 250_000_000), "recovery_target_time", "1970-01-01 00:00:35.250000+00"),
        (Target(Kind.XID, 4711), "recovery_target_xid", "4711"),
        (Target(Kind.LSN, 0x7000028), "recovery_target_lsn", "0/7000028"),
        (Target(Kind.NAME, 0x7000028, "it's"), "recovery_target_name", "it''s"),
        (Target(Kind.IMMEDIATE), "recovery_target", "immediate"),
    ],
)
def test_one_moment_is_set(target: Target, name: str, value: str) -> None:
    """PostgreSQL refuses to start with two, or with another that is set to nothing."""
    found = told(target)
    moments = ("recovery_target", *(f"recovery_target_{kind}" for kind in ("time", "xid", "lsn", "name")))
    assert {each: found[each] for each in moments if each in found} == {name: value}


def test_the_rest_is_as_it_was_asked_for() -> None:
    """Exclusive or not, the timeline by its number where it is another, the folder quoted for shell and server; a
    copy archives nothing unless it is told to."""
    found = told(Target(Kind.XID, 4711, inclusive=False))
    assert found["recovery_target_inclusive"] == "off" and found["recovery_target_timeline"] == "current"
    assert found["restore_command"] == """cp ''/srv/it''"''"''s 5%%.wal''/%f "%p\""""
    assert found["archive_mode"] == "off" and "archive_mode" not in told(Target(), archiving=True)
    of = chain(wal("4", 100 * SECOND, 6, 8, BRANCH, timeline=2))
    assert told(Target(), plan_restore(of, Target()))["recovery_target_timeline"] == "2"


def test_what_an_earlier_recovery_left_goes() -> None:
    """The server's own settings stay."""
    before = "work_mem = '8MB'\nrecovery_target_name = 'x'\n restore_command='y'\nprimary_conninfo = 'z'\nport = 5\n"
    assert without_recovery(before) == "work_mem = '8MB'\nport = 5\n"
