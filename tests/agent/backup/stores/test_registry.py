"""Locations as restic writes them, and what is said of wrong ones."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from agent.backup.stores.local import LocalStore
from agent.backup.stores.registry import open_store, shown
from kit.errors import HostwardError, UsageError


@pytest.mark.parametrize("location", ["{}/repo", "local:{}/repo"])
def test_a_folder(tmp_path: Path, location: str) -> None:
    """With and without its scheme."""
    store = open_store(location.format(tmp_path), {})
    assert isinstance(store, LocalStore)
    assert store.location == f"{tmp_path}/repo"


@pytest.mark.parametrize("location", ["./a:b", "../a:b", "/a:b"])
def test_a_path_with_a_colon_is_a_path(location: str) -> None:
    """Where it begins like one."""
    assert open_store(location, {}).location == location


@pytest.mark.parametrize("location", ["", "b2:bucket", "ftp://host/path", "local:", "a\0b"])
def test_a_wrong_location_is_told_in_one_sentence(location: str) -> None:
    """With what would be right."""
    with pytest.raises(UsageError, match=r"expected .*/PATH") as caught:
        open_store(location, {})
    assert "\n" not in str(caught.value)


def test_no_password_is_shown() -> None:
    """Neither in a location that can be used nor in the words about one that cannot."""
    with pytest.raises(UsageError) as caught:
        open_store("webdav:https://user:geheim@host/", {})
    assert "geheim" not in str(caught.value)
    assert shown("rest:https://user:geheim@host:8000/x/") == "rest:https://user:***@host:8000/x/"


@pytest.mark.parametrize(
    ("location", "package"), [("sftp:host:/x", "paramiko"), ("s3:s3.example.org/bucket", "minio")]
)
def test_a_package_that_is_missing_is_named(location: str, package: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """With how to install it, rather than a traceback."""
    scheme = location.partition(":")[0]
    monkeypatch.delitem(sys.modules, f"agent.backup.stores.{scheme}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HostwardError, match=f"make install EXTRAS={scheme}"):
        open_store(location, {})
