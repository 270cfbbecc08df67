"""What is remembered of a log's shapes."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.logs.analyse.known import Known, load, save
from tests.require import require_root


def test_what_is_kept_is_known_again(tmp_path: Path) -> None:
    """By log."""
    known = Known()
    known.add(7, 10.0, 20.0)
    known.began(5.0)
    save(tmp_path / "shapes", "/a.log", known)
    assert load(tmp_path / "shapes", "/a.log") == known
    assert load(tmp_path / "shapes", "/b.log") == Known()


@pytest.mark.parametrize("link", [True, False])
def test_what_somebody_else_put_there_is_not_looked_at(tmp_path: Path, link: bool) -> None:
    """A pipe would keep whoever reads it waiting for ever."""
    require_root()
    folder = tmp_path / "shapes"
    known = Known()
    known.began(5.0)
    save(folder, "/a.log", known)
    (file,) = folder.iterdir()
    file.unlink()
    os.mkfifo(file)
    if link:
        folder.rename(tmp_path / "elsewhere")
        folder.symlink_to(tmp_path / "elsewhere")
    else:
        os.chown(folder, 65534, 65534)
    assert load(folder, "/a.log") == Known()
    with pytest.raises(OSError):
        save(folder, "/a.log", known)
