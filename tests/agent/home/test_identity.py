"""Who a host is at home: made once, kept to itself, and never half there."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.home import identity
from agent.home.identity import IdentityError
from kit.errors import UsageError
from tests.require import require_root


def enroll(folder: Path) -> None:
    """What enrolment leaves behind."""
    identity.prepare_key(folder)
    identity.save(folder, collector="https://home:8443", host="host-1", name="web 1", ca=b"PEM")


def test_what_was_saved_is_loaded(tmp_path: Path) -> None:
    assert identity.load(tmp_path) is None
    enroll(tmp_path)
    found = identity.load(tmp_path)
    assert found is not None
    assert (found.collector, found.host, found.name) == ("https://home:8443", "host-1", "web 1")
    assert found.ca.read_bytes() == b"PEM"
    assert found.key == identity.prepare_key(tmp_path)


def test_the_key_is_for_its_owner_alone_and_is_never_shown(tmp_path: Path) -> None:
    enroll(tmp_path)
    assert (tmp_path / identity.KEY).stat().st_mode & 0o777 == 0o600
    found = identity.load(tmp_path)
    assert found is not None
    text = (tmp_path / identity.KEY).read_text().strip()
    for shown in (repr(found), str(found), (tmp_path / identity.IDENTITY).read_text()):
        assert text not in shown
        assert repr(found.key) not in shown


def test_a_key_that_is_there_is_used_again(tmp_path: Path) -> None:
    """Enrolling again after a crash is then the same request again."""
    assert identity.prepare_key(tmp_path) == identity.prepare_key(tmp_path)


def test_a_key_alone_is_no_enrolment(tmp_path: Path) -> None:
    identity.prepare_key(tmp_path)
    assert identity.load(tmp_path) is None


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o666])
def test_a_key_that_others_could_read_is_refused(tmp_path: Path, mode: int) -> None:
    """It may be in other hands already."""
    enroll(tmp_path)
    (tmp_path / identity.KEY).chmod(mode)
    with pytest.raises(IdentityError, match=f"has mode 0{mode:o}"):
        identity.load(tmp_path)
    with pytest.raises(IdentityError):
        identity.prepare_key(tmp_path)


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"{",
        b"[]",
        b"\xff",
        b'{"collector": "https://h", "host": "a b", "name": "n"}',
        b'{"collector": "http://h", "host": "h", "name": "n"}',
        b'{"collector": "https://h", "host": "h"}',
        b'{"version": 2, "collector": "https://h", "host": "h", "name": "n"}',
    ],
)
def test_a_damaged_identity_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    """It names the file and what to do."""
    enroll(tmp_path)
    (tmp_path / identity.IDENTITY).write_bytes(content)
    with pytest.raises(IdentityError, match=r"identity\.json is damaged .*; remove it and run") as caught:
        identity.load(tmp_path)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("content", [b"", b"short", b"A" * 60, b"\xff" * 32])
def test_a_damaged_key_is_one_clear_line(tmp_path: Path, content: bytes) -> None:
    """And so is one that is gone."""
    enroll(tmp_path)
    (tmp_path / identity.KEY).write_bytes(content)
    with pytest.raises(IdentityError, match=r"identity\.key is damaged"):
        identity.load(tmp_path)
    (tmp_path / identity.KEY).unlink()
    with pytest.raises(IdentityError, match=r"identity\.key is missing"):
        identity.load(tmp_path)


def test_a_missing_ca_is_one_clear_line(tmp_path: Path) -> None:
    enroll(tmp_path)
    (tmp_path / identity.CA).unlink()
    with pytest.raises(IdentityError, match="copy the collector's"):
        identity.load(tmp_path)


def test_the_files_belong_to_whom_the_folder_belongs_to(tmp_path: Path) -> None:
    """Enrolled by root, read by the daemon's own user."""
    require_root()
    os.chown(tmp_path, 12345, 12346)
    enroll(tmp_path)
    for name in (identity.KEY, identity.IDENTITY, identity.CA):
        found = (tmp_path / name).stat()
        assert (found.st_uid, found.st_gid) == (12345, 12346), name


@pytest.mark.parametrize(
    ("text", "url"),
    [
        ("https://home", "https://home"),
        ("https://home:8443/", "https://home:8443"),
        ("https://[::1]:8443", "https://[::1]:8443"),
    ],
)
def test_the_address_of_a_collector(text: str, url: str) -> None:
    """With or without a port and a slash."""
    assert identity.collector_url(text) == url


@pytest.mark.parametrize(
    "text",
    [
        "",
        "home",
        "http://home",
        "https://",
        "https://user@home",
        "https://home:0",
        "https://home:99999",
        "https://home:x",
        "https://home/path",
        "https://home?q",
        "https://home#f",
        "https://[::1",
        "https://ho me",
        "https://ho\nme",
        "https://häme",
    ],
)
def test_what_is_no_address_is_bad_usage(text: str) -> None:
    """Only HTTPS, and nothing behind the port."""
    with pytest.raises(UsageError, match="is not the address of a collector"):
        identity.collector_url(text)


@given(st.text(max_size=30) | st.text(max_size=30).map(lambda text: f"https://{text}"))
def test_any_text_is_an_address_or_bad_usage(text: str) -> None:
    try:
        url = identity.collector_url(text)
    except UsageError as error:
        assert "\n" not in str(error) and "\x1b" not in str(error)
    else:
        assert identity.collector_url(url) == url


def test_nothing_heavy_is_loaded_for_it() -> None:
    """A daemon without a home looks for one now and then."""
    code = "import agent.home.identity, sys; print(json.dumps([m for m in sys.modules]))"
    done = subprocess.run([sys.executable, "-c", f"import json; {code}"], capture_output=True, check=True)
    loaded = set(json.loads(done.stdout))
    assert not loaded & {"cryptography", "requests", "http.client", "ssl", "zstandard"}
