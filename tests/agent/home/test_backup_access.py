"""What opens the repository at home, when home cannot be asked."""

from __future__ import annotations

import os
from pathlib import Path

import msgspec
import pytest

from agent.home import identity
from agent.home.backup_access import FILE, HomeAccessError, home_access
from agent.home.identity import IdentityError
from tests.collector.conftest import initialised as initialised
from tests.ports import free_port

HELD = {"version": 1, "repository": "0123456789abcdef", "user": "0123456789abcdef", "password": "hwb_secret"}


@pytest.fixture
def folder(tmp_path: Path, initialised: Path) -> Path:
    """The state of a host whose home does not answer."""
    made = tmp_path / "state"
    made.mkdir(mode=0o700)
    identity.prepare_key(made)
    ca = (initialised / "ca.pem").read_bytes()
    identity.save(made, collector=f"https://127.0.0.1:{free_port()}", host="0123456789abcdef", name="web1", ca=ca)
    return made


def hold(folder: Path, mode: int = 0o600) -> None:
    """A credential from before."""
    (folder / FILE).write_bytes(msgspec.json.encode(HELD))
    (folder / FILE).chmod(mode)


def test_what_is_held_is_used_while_home_is_away(folder: Path) -> None:
    """Whoever uses it tries again, for longer than this could."""
    hold(folder)
    found = home_access(folder)
    assert found.location.startswith("rest:https://127.0.0.1:")
    assert found.location.endswith("/backup/0123456789abcdef/")
    assert found.environment()["RESTIC_REST_PASSWORD"] == "hwb_secret"
    assert "hwb_secret" not in repr(found)


def test_without_one_home_must_answer(folder: Path) -> None:
    """The sentence says that it did not; what others could have read counts as none."""
    with pytest.raises(HomeAccessError, match="cannot be reached"):
        home_access(folder)
    hold(folder, 0o644)
    with pytest.raises(HomeAccessError, match="cannot be reached"):
        home_access(folder)
    hold(folder)
    with pytest.raises(HomeAccessError, match="cannot be reached"):
        home_access(folder, renew=True)
    assert home_access(folder).password == "hwb_secret"


def test_a_folder_that_cannot_be_trusted_or_used(folder: Path, tmp_path: Path) -> None:
    """Each in one sentence."""
    with pytest.raises(HomeAccessError, match="not enrolled"):
        home_access(tmp_path / "nowhere")
    (folder / "home-backups.lock").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(HomeAccessError, match=r"home-backups\.lock"):
        home_access(folder)
    assert not os.path.lexists(tmp_path / "elsewhere")
    folder.chmod(0o777)
    with pytest.raises(IdentityError):
        home_access(folder)
