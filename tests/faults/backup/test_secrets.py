"""Passwords and keys are in no place where others, or logs, could find them."""

from __future__ import annotations

import base64
import os
import signal
import subprocess
from pathlib import Path

import pytest

from backup.archive.worker import Settings
from backup.format.keyfile import parse_key_file
from backup.repository.repository import Repository
from backup.stores.contract import FileKind
from tests.agent.daemon.daemons import wait_for
from tests.faults.backup.ground import PASSWORD, Ground, files, opened
from tests.faults.backup.trial import Trials
from tests.require import require_root

NOBODY = 65534


def secrets_of(repository: Repository) -> list[bytes]:
    """In every form in which they might be shown."""
    key = repository.key
    found = [PASSWORD.encode()]
    for part in (key.encrypt, key.mac_k, key.mac_r):
        found += [part, part.hex().encode(), base64.b64encode(part), repr(part).encode()]
    return found


def test_nothing_shows_them(ground: Ground) -> None:
    """Neither a repository nor its key, key files, or what workers are given."""
    repository = opened(ground.top / "aged")
    file = parse_key_file(files(ground.top / "aged", FileKind.KEY)[0].read_bytes())
    shown = [repr(each) for each in (repository, repository.key, repository.config, file, vars(repository))]
    shown.append(repr({name: repository.key for name in Settings.__dataclass_fields__ if name == "key"}))
    for each in shown:
        assert not any(secret.decode(errors="replace") in each for secret in secrets_of(repository)), each


@pytest.mark.parametrize(
    ("words", "breaks"),
    [
        (("prune",), "backup.maintain.prune:plan_prune"),
        (("prune",), "backup.repository.repository:parse_snapshot"),
        (("run", "/etc/hostname"), "backup.archive.backup:encode_tree"),
        (("run", "/etc/hostname"), "backup.archive.completing:encode_tree"),
        (("run", "/etc/hostname"), "backup.archive.worker:read_metadata"),
        (("snapshots",), "backup.repository.keys:open_key_file"),
        (
            ("key", "add", "--new-password-file", "{ground}/password-new"),
            "backup.repository.keys:encode_key_file",
        ),
    ],
)
def test_an_error_that_nobody_expected(trials: Trials, tmp_path: Path, words: tuple[str, ...], breaks: str) -> None:
    """Its traceback holds no secret, and the repository is as it was."""
    ground = trials.ground
    place = ground.copy("aged", tmp_path / "repository")
    outcome = trials.life(place, *(word.format(ground=ground.top) for word in words), breaks=breaks)
    if "encode_tree" not in breaks or outcome.code:
        assert outcome.code and "what nobody expects" in outcome.said, outcome
    said = outcome.said.encode()
    assert not any(secret in said for secret in [*secrets_of(opened(place)), b"the new one"])
    ground.accepts(place, ground.contents)


def test_other_processes_of_the_user(trials: Trials, place: Path) -> None:
    """They read neither memory nor environment of a process with a key, nor of its workers; it dumps no core."""
    require_root()
    folder = trials.ground.copy("aged", place / "repository")
    source = place / "source"
    source.mkdir()
    for number in range(40):
        (source / str(number)).write_bytes(os.urandom(1_000_000))
    subprocess.run(["chown", "-R", str(NOBODY), str(place)], check=True)
    with subprocess.Popen(["sleep", "60"], user=NOBODY, group=NOBODY, extra_groups=[]) as other:
        assert is_read_by(NOBODY, other.pid, "environ"), "else nothing is shown by what follows"
        other.kill()
    # So slow that there is time to look.
    words = ["run", source, "--limit-upload", "500", "--pack-size", "4"]
    end = trials.begin(folder, *words, user=NOBODY)
    looked: list[int] = []

    def working() -> bool:
        looked[:] = tree_of(trials.pid)
        return len(looked) > 1

    wait_for(working)
    for pid in looked:
        for file in ("mem", "environ", "maps"):
            assert not is_read_by(NOBODY, pid, file), file
        assert PASSWORD.encode() not in Path(f"/proc/{pid}/cmdline").read_bytes()
        limits = Path(f"/proc/{pid}/limits").read_text()
        assert next(line for line in limits.splitlines() if "core file" in line).split()[4] == "0"
    os.kill(looked[0], signal.SIGKILL)
    assert end().code == -signal.SIGKILL


def is_read_by(user: int, pid: int, file: str) -> bool:
    """Whether a process of that user can read a file about another."""
    read = ["head", "-c", "1", f"/proc/{pid}/{file}"]
    return subprocess.run(read, user=user, group=user, extra_groups=[], capture_output=True).returncode == 0


def tree_of(pid: int) -> list[int]:
    """The processes below one, each before its own."""
    found = []
    for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split():
        found += [int(child), *tree_of(int(child))]
    return found
