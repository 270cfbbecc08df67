"""Keeping where the repositories are in S3: the same policy, alerts and books."""

from __future__ import annotations

from pathlib import Path

from backup.repository.opening import open_repository
from backup.stores.contract import FileKind
from collector.backups.keeping.settings import KeepingOptions, KeepOptions
from kit.units import Duration
from tests.backup.restore.making import PASSWORD
from tests.backup.stores.servers import KEY, SECRET, rclone
from tests.collector.backups.keeping.yard import yard

SOON = KeepingOptions(newest=1, hold=Duration(0), verify_part="100%")


def test_a_bucket_is_kept_and_verified_as_a_folder_is(tmp_path: Path) -> None:
    """In processes that have its keys: what is not kept is gone from the bucket, and damage stops removal."""
    keys = tmp_path / "keys"
    keys.write_text(f"AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY={SECRET}\n")
    keys.chmod(0o600)
    served = tmp_path / "s3"
    served.mkdir()
    with rclone(served, "s3", "--auth-key", f"{KEY},{SECRET}") as port:
        place = f"s3:http://127.0.0.1:{port}/bucket/below"
        options = {"place": place, "environment_file": str(keys), "keep": KeepOptions(last=2), "keeping": SOON}
        with yard(tmp_path / "home", **options) as home:
            names = home.days(4)
            before = home.packs()
            result = home.keep()
            assert (result.outcome, set(result.removed)) == ("done", set(names[:2])), result.message
            assert result.pruned and home.snapshots() == set(names[2:]) and home.packs() != before
            assert home.used() == home.bytes_there()
            found = served / "root" / "bucket" / "below" / home.name
            assert {file.name for file in (found / "snapshots").iterdir()} == home.snapshots()
            assert len(open_repository(home.store, PASSWORD).snapshots()) == 2
            home.store.remove(FileKind.PACK, min(home.packs()))
            verified = home.verify()
            assert (verified.outcome, verified.snapshots) == ("failed", 2) and verified.problems
            assert [(one.kind, one.stops) for one in home.alerts()] == [("damaged", True)]
