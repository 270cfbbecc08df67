"""What programs on hosts take from folders that are not root's."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from deploys.onhost.parts import ApplyError, change_back, copy, exchange, kept
from tests.require import require, require_root


def mount(*words: str) -> None:
    """Mount something, or skip."""
    require(subprocess.run(["mount", *words], capture_output=True).returncode == 0, "mounting")


@pytest.fixture(params=["folder", "layer of an image"])
def prefix(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Path]:
    """Where releases are, with one of them; a folder of a lower layer of overlayfs cannot be renamed."""
    image = request.param != "folder"
    place = tmp_path / "top"
    if image:
        require_root()
        mount("-t", "tmpfs", "none", str(tmp_path))
    try:
        for folder in (place, tmp_path / "lower", tmp_path / "upper", tmp_path / "work"):
            folder.mkdir()
        release = (tmp_path / "lower" if image else place) / "1.0"
        (release / "bin").mkdir(parents=True)
        (release / "bin/hostward").write_text("old")
        (release / "python").symlink_to("bin")
        if image:
            layers = f"lowerdir={tmp_path}/lower,upperdir={tmp_path}/upper,workdir={tmp_path}/work"
            mount("-t", "overlay", "-o", layers, "none", str(place))
        (place / ".1.0.new").mkdir()
        (place / ".1.0.new/file").write_text("new")
        yield place
    finally:
        if image:
            subprocess.run(["umount", str(place)], capture_output=True)
            subprocess.run(["umount", str(tmp_path)], check=True)


def test_a_release_is_exchanged_and_changed_back(prefix: Path) -> None:
    """Whatever it lies on; nothing is left beside it."""
    exchange(prefix, "1.0")
    assert sorted(path.name for path in prefix.iterdir()) == [".1.0.old", "1.0"]
    assert [path.name for path in (prefix / "1.0").iterdir()] == ["file"]
    change_back(prefix, "1.0", was_there=True)
    assert [path.name for path in prefix.iterdir()] == ["1.0"]
    assert ((prefix / "1.0/python/hostward").read_text(), (prefix / "1.0/python").is_symlink()) == ("old", True)
    (prefix / ".1.0.new").mkdir()
    change_back(prefix, "1.0", was_there=True)
    assert [path.name for path in prefix.iterdir()] == ["1.0"]
    change_back(prefix, "1.0", was_there=False)
    assert list(prefix.iterdir()) == []


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
