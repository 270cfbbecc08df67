"""The programs of others are there, and as new as other tests take them for."""

from __future__ import annotations

import subprocess

import pytest

from tests.newer import LOGROTATE, version_of
from tests.peers import every_restic, faketime, logrotate, newest_rclone, newest_restic, rest_server, restic_of_debian
from tests.require import require_program


def test_there_is_an_old_and_a_new_restic() -> None:
    """Repositories have to be read by those that are in use."""
    assert version_of(newest_restic()) >= (0, 18)
    assert version_of(restic_of_debian()) >= (0, 14)
    assert every_restic()[-1] == newest_restic()


@pytest.mark.parametrize("protocol", ["restic", "s3"])
def test_rclone_serves_what_backups_are_sent_to(protocol: str) -> None:
    """Over REST and S3."""
    done = subprocess.run([newest_rclone(), "serve", protocol, "--help"], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
    assert f"rclone serve {protocol} remote:path" in done.stdout


def test_there_is_a_rest_server() -> None:
    """That of restic's own authors."""
    assert version_of(rest_server()) >= (0, 13)


def test_there_is_the_logrotate_that_ours_is_held_against() -> None:
    """3.22, and a library that sets its clock."""
    done = subprocess.run([*logrotate(faketime()), "--version"], capture_output=True, text=True, timeout=60)
    assert done.stdout.startswith("logrotate 3.22.0\n"), done.stderr
    assert version_of(LOGROTATE) == (3, 22)


@pytest.mark.parametrize("program", ["fusermount3", "getfacl", "setfacl", "getfattr", "setfattr", "sshd"])
def test_what_files_and_servers_are_made_with_is_there(program: str) -> None:
    """Mounts, access control lists, extended attributes, and a server for sftp."""
    require_program(program)
