"""What programs on hosts take from folders that are not root's."""

from __future__ import annotations

from pathlib import Path

import pytest

from deploys.onhost.parts import ApplyError, copy, kept


def test_a_copy_follows_no_link_and_writes_through_none(tmp_path: Path) -> None:
    """Neither where it is from nor where it goes: whoever owns the folder would have root do it."""
    secret, unit = tmp_path / "secret", tmp_path / "unit"
    secret.write_text("secret")
    unit.write_text("unit")
    saved, home = tmp_path / "saved", tmp_path / "home"
    saved.mkdir()
    home.mkdir()
    (home / "collector.db").symlink_to(secret)
    with pytest.raises(ApplyError, match="cannot be read"):
        copy(home / "collector.db", saved / "collector.db")
    assert list(saved.iterdir()) == []
    (saved / "collector.db").write_text("rows")
    (saved / "collector.db").chmod(0o640)
    (home / ".collector.db.hostward").symlink_to(unit)
    copy(saved / "collector.db", home / "collector.db")
    assert (secret.read_text(), unit.read_text()) == ("secret", "unit")
    made = home / "collector.db"
    assert (made.read_text(), made.is_symlink(), made.stat().st_mode & 0o777) == ("rows", False, 0o640)
    assert [path.name for path in home.iterdir()] == ["collector.db"]
    copy(saved / "none", home / "none")
    assert not (home / "none").exists()


def test_what_is_kept_of_anothers_folder_is_no_link(tmp_path: Path) -> None:
    """Of root's folders it may be one."""
    (tmp_path / "file").write_text("text")
    (tmp_path / "link").symlink_to(tmp_path / "file")
    assert kept(str(tmp_path / "link"))["base64"] == kept(str(tmp_path / "file"), links=False)["base64"]
    with pytest.raises(ApplyError, match="cannot be read"):
        kept(str(tmp_path / "link"), links=False)
    with pytest.raises(ApplyError, match="is no regular file"):
        kept(str(tmp_path), links=False)
    assert kept(str(tmp_path / "none"), links=False)["text"] is None
