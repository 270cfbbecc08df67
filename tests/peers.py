"""Real programs of others that ours are held against."""

from __future__ import annotations

import shutil
import sysconfig
from functools import cache
from pathlib import Path

from tests import newer
from tests.require import require, require_program

NEW = (0, 18)
"""The oldest restic that counts as new."""


def restic_of_debian() -> Path:
    """The restic on PATH: on Debian 12 that is 0.14."""
    return require_program("restic")


def newest_restic() -> Path:
    """A restic of 0.18 or later."""
    found = _newest()
    require(found is not None, "restic 0.18 or later (make test fetches it when run as root on Debian)")
    assert found is not None
    return found


def every_restic() -> list[Path]:
    """The older first; one alone, where that on PATH is the newest."""
    return list(dict.fromkeys([restic_of_debian(), newest_restic()]))


def newest_rclone() -> Path:
    """The rclone that is locked with what else the tests need: Debian's own does not serve S3."""
    found = Path(sysconfig.get_path("scripts"), "rclone")
    require(found.exists(), f"{found} (make test installs it)")
    return found


def rest_server() -> Path:
    """The server of restic's REST protocol that restic's authors wrote."""
    found = newer.REST_SERVER if newer.REST_SERVER.exists() else shutil.which("rest-server")
    require(found is not None, "rest-server (make test fetches it when run as root on Debian)")
    return Path(str(found))


def logrotate(*preloaded: Path) -> list[str]:
    """What starts logrotate 3.22, with some libraries loaded first; Debian 12's own is 3.21."""
    require(newer.LOGROTATE.exists(), "logrotate 3.22 (make test fetches it when run as root on Debian)")
    return newer.command(newer.LOGROTATE, *preloaded)


def faketime() -> Path:
    """The library that sets a program's clock."""
    found = next(Path("/usr/lib").glob("*/faketime/libfaketime.so.1"), None)
    require(found is not None, "libfaketime")
    assert found is not None
    return found


@cache
def _newest() -> Path | None:
    """The one that `make test` fetched, or else one on PATH."""
    found = newer.RESTIC if newer.RESTIC.exists() else shutil.which("restic")
    return Path(found) if found is not None and newer.version_of(Path(found)) >= NEW else None
