"""`hostward backup recovery-kit`: all that is needed, and no secret."""

from __future__ import annotations

import json
import re
import secrets
import shlex
from base64 import b64encode
from dataclasses import fields
from pathlib import Path

import pytest

from agent.home import identity
from tests.agent.cli.backup.repos import PASSWORD, Place, call
from tests.agent.cli.backup.test_drill import Host
from tests.agent.home.tls import Authority

SECRETS = {
    "AWS_ACCESS_KEY_ID": "AKIA" + secrets.token_hex(8),
    "AWS_SECRET_ACCESS_KEY": secrets.token_urlsafe(30),
}


@pytest.fixture
def host(tmp_path: Path, place: Place) -> Host:
    """A job with a copy in a place that is not there, a drill that was done, and a home."""
    host = Host(tmp_path, place)
    environment = tmp_path / "s3.environment"
    environment.touch(0o600)
    environment.write_text("".join(f"{name}={value}\n" for name, value in SECRETS.items()))
    host.configure(
        "kind = 'full'",
        job=f"description = 'the shop'\n[[backups.shop.copies]]\nrepository = '/nonexistent/bucket'\n"
        f"password_command = ['/bin/echo', '{PASSWORD}']\nenvironment_file = '{environment}'",
    )
    host.file.write_text(host.file.read_text() + "[recovery]\ncontacts = ['On call: Jörg']\nnotes = 'Envelope 3.'\n")
    return host


def kit(host: Host, *words: str, code: int = 0) -> str:
    return host.call("recovery-kit", *words, code=code)


def test_the_kit_has_what_is_needed_and_none_of_the_secrets(host: Host) -> None:
    """Neither passwords nor credentials nor the host's key nor a repository's, in text as in PDF."""
    host.state.mkdir(mode=0o700)
    key = identity.prepare_key(host.state)
    ca = Authority(host.folder).file.read_bytes()
    identity.save(host.state, collector="https://home.example.com", host="0123456789abcdef", name="web-1", ca=ca)
    host.call("run", "shop", "--quiet", code=3)  # the copy cannot be made
    host.call("drill", "shop", "--quiet")
    said = kit(host, code=3)
    config = json.loads(host.call("cat", "config", "--job", "shop"))
    keys = json.loads(host.call("key", "list", "--job", "shop", "--json"))
    for needed in (config["id"], keys[0]["id"], "AWS_ACCESS_KEY_ID", "On call: Jörg", "Envelope 3.", "the shop"):
        assert needed in said
    for needed in (
        "printed by the program /bin/echo",
        str(host.secret),
        "https://home.example.com",
        "until all of shop",
    ):
        assert needed in said
    file = host.folder / "kit.pdf"
    kit(host, "--output", str(file), code=3)
    master = host.place.opened().key
    keys_of_repository = [getattr(master, field.name) for field in fields(master)]
    hidden = [PASSWORD, *SECRETS.values()]
    for secret in (key, *keys_of_repository):
        hidden += [secret.hex(), b64encode(secret).decode()]
    assert not [secret for secret in hidden if secret in said or secret.encode() in file.read_bytes()]
    assert file.stat().st_mode & 0o077 == 0


def test_what_could_not_be_looked_into_is_told_and_the_rest_is_written(host: Host) -> None:
    """With an exit code that says so."""
    said = kit(host, code=3)
    assert "it could not be looked into" in said
    assert "/nonexistent/bucket" in said
    assert "No snapshot was seen" in said


def test_its_commands_bring_everything_back(host: Host) -> None:
    """As they stand on the page, on a machine that has nothing but the password."""
    host.configure("kind = 'full'")
    host.save()
    said = kit(host).replace("\\\n", " ")
    lines = re.findall(r"^    (hostward backup (?:snapshots|cat|restore|check) .*)$", said, re.MULTILINE)
    (place,) = re.findall(r"^    export +HOSTWARD_REPOSITORY=(.*)$", said, re.MULTILINE)
    target = host.folder / "back"
    environment = {**host.environment, "HOSTWARD_REPOSITORY": place, "HOSTWARD_PASSWORD": PASSWORD}
    del environment["HOSTWARD_CONFIG"]
    for line in lines:
        words = shlex.split(line.replace("/mnt/restored", str(target)))[1:]
        done = call([*words, "--no-cache"], environment)
        assert done.returncode == 0, done.stderr
    assert len(lines) == 4
    copy = target / str(host.folder).lstrip("/") / "srv/inner/file7"
    assert copy.read_text() == "content 7"


def test_without_a_job_there_is_nothing_to_write(host: Host) -> None:
    """And a PDF is not for a terminal."""
    host.file.write_text("")
    assert "has no backup job" in kit(host, code=2)
    assert host.call("recovery-kit", "--format", "odt", code=2)
