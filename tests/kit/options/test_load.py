"""Files in, one struct out."""

from __future__ import annotations

from pathlib import Path

import pytest

from kit.errors import ConfigurationError
from kit.options.load import load
from tests.kit.options.shapes import Everything, Level


def test_no_file(tmp_path: Path) -> None:
    """No file at all is the default configuration; a file that somebody named must be there."""
    loaded = load(Everything, tmp_path / "f.toml", folder=tmp_path / "f.d")
    assert loaded.value == Everything()
    assert loaded.files == ()
    with pytest.raises(ConfigurationError, match=r"f\.toml: there is no such file$"):
        load(Everything, tmp_path / "f.toml", must_exist=True)


def test_folder_lies_over_the_file(tmp_path: Path) -> None:
    """The files of the folder are merged over the file in the order of their names."""
    (tmp_path / "f.toml").write_text("count = 1\nflag = true\n[level]\nwarning = 1\ncritical = 2\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "20.toml").write_text("count = 20\n")
    (tmp_path / "d" / "10.toml").write_text("count = 10\nlevel.warning = 2\n")
    loaded = load(Everything, tmp_path / "f.toml", folder=tmp_path / "d")
    assert loaded.value.count == 20
    assert loaded.value.flag
    assert loaded.value.level == Level(warning=2, critical=2, for_=Everything().level.for_)
    assert [file.name for file in loaded.files] == ["f.toml", "10.toml", "20.toml"]
    assert str(loaded.tree.place(("count",))) == f"{tmp_path}/d/20.toml:1"


def test_every_file_is_judged(tmp_path: Path) -> None:
    """All mistakes of all files at once, in the order of files and lines; broken files do not hide the others."""
    (tmp_path / "f.toml").write_text('flag = 1\n[level]\nwarning = "x"\n')
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.toml").write_text("a = \n")
    (tmp_path / "d" / "2.toml").write_bytes(b"\xff")
    (tmp_path / "d" / "3.toml").write_text("\nlevel = 3\ncuont = 1\n")
    (tmp_path / "d" / "4.toml").mkdir()
    with pytest.raises(ConfigurationError) as refused:
        load(Everything, tmp_path / "f.toml", folder=tmp_path / "d")
    assert str(refused.value).replace(f"{tmp_path}/", "").splitlines() == [
        "f.toml:1: flag: expected true or false, found the number 1",
        'f.toml:3: level.warning: expected a number or "off", found the text "x"',
        'd/1.toml:1: not valid TOML: this is no value; text stands in quotes, as in name = "value"',
        "d/2.toml:1: is not UTF-8 text (byte 0xff)",
        "d/3.toml:2: level: is not a table here, but is one at f.toml:2",
        'd/3.toml:3: cuont: there is no such key here; did you mean "count"?',
        "d/4.toml: cannot be read: it is a folder, and a file was expected",
    ]


def test_what_a_broken_file_may_hold_is_not_missed(tmp_path: Path) -> None:
    """A key that a table lacks is no mistake while a file that may have it is broken; then it is one."""
    (tmp_path / "f.toml").write_text("[[targets]]\nport = 1\n")
    (tmp_path / "d").mkdir()
    (tmp_path / "d" / "1.toml").write_text("broken")
    for said in ["d/1.toml:1: not valid TOML: expected key = value", 'f.toml:1: targets[0]: needs the key "url"']:
        with pytest.raises(ConfigurationError) as refused:
            load(Everything, tmp_path / "f.toml", folder=tmp_path / "d")
        assert str(refused.value).startswith(f"{tmp_path}/{said}")
        assert len(str(refused.value).splitlines()) == 1
        (tmp_path / "d" / "1.toml").write_text("")


def test_folder_that_is_none(tmp_path: Path) -> None:
    """A file where the folder should be is one line."""
    (tmp_path / "d").touch()
    with pytest.raises(ConfigurationError, match=r"d: cannot be read: Not a directory$"):
        load(Everything, tmp_path / "f.toml", folder=tmp_path / "d")
