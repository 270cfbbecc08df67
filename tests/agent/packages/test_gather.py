"""What is installed, by real databases."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from agent.checks.packages import UpdatesMemory
from agent.packages import kept
from agent.packages.books import manager, stamp
from agent.packages.gather import PackagesError, gather
from agent.paths import System
from agent.state import State
from tests.agent.checks.tree import tree
from tests.agent.packages.support import saw
from tests.agent.packages.test_parse import STATES, STATUS
from tests.require import require_program, require_root

SPEC = """\
Name: editor
Version: 1.0
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
x
%files
"""


@pytest.fixture
def debian(tmp_path: Path) -> System:
    """A tree with dpkg's and apt's books."""
    tree(tmp_path / "root", {"var/lib/dpkg/status": STATUS, "var/lib/apt/extended_states": STATES})
    return System(tmp_path / "root")


def test_the_program_prints_what_is_installed_and_waits(debian: System, tmp_path: Path) -> None:
    """As the daemon keeps it: by dpkg's book, and by what the check of updates saw."""
    folder = tmp_path / "state"
    state = State.open(folder)
    saw(state, UpdatesMemory({"libc6": 7.0}, None, {"libc6": ("2.37", 7.0)}))
    state.close()
    words = [sys.executable, "-m", "agent.packages.gather", str(debian.root), str(folder)]
    done = subprocess.run(words, capture_output=True, timeout=60, check=True)
    found = kept.decode(done.stdout)
    assert [(each.name, each.manual) for each in found.installed] == [
        ("kept", False),
        ("libc6", False),
        ("waits", True),
    ]
    assert [(each.name, each.installed, each.candidate, each.security) for each in found.pending or ()] == [
        ("libc6", "2.36-9+deb12u4", "2.37", True)
    ]


def test_where_nobody_has_looked_what_waits_is_not_known(debian: System) -> None:
    """Which is another thing than that nothing does."""
    assert gather(debian, None).pending is None
    assert gather(debian, UpdatesMemory()).pending == []


def test_the_books_tell_by_their_times_that_they_changed(debian: System) -> None:
    """Also apt's own, where only the reason for a package changed."""
    before = stamp(debian)
    assert stamp(debian) == before
    debian.path("var/lib/apt/extended_states").write_text(STATES + "\n")
    assert stamp(debian) != before


def test_a_host_without_books_is_told_so(tmp_path: Path) -> None:
    """In one sentence."""
    assert (manager(System(tmp_path)), stamp(System(tmp_path))) == (None, "")
    with pytest.raises(PackagesError, match=r"neither dpkg's nor rpm's database"):
        gather(System(tmp_path), None)


def test_a_real_rpm_says_what_is_installed(tmp_path: Path) -> None:
    """And a real dnf, where there is one, who asked for it."""
    require_root()
    for program in ("rpm", "rpmbuild"):
        require_program(program)
    (tmp_path / "editor.spec").write_text(SPEC)
    words = ["rpmbuild", "-bb", "-D", f"_topdir {tmp_path}", str(tmp_path / "editor.spec")]
    subprocess.run(words, capture_output=True, timeout=60, check=True)
    (package,) = tmp_path.rglob("*.rpm")
    root = tmp_path / "root"
    (root / "var/lib/rpm").mkdir(parents=True)
    # Debian's rpm keeps its database elsewhere than systems of rpm's own do.
    database = ["-D", "_dbpath /var/lib/rpm"]
    subprocess.run(
        ["rpm", "--root", str(root), *database, "-i", "--nodeps", str(package)],
        capture_output=True,
        timeout=60,
        check=True,
    )
    found = gather(System(root), UpdatesMemory(pending={"editor": ("1.1-1", 5.0)}))
    assert found.manager == "dnf"
    assert [(each.name, each.version, each.architecture) for each in found.installed] == [
        ("editor", "1.0-1", "noarch")
    ]
    assert [(each.installed, each.candidate) for each in found.pending or ()] == [("1.0-1", "1.1-1")]
