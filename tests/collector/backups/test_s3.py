"""Repositories of hosts in S3: the same protocol, receipts and promises."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from collector.backups.places import INCOMING, Places
from collector.backups.settings import BackupOptions
from kit.errors import HostwardError
from kit.units import Size
from tests.backup.stores.servers import KEY, SECRET, rclone
from tests.collector import support
from tests.collector.backups.support import Guest, files_below, guest, name_of


@pytest.fixture
def options(tmp_path: Path) -> Iterator[BackupOptions]:
    """A bucket of a real server, whose keys are in a file."""
    folder = tmp_path / "s3"
    folder.mkdir()
    keys = tmp_path / "keys"
    keys.write_text(f"AWS_ACCESS_KEY_ID={KEY}\nAWS_SECRET_ACCESS_KEY='{SECRET}'\n")
    keys.chmod(0o600)
    with rclone(folder, "s3", "--auth-key", f"{KEY},{SECRET}") as port:
        place = f"s3:http://127.0.0.1:{port}/bucket/below"
        yield BackupOptions(keep_free=Size(0), place=place, environment_file=str(keys))


def test_hosts_save_into_a_bucket(options: BackupOptions, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """And read from it in pieces; what is refused leaves nothing, there or here."""
    monkeypatch.setattr("collector.backups.replies.REMOTE_PIECE", 1000)
    with support.home(tmp_path, options) as home:
        made: Guest = guest(home)
        assert made.request("GET", "config").status_code == 404
        made.create()
        content = bytes(range(256)) * 30
        name = made.save("data", content)
        assert made.save("data", content) == name
        lock = made.save("locks", b"lock")
        assert made.request("POST", f"data/{name_of(b'right')}", content=b"wrong").status_code == 400
        assert made.request("POST", "config", content=b"another").status_code == 403
        assert made.request("GET", f"data/{name}").content == content
        part = made.request("GET", f"data/{name}", headers={"Range": "bytes=2500-"})
        assert (part.status_code, part.content) == (206, content[2500:])
        assert made.listed("data") == {name: len(content)}
        assert made.request("DELETE", f"data/{name}").status_code == 403
        assert made.request("DELETE", f"locks/{lock}").status_code == 200
        assert made.listed("locks") == {}
        found = files_below(tmp_path / "s3" / "root" / "bucket" / "below" / made.repository)
        assert sorted(found) == ["config", f"data/{name[:2]}/{name}"]
        assert list((tmp_path / INCOMING).iterdir()) == []


def test_wrong_keys_are_told_at_the_start(tmp_path: Path) -> None:
    """In a sentence that holds none of them."""
    keys = tmp_path / "keys"
    for text, said in (
        ("AWS_ACCESS_KEY_ID=only-this\n", "AWS_SECRET_ACCESS_KEY"),
        ("nonsense\n", "expected NAME=VALUE"),
    ):
        keys.write_text(text)
        keys.chmod(0o600)
        place = BackupOptions(place="s3:http://127.0.0.1:1/bucket", environment_file=str(keys))
        with pytest.raises(HostwardError, match=said) as caught:
            Places(place, tmp_path)
        assert "only-this" not in str(caught.value) and "nonsense" not in str(caught.value)
