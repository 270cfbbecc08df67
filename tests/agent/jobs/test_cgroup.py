"""Whether the cgroup is the agent's own is found out; what groups do, tests/fleet/test_privilege.py sees."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from agent.jobs.cgroup import ENTER, Group, delegated, new_group
from tests.agent.jobs.programs import python


def proc(tmp_path: Path, own: str, mounted: Path, kind: str = "cgroup2") -> Path:
    """A /proc/self with these entries."""
    (tmp_path / "self").mkdir()
    (tmp_path / "self/cgroup").write_text(f"4:memory:/other\n0::{own}\n")
    (tmp_path / "self/mounts").write_text(f"proc /proc proc rw 0 0\ncgroup {mounted} {kind} rw 0 0\n")
    return tmp_path / "self"


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """The folder of a cgroup, as systemd marks one that it has given away."""
    folder = tmp_path / "cgroup/system.slice/hostward-agent.service"
    folder.mkdir(parents=True)
    (folder / "cgroup.procs").write_text("")
    try:
        os.setxattr(folder, "user.delegate", b"1")
    except OSError:
        pytest.skip("this file system has no extended attributes for users")
    return folder


def test_a_group_that_was_given_is_found(tmp_path: Path, own: Path) -> None:
    """By the agent's path in the second version's hierarchy, wherever that is mounted."""
    assert delegated(proc(tmp_path, "/system.slice/hostward-agent.service", tmp_path / "cgroup")) == own


def test_one_that_was_not_given_is_left_alone(tmp_path: Path, own: Path) -> None:
    """A shell's cgroup belongs to systemd, may root write to it or not."""
    os.removexattr(own, "user.delegate")
    assert delegated(proc(tmp_path, "/system.slice/hostward-agent.service", tmp_path / "cgroup")) is None


def test_the_first_version_has_none(tmp_path: Path, own: Path) -> None:
    """Nor a host without any."""
    found = proc(tmp_path, "/system.slice/hostward-agent.service", tmp_path / "cgroup", kind="cgroup")
    assert delegated(found) is None
    assert delegated(tmp_path / "nowhere") is None


def test_without_a_group_of_its_own_there_are_none_for_programs() -> None:
    """They run all the same: this very process is such a one, unless it runs in a unit with Delegate=."""
    assert (new_group() is None) == (delegated() is None)


def test_a_shell_enters_and_becomes_the_program(tmp_path: Path) -> None:
    """The command reaches it word for word, and a group that cannot be entered is no obstacle."""
    entrance = tmp_path / "cgroup.procs"
    code = "import subprocess, sys; sys.exit(subprocess.run(sys.argv[1:]).returncode)"
    for place in (entrance, tmp_path / "none/cgroup.procs"):
        words = ["sh", "-c", ENTER, "sh", str(place), "printf", "%s|", "a b", "$HOME", "'", ""]
        output, _ = python(code, *words).communicate(timeout=60)
        assert output == "a b|$HOME|'||"
    assert entrance.read_text() == "0\n"


def test_a_group_that_is_gone_is_gone(tmp_path: Path) -> None:
    """Killing and removing what is not there any more is no error."""
    group = Group(tmp_path / "gone")
    group.kill()
    group.remove()
