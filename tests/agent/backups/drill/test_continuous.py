"""A drill of a base backup and the WAL after it, with a real server that goes on meanwhile."""

from __future__ import annotations

import json
from pathlib import Path
from unittest.mock import patch

from tests.agent.backups.wal.servers import archive


def test_a_continuous_archive_comes_back_to_its_end_in_a_server_of_its_own(tmp_path: Path, place: Path) -> None:
    """With what was written after the base backup; the recovery point is the end of the WAL, not the base backup.
    What ALTER SYSTEM set on the server opens no door to the copy.
    """
    (tmp_path / "own").mkdir()
    with archive(tmp_path / "own") as found, patch("agent.backups.job.limits.take"):
        found.server.sql("CREATE TABLE sold AS SELECT generate_series(1, 100) AS id")
        for setting, value in (("port", "1"), ("listen_addresses", "*"), ("hba_file", "/nowhere"), ("ssl", "on")):
            found.server.sql(f"ALTER SYSTEM SET {setting} = '{value}'")
        found.run("base")
        found.server.sql("SELECT pg_sleep(1.1)")
        found.server.sql("INSERT INTO sold VALUES (101)")
        found.archived()
        found.run("wal")
        with (found.own / "agent.toml").open("a") as file:
            file.write(
                f'[drills.moment]\nbackup = "base"\nkind = "database"\nweekly = "sunday 04:00"\nscratch = "{place}"\n'
                'assertion = { sql = "select count(*) from sold", expect = "101" }\n'
            )
        told = json.loads(found.hostward("drill", "moment", "--json", "--state-dir", found.own / "state"))
        assert (told["outcome"], told["assertion"], told["differing"]) == ("done", "held", 0)
        assert told["files"] > 100
        assert told["recovery_point"] < told["started"] - told["snapshot_time"]  # of WAL, in whole seconds
        assert list(place.iterdir()) == []
        assert found.server.sql("SELECT count(*) FROM sold") == [(101,)]
