"""The folder of old logs."""

from __future__ import annotations

from pathlib import Path

from agent.logs.rules.folder import make_folder


def test_it_is_like_the_folder_of_the_log(tmp_path: Path) -> None:
    """But for setgid, which systemd's sandbox refuses."""
    log = tmp_path / "web/web.log"
    log.parent.mkdir()
    log.parent.chmod(0o3750)
    make_folder(str(log.parent / "old"), str(log))
    made = (log.parent / "old").stat()
    assert (made.st_mode & 0o7777, made.st_uid, made.st_gid) == (
        0o1750,
        log.parent.stat().st_uid,
        log.parent.stat().st_gid,
    )
