"""Receipts agree with what is there, also after work behind the server's back."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest

from backup.stores.contract import FileKind
from backup.stores.registry import open_store
from collector.backups import records
from collector.backups.receipts import Receipts
from collector.backups.reconcile import Reconciled, reconcile
from collector.backups.service import LEFT_BEHIND
from collector.backups.settings import BackupOptions
from kit.units import Size
from tests.collector import support
from tests.collector.backups.support import Guest, guest, name_of


def run(home: support.Home, folder: Path, made: Guest) -> Reconciled | None:
    """On the repository's folder."""
    store = open_store(str(folder / "backups" / made.repository), {})
    return reconcile(
        home.database, store, made.repository, host=made.user, is_arriving=lambda *_: False, clock=home.clock
    )


def test_what_home_added_and_removed_is_counted(keeper: support.Home, web1: Guest, tmp_path: Path) -> None:
    """As prune does it: by the time of the look, and of no host."""
    kept, gone = web1.save("data", b"kept"), web1.save("data", b"gone")
    store = open_store(str(tmp_path / "backups" / web1.repository), {})
    store.save(FileKind.PACK, name_of(b"repacked"), b"repacked")
    store.remove(FileKind.PACK, gone)
    keeper.clock.now += 50
    assert run(keeper, tmp_path, web1) == Reconciled(found=1, gone=1)
    assert run(keeper, tmp_path, web1) == Reconciled()
    with keeper.database.read() as connection:
        found = {
            one.name: (one.received, one.host) for one in records.receipts(connection, web1.repository, FileKind.PACK)
        }
        stock = records.repository(connection, web1.repository)
    assert found == {
        kept: (support.NOW, web1.user),
        name_of(b"repacked"): (support.NOW + 50, None),
    }
    assert stock is not None
    config = len(b"config of ") + len(web1.user)
    assert (stock.files, stock.used) == (3, config + 4 + 8)


def test_a_look_amid_an_upload_takes_no_file_for_nobodys(
    keeper: support.Home, web1: Guest, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A lock that is there and has no receipt yet is its host's, which may remove it."""
    add = Receipts.add

    async def looked(self: Receipts, receipt: records.Receipt) -> None:
        with keeper.database.read() as connection:
            found = records.repository(connection, web1.repository)
        await asyncio.to_thread(keeper.app.state.services.backups._reconcile, found)
        await add(self, receipt)

    monkeypatch.setattr(Receipts, "add", looked)
    lock = web1.save("locks", b"lock")
    assert web1.request("DELETE", f"locks/{lock}").status_code == 200


def test_a_place_that_is_away_makes_home_forget_nothing(keeper: support.Home, web1: Guest, tmp_path: Path) -> None:
    """An empty folder where a disk should be mounted is no reason to."""
    web1.save("data", b"pack")
    folder = tmp_path / "backups" / web1.repository
    folder.rename(tmp_path / "away")
    assert run(keeper, tmp_path, web1) is None
    folder.mkdir()
    assert run(keeper, tmp_path, web1) is None
    with keeper.database.read() as connection:
        assert records.count(connection, web1.repository, FileKind.PACK) == 1


def test_what_a_kill_left_behind_goes_at_the_next_start(tmp_path: Path) -> None:
    """Half of an upload, a file whose receipt was not written, and a lock of a day ago."""
    with support.home(tmp_path, BackupOptions(keep_free=Size(0))) as home:
        made = guest(home)
        made.create()
        lock = made.save("locks", b"lock")
    root = tmp_path / "backups" / made.repository
    (root / "tmp").mkdir(exist_ok=True)
    half = root / "tmp" / "hostward-spool-half"
    half.write_bytes(b"half a pack")
    name = name_of(b"pack")
    (root / "data" / name[:2] / name).write_bytes(b"pack")
    clock = support.Clock(support.NOW + LEFT_BEHIND + 1)
    with support.home(tmp_path, BackupOptions(keep_free=Size(0)), clock=clock) as home:
        end = time.monotonic() + 30
        while half.exists() or (root / "locks" / lock).exists() or home.rows("backup_receipts") != 2:
            assert time.monotonic() < end
            time.sleep(0.02)
        with home.database.read() as connection:
            [receipt] = records.receipts(connection, made.repository, FileKind.PACK)
        assert (receipt.name, receipt.received, receipt.host) == (name, clock(), None)
