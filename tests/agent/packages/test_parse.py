"""The books of package managers: recorded, and made up by chance."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from agent.checks.packages import UpdatesMemory
from agent.packages import parse
from agent.packages.parse import Installed
from wire import fit
from wire.packages import Package, Packages, PendingUpdate

STATUS = """\
Package: libc6
Status: install ok installed
Architecture: amd64
Multi-Arch: same
Version: 2.36-9+deb12u4
Description: GNU C Library
 Package: not a field

Package: gone
Status: deinstall ok config-files
Architecture: amd64
Version: 1.0

Package: kept
Status: hold ok installed
Architecture: all
Version: 1:3

Package: broken
Status: install ok half-configured
Architecture: all
Version: 1

Package: waits
Status: install ok triggers-awaited
Architecture: i386
Version: 2"""
STATES = """\
Package: libc6
Architecture: amd64
Auto-Installed: 1

Package: kept
Architecture: amd64
Auto-Installed: 1

Package: waits
Architecture: amd64
Auto-Installed: 1

Package: other
Auto-Installed: 0
"""


def test_dpkgs_book_tells_what_is_whole_and_apts_what_others_brought() -> None:
    """Another architecture's is another package; what is for all stands under the host's own."""
    installed = list(parse.dpkg(STATUS.splitlines(keepends=True)))
    assert installed == [
        Installed("libc6", "2.36-9+deb12u4", "amd64"),
        Installed("kept", "1:3", "all"),
        Installed("waits", "2", "i386"),
    ]
    assert parse.of_apt(installed, parse.apt_automatic(STATES.splitlines())) == [
        Package("libc6", "2.36-9+deb12u4", "amd64", manual=False),
        Package("kept", "1:3", "all", manual=False),
        Package("waits", "2", "i386", manual=True),
    ]


def test_rpms_and_dnfs_books_are_read() -> None:
    """Epochs as dnf shows them; without dnf's book everything counts as asked for."""
    installed = parse.rpm(
        "kernel-core\t5.14.0-2\tx86_64\t200\nkernel-core\t5.14.0-1\tx86_64\t100\n"
        "vim-minimal\t2:8.2-20\tx86_64\t50\nbash\t0:5.1-9\tx86_64\t40\ngpg-pubkey\t8483c65d-5ccc5b19\t(none)\t1\nodd\n"
    )
    assert [(each.name, each.version) for each in installed] == [
        ("bash", "5.1-9"),
        ("vim-minimal", "2:8.2-20"),
        ("kernel-core", "5.14.0-1"),
        ("kernel-core", "5.14.0-2"),
    ]
    book = "Packages installed by user\nvim-minimal-2:8.2-20.x86_64\nkernel-core-5.14.0-2.x86_64\n"
    assert [each.manual for each in parse.of_dnf(installed, book)] == [False, True, False, True]
    assert all(each.manual for each in parse.of_dnf(installed, None))


def test_what_waits_is_what_was_seen_without_what_was_done_since() -> None:
    """An update that was installed or whose package is gone no longer waits."""
    memory = UpdatesMemory(
        security={"openssl": 9.0, "libc6:i386": 5.0},
        pending={
            "openssl": ("1.1", 9.0),
            "done": ("2", 8.0),
            "gone": ("2", 8.0),
            "libc6:i386": ("2.37", 5.0),
            "kernel-core": ("0:5.14.0-3", 1.0),
        },
    )
    installed = [
        Package("openssl", "1.0"),
        Package("done", "2"),
        Package("libc6", "2.36"),
        Package("kernel-core", "5.14.0-1"),
        Package("kernel-core", "5.14.0-2"),
    ]
    assert parse.waiting(memory, installed) == [
        PendingUpdate("openssl", "1.0", "1.1", True, 9.0),
        PendingUpdate("libc6", "2.36", "2.37", True, 5.0),
        PendingUpdate("kernel-core", "5.14.0-2", "5.14.0-3", False, 1.0),
    ]


@settings(max_examples=50)
@given(st.lists(st.text(max_size=40) | st.sampled_from(STATUS.splitlines()), max_size=20), st.text(max_size=200))
def test_whatever_books_hold_is_read(lines: list[str], output: str) -> None:
    """Nothing raises, and what is found can be sent."""
    found = parse.of_apt(parse.dpkg(lines), parse.apt_automatic(lines)) + parse.of_dnf(parse.rpm(output), output)
    assert len(fit.packages(Packages(manager="apt", installed=found)).installed) == len(found)
