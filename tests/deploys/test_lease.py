"""A host is held by one run at a time. Its shell is this machine's."""

from __future__ import annotations

import subprocess
from pathlib import Path
from types import SimpleNamespace
from typing import cast

import msgspec
import pytest
from pyinfra.api.host import Host

from deploys.facts.survey import Lease, parse
from deploys.kit.holder import holder
from deploys.operations import lease
from deploys.operations.fail import StepError
from deploys.operations.run import Ran
from tests.deploys.kit.test_holder import another
from tests.deploys.test_patch_refusals import SURVEY

HOST = cast(Host, SimpleNamespace(name="one"))


@pytest.fixture(autouse=True)
def file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The lease, in a folder of the test's."""

    def ran(_: Host, script: str) -> Ran:
        done = subprocess.run(["sh", "-c", script], capture_output=True, text=True, timeout=60)
        lines = (done.stderr or done.stdout).splitlines()
        return Ran(done.returncode == 0, done.stdout.rstrip("\n"), lines[-1] if lines else "")

    path = tmp_path / "host" / "lease.json"
    monkeypatch.setattr(lease, "LEASE", str(path))
    monkeypatch.setattr(lease, "ran", ran)
    return path


def held(file: Path) -> Lease:
    """What the host tells of it."""
    return msgspec.json.decode(file.read_bytes(), type=Lease)


def test_a_host_that_cannot_be_held_is_told_apart_from_one_that_is(file: Path) -> None:
    """Its disk is full, or what is there is no folder."""
    file.parent.touch()
    with pytest.raises(StepError, match=r"the host cannot be held against others: .*cannot create directory"):
        lease.take(HOST, holder("patch"), 600)


def test_two_runs_of_one_person_exclude_each_other_until_one_is_gone(file: Path) -> None:
    """Whoever holds it may hold it for longer, and nobody else gives it back."""
    me = holder("patch")
    with another("patch") as (theirs, process):
        lease.take(HOST, theirs, 600)
        found = held(file)
        assert found.holder == theirs
        with pytest.raises(StepError, match="somebody else is at work on it: patch by ") as refused:
            lease.take(HOST, me, 600)
        assert theirs in str(refused.value)
        survey = parse(msgspec.json.encode({**SURVEY, "boot": found.boot, "lease": found}).decode())
        assert lease.taken(survey, me) == theirs
        lease.give_back(HOST, me)
        lease.take(HOST, theirs, 900)
        assert held(file).until > found.until
        process.kill()
    assert lease.taken(survey, me) is None
    lease.take(HOST, me, 600)
    assert held(file).holder == me
    with pytest.raises(StepError, match="somebody else is at work on it"):
        lease.take(HOST, theirs, 600)
    lease.give_back(HOST, me)
    assert not file.exists()


def test_what_holds_a_host_gives_it_back_however_it_ends(file: Path) -> None:
    """And does not begin where somebody else is at work."""
    with pytest.raises(ValueError, match="broken"), lease.held(HOST, "cleanup", 600):
        assert held(file).holder == holder("cleanup")
        raise ValueError("broken")
    assert not file.exists()
    lease.take(HOST, "patch by somebody@else", 600)
    with pytest.raises(StepError, match="somebody else"), lease.held(HOST, "cleanup", 600):
        raise AssertionError("it began")
    assert held(file).holder == "patch by somebody@else"


def test_a_lease_whose_time_is_over_is_nobodys(file: Path) -> None:
    """Whoever took it."""
    lease.take(HOST, "patch by somebody@else", -10)
    lease.take(HOST, holder("agent"), 600)
    assert held(file).holder == holder("agent")
