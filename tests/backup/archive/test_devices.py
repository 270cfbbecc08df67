"""Files that are read from snapshots of file systems, which are on another device each time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from backup.archive.scope import Scope
from backup.archive.worker import LARGE
from tests.backup.archive.ground import Ground


@pytest.mark.parametrize("cached", [False, True])
def test_a_snapshot_s_device_stands_for_that_of_its_origin(
    ground: Ground, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cached: bool
) -> None:
    """Of whatever kind and size, entries keep the origin's number; so nothing is new to the next run, which reads
    another snapshot. With one file system as well, those of the device count that is really there."""
    monkeypatch.chdir(tmp_path)
    top = Path("top")
    (top / "folder").mkdir(parents=True)
    (top / "folder" / "small").write_text("small")
    (top / "link").symlink_to("folder")
    with open(top / "large", "wb") as file:
        os.truncate(file.fileno(), LARGE + 1)
    devices = {top.stat().st_dev: 77}

    first = ground.save(top, cached=cached, devices=devices, scope=Scope(one_file_system=True))
    again = ground.save(top, cached=cached, devices=devices, scope=Scope(one_file_system=True))

    assert {path: node.device_id for path, node in ground.files(first).items()} == dict.fromkeys(
        (b"/top", b"/top/folder", b"/top/folder/small", b"/top/link", b"/top/large"), 77
    )
    assert (again.summary.files_unmodified, again.summary.files_changed, again.summary.files_new) == (2, 0, 0)
    assert again.snapshot.tree == first.snapshot.tree and again.summary.data_added == 0
