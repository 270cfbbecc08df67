"""The collector's configuration."""

from __future__ import annotations

from pathlib import Path

import msgspec
import pytest

from collector.metrics.contract import Bounds
from collector.settings import BackupJobOptions, ConnectionOptions, HistoryOptions, Settings, load_settings
from kit.errors import ConfigurationError


def test_no_file_is_a_good_configuration(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Everything has its default, the history's own."""
    monkeypatch.setattr("collector.settings.DEFAULT_FILE", tmp_path / "none.toml")
    assert load_settings(None) == Settings()
    assert Settings().bounds() == Bounds()


def test_a_file_is_found_by_option_before_environment(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """As the agent's is."""
    one, other = tmp_path / "one.toml", tmp_path / "other.toml"
    one.write_text('[history]\nretention = "1d"\n')
    other.write_text('[history]\nmax_size = "1GiB"\n')
    monkeypatch.setenv("HOSTWARD_CONFIG", str(one))
    assert load_settings(None).bounds().retention == 86400
    assert load_settings(other).bounds() == Bounds(size=2**30)


def test_a_file_that_was_named_must_be_there(tmp_path: Path) -> None:
    """A typing mistake must not run with the defaults."""
    with pytest.raises(ConfigurationError, match=r"none\.toml"):
        load_settings(tmp_path / "none.toml")


@pytest.mark.parametrize(
    "text", ["[history", "[histroy]", '[history]\nretention = "soon"', '[history]\nretention = "0s"']
)
def test_mistakes_are_told(tmp_path: Path, text: str) -> None:
    """With the file."""
    (tmp_path / "collector.toml").write_text(text)
    with pytest.raises(ConfigurationError, match=r"collector\.toml"):
        load_settings(tmp_path / "collector.toml")


def test_the_page_names_every_option(repository: Path) -> None:
    """With its default."""
    page = (repository / "docs/collector.md").read_text()
    for field in (*msgspec.structs.fields(HistoryOptions), *msgspec.structs.fields(BackupJobOptions)):
        assert f'{field.name} = "{field.default}"' in page
    for field in msgspec.structs.fields(ConnectionOptions):
        assert f"{field.name} = {field.default}" in page
