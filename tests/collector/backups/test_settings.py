"""`[backups]` in collector.toml, and which repository is whose."""

from __future__ import annotations

from pathlib import Path

import pytest

from collector.backups.settings import BackupOptions, Place, RepositoryOptions, place_of
from collector.settings import load_settings
from kit.errors import ConfigurationError
from kit.units import Size

OPTIONS = BackupOptions(
    quota=Size(100),
    repositories={
        "web": RepositoryOptions(hosts=("web1", "0123456789abcdef"), append_only=False),
        "db1": RepositoryOptions(quota=Size(500)),
        "d" * 16: RepositoryOptions(hosts=("db2",), quota=Size(700)),
    },
)


@pytest.mark.parametrize(
    ("host", "name", "place"),
    [
        ("aaaaaaaaaaaaaaaa", "web1", Place(repository="web", shared=True, quota=100, append_only=False)),
        ("0123456789abcdef", "web2", Place(repository="web", shared=True, quota=100, append_only=False)),
        ("bbbbbbbbbbbbbbbb", "db1", Place(repository="b" * 16, shared=False, quota=500, append_only=True)),
        ("eeeeeeeeeeeeeeee", "db2", Place(repository="d" * 16, shared=True, quota=700, append_only=True)),
        ("dddddddddddddddd", "db0", Place(repository="d" * 16, shared=False, quota=700, append_only=True)),
        ("cccccccccccccccc", "web", Place(repository="c" * 16, shared=False, quota=100, append_only=True)),
    ],
)
def test_a_host_has_one_repository(host: str, name: str, place: Place) -> None:
    """A shared one where it is listed, else its own: also where it is called like a shared one."""
    assert place_of(OPTIONS, host, name) == place


def test_without_the_table_home_keeps_none(tmp_path: Path) -> None:
    """A collector that was updated opens no new door by itself."""
    file = tmp_path / "collector.toml"
    file.write_text("")
    assert load_settings(file).backups is None
    file.write_text("[backups]\n")
    assert load_settings(file).backups == BackupOptions()


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ('place = "srv/backups"', "full path"),
        ('place = "sftp:host:/srv"', "full path"),
        ('environment_file = "secrets"', "full path of a file"),
        ('quota = "much"', "quota"),
        ('[backups.repositories."a/b"]\nhosts = ["web1"]', "cannot be the name of a shared repository"),
        ('[backups.repositories.".."]\nhosts = ["web1"]', "cannot be the name of a shared repository"),
        (
            '[backups.repositories.a]\nhosts = ["web1"]\n[backups.repositories.b]\nhosts = ["web1"]',
            "shares two repositories",
        ),
    ],
)
def test_mistakes_are_told(tmp_path: Path, text: str, said: str) -> None:
    """With the line that they are in."""
    file = tmp_path / "collector.toml"
    file.write_text(f"[backups]\n{text}\n")
    with pytest.raises(ConfigurationError, match=said):
        load_settings(file)
