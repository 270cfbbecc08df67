"""Secrets come from files that nobody else can read, and from systemd's credentials."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.runner import reason
from agent.credentials import MAX_SIZE, SecretError, read_secret
from agent.jobs.process import minimal_environment
from tests.require import require_root


def secret(tmp_path: Path, text: bytes = b"hunter2\n", mode: int = 0o600) -> Path:
    file = tmp_path / "password"
    file.write_bytes(text)
    file.chmod(mode)
    return file


def refusal(place: object) -> str:
    """The one sentence, which holds nothing of the secret."""
    with pytest.raises(SecretError) as caught:
        read_secret(str(place))
    assert "hunter2" not in str(caught.value)
    assert len(str(caught.value).splitlines()) == 1
    return str(caught.value)


def test_a_file_of_ones_own_is_read_without_the_end_of_its_line(tmp_path: Path) -> None:
    """Editors end a file with a newline, which is no part of a password; spaces are."""
    assert read_secret(str(secret(tmp_path, b" hunter2 \r\n"))) == " hunter2 "


@pytest.mark.parametrize("mode", [0o604, 0o620, 0o602, 0o644, 0o660, 0o666, 0o601])
def test_a_file_that_others_have_rights_to_is_refused(tmp_path: Path, mode: int) -> None:
    """A secret that others can read is none, and one that others can write is theirs."""
    assert f"mode {mode:04o}" in refusal(secret(tmp_path, mode=mode))


@pytest.mark.root
def test_a_file_of_roots_may_be_readable_by_the_readers_group(tmp_path: Path) -> None:
    """That is how root gives the agent's user a secret which it cannot change."""
    require_root()
    file = secret(tmp_path, mode=0o640)
    assert read_secret(str(file)) == "hunter2"
    os.chown(file, 0, 4242)
    assert "mode 0640" in refusal(file)


@pytest.mark.root
def test_a_file_of_somebody_else_is_refused(tmp_path: Path) -> None:
    """Its owner would choose what the agent presents as its password."""
    require_root()
    file = secret(tmp_path)
    os.chown(file, 4242, 0)
    assert "belongs to user 4242" in refusal(file)


@pytest.mark.parametrize(
    ("content", "words"),
    [(b"", "empty"), (b"\n\n", "empty"), (b"\xff\xfe", "UTF-8"), (b"x" * (MAX_SIZE + 1), "64 KiB")],
)
def test_what_is_no_secret_is_refused(tmp_path: Path, content: bytes, words: str) -> None:
    """Nothing, bytes and whole disks are mistakes of the configuration."""
    assert words in refusal(secret(tmp_path, content))


def test_what_is_not_a_file_is_refused(tmp_path: Path) -> None:
    """A pipe would be waited for, a folder cannot be read."""
    os.mkfifo(tmp_path / "pipe", 0o600)
    assert "regular file" in refusal(tmp_path / "pipe")
    assert str(tmp_path) in refusal(tmp_path)
    assert "No such file" in refusal(tmp_path / "none")
    assert "full path" in refusal("password")


def test_a_credential_is_the_file_that_systemd_made(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its rights are systemd's doing, which may use access lists that look like a group's rights."""
    secret(tmp_path, mode=0o440)
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert read_secret("credential:password") == "hunter2"
    assert "LoadCredential=other:FILE" in refusal("credential:other")


def test_a_credential_needs_a_unit_that_has_some() -> None:
    """Outside of the unit, as in `hostward check`, there is nobody who would hand it over."""
    assert "LoadCredential=password:FILE" in refusal("credential:password")


@pytest.mark.parametrize("name", ["", "..", "../password", "/etc/shadow", "a/b", ".hidden", "a\nb", "a\0b"])
def test_a_credentials_name_is_no_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    """It cannot lead out of the folder."""
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", str(tmp_path))
    assert "after the colon" in refusal(f"credential:{name}")


@given(st.text())
def test_any_text_gives_a_secret_or_one_sentence(place: str) -> None:
    """Whatever stands in the option, only SecretError comes of it."""
    with pytest.raises(SecretError):
        read_secret(place)


def test_checks_say_the_sentence_as_it_is() -> None:
    """The message of the state `unknown` is what the administrator reads."""
    assert reason(SecretError("/etc/pw: is empty")) == "/etc/pw: is empty"


def test_programs_and_jobs_find_the_credentials(monkeypatch: pytest.MonkeyPatch) -> None:
    """Checks with a password run in children, which get an environment of their own."""
    assert "CREDENTIALS_DIRECTORY" not in minimal_environment()
    monkeypatch.setenv("CREDENTIALS_DIRECTORY", "/run/credentials/hostward-agent.service")
    assert minimal_environment()["CREDENTIALS_DIRECTORY"] == "/run/credentials/hostward-agent.service"
