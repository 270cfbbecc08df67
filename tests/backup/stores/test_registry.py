"""Locations as restic writes them, and what is said of wrong ones."""

from __future__ import annotations

import contextlib
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from backup.stores.local import LocalStore
from backup.stores.registry import open_store, shown
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


@pytest.mark.parametrize(
    ("location", "shown_as"),
    [
        ("sftp:user@host:/srv/repo", "sftp:user@host:/srv/repo"),
        ("sftp:host:repo", "sftp:host:repo"),
        ("sftp:user@[::1]:/srv", "sftp:user@[::1]:/srv"),
        ("sftp://user@Host:2222//srv/repo", "sftp://user@Host:2222//srv/repo"),
        ("sftp://user@host/repo", "sftp:user@host:repo"),
        ("sftp://user@[::1]:2222//srv", "sftp://user@[::1]:2222//srv"),
        ("rest:https://host/repo", "rest:https://host/repo/"),
        ("rest:http://user:p%40ss@host:8000/", "rest:http://user:***@host:8000/"),
        ("rest:https://[::1]:8000/x/y/", "rest:https://[::1]:8000/x/y/"),
        ("s3:s3.eu-central-1.amazonaws.com/bucket/some/prefix", "s3:https://s3.eu-central-1.amazonaws.com/bucket/some/prefix"),
        ("s3:http://localhost:9000/bucket", "s3:http://localhost:9000/bucket"),
        ("s3://host/bucket/", "s3:https://host/bucket"),
    ],
)  # fmt: skip
def test_places_on_networks(location: str, shown_as: str) -> None:
    """In all the ways that restic writes them; nothing is connected to."""
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s", "RESTIC_REST_USERNAME": "from the environment"}
    store = open_store(location, {**keys, "HOME": "/nonexistent"})
    assert store.location == shown_as


@pytest.mark.parametrize(
    "location",
    [
        "sftp:", "sftp:host", "sftp:host:", "sftp:/path", "sftp://host", "sftp://host:port/x", "sftp:host:~/x",
        "sftp://user:geheim@host/x", "rest:", "rest:host/path", "rest:ftp://host/", "rest:https://", "s3:", "s3:host",
        "rest:https://user:geheim@host:port/", "s3:https://host", "s3:https://host:port/bucket",
        "s3:https://key:geheim@host/bucket", "s3:localhost:1/x", "s3:host/-bucket", "s3:host/buc ket",
    ],
)  # fmt: skip
def test_wrong_places_on_networks(location: str) -> None:
    """One sentence with what would be right, without any password."""
    with pytest.raises(UsageError, match=r"expected|begins in the user's home") as caught:
        open_store(location, {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"})
    assert "\n" not in str(caught.value)
    assert "geheim" not in str(caught.value)


def test_missing_credentials_are_named(tmp_path: Path) -> None:
    """Both of the two, or where they are looked for."""
    with pytest.raises(UsageError, match="AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY"):
        open_store("s3:host/bucket", {"HOME": str(tmp_path), "AWS_EC2_METADATA_DISABLED": "true"})
    with pytest.raises(UsageError, match="a profile other in "):
        open_store("s3:host/bucket", {"HOME": str(tmp_path), "AWS_PROFILE": "other"})
    with pytest.raises(UsageError, match="expected AWS_SECRET_ACCESS_KEY too"):
        open_store("s3:host/bucket", {"AWS_ACCESS_KEY_ID": "k"})


@pytest.mark.parametrize("content", [None, b"no certificate"])
@pytest.mark.parametrize("location", ["rest:https://host/", "s3:host/bucket"])
def test_a_wrong_cacert_is_told_at_once(tmp_path: Path, location: str, content: bytes | None) -> None:
    """Rather than at the first connection, as something that may pass."""
    file = tmp_path / "ca"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(UsageError, match=r"RESTIC_CACERT=.*expected a file with certificates"):
        open_store(location, {"RESTIC_CACERT": str(file), "AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"})


def test_what_stores_are_told_besides(tmp_path: Path) -> None:
    """By restic's names; those of other schemes do not count here, those that are none are told."""
    settings = {"local.connections": "2", "s3.connections": "9", "sftp.args": "-v"}
    assert open_store(str(tmp_path), {}, settings).connections == 2
    keys = {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"}
    assert open_store("s3:host/bucket", keys, {"s3.connections": "9", "s3.bucket-lookup": "DNS"}).connections == 9
    for wrong, said in {
        "s3.speed=1": "there is no option s3.speed: expected s3.connections, s3.region",
        "s3.connections=many": "expected a number from 1 to 1000",
        "s3.connections=0": "expected a number from 1 to 1000",
        "s3.bucket-lookup=host": "expected auto or dns or path",
        "s3.list-objects-v1=maybe": "expected false or true",
    }.items():
        name, _, value = wrong.partition("=")
        with pytest.raises(UsageError, match=said):
            open_store("s3:host/bucket", keys, {name: value})


@given(st.text(max_size=60) | st.sampled_from(["sftp:", "rest:", "s3:", "s3:http://", "sftp://", "rest:https://"]).flatmap(
    lambda scheme: st.text("ab:/@[]%~.1 \x00é", max_size=20).map(lambda text: scheme + text)))  # fmt: skip
def test_no_location_makes_anything_but_its_sentence(location: str) -> None:
    """Whatever is typed."""
    with contextlib.suppress(UsageError):
        open_store(location, {"AWS_ACCESS_KEY_ID": "k", "AWS_SECRET_ACCESS_KEY": "s"})


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
    monkeypatch.delitem(sys.modules, f"backup.stores.{scheme}", raising=False)
    monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(HostwardError, match=f"make install EXTRAS={scheme}"):
        open_store(location, {})
