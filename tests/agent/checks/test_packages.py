"""What package managers and the kernel's files say of updates: recorded, and made up by chance."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.checks.packages import (
    EXIT,
    PackagesError,
    Pending,
    deleted_libraries,
    parse_apt,
    parse_dnf,
    parse_held,
    since,
    unit_of,
)

# apt 2.6 on Debian 12, with lines as Ubuntu 22.04 has them.
APT = """\
Inst base-files [12.4+deb12u11] (12.4+deb12u15 Debian:12.15/oldstable [amd64])
Conf base-files (12.4+deb12u15 Debian:12.15/oldstable [amd64])
Inst libexpat1-dev [2.5.0-1+deb12u1] (2.5.0-1+deb12u5 Debian-Security:12/oldstable-security [amd64]) []
Inst libexpat1 [2.5.0-1+deb12u1] (2.5.0-1+deb12u5 Debian-Security:12/oldstable-security [amd64])
Inst linux-image-6.1.0-50-amd64 (6.1.200-1 Debian-Security:12/oldstable-security [amd64])
Inst openssl [3.0.2-0ubuntu1.10] (3.0.2-0ubuntu1.12 Ubuntu:22.04/jammy-updates, Ubuntu:22.04/jammy-security [amd64])
Inst vim [2:8.2.1] (2:8.2.2 UbuntuESMApps:22.04/jammy-apps-security [amd64])
Inst my-security-tool [1.0] (1.1 Own:1/stable [all])
Remv old [1.0]
"""

# dnf 4.14; `check-update` ends with 100 where there are updates.
DNF = f"""\

kernel-core.x86_64                    5.14.0-362.13.1.el9_3            baseos
openssl-libs.x86_64                   1:3.0.7-25.el9_3                 baseos
vim-minimal.x86_64                    2:8.2.2637-20.el9_1              baseos
Obsoleting Packages
old-thing.noarch                      1.0-1.el9                        appstream
{EXIT}100
RHSA-2023:7749 Important/Sec. kernel-core-5.14.0-362.13.1.el9_3.x86_64
RHSA-2023:1000 Moderate/Sec.  openssl-libs-1:3.0.7-24.el9.x86_64
FEDORA-2023-1  bugfix         vim-minimal-2:8.2.2637-20.el9_1.x86_64

{EXIT}0
"""


def test_apts_simulation_is_read() -> None:
    """Upgrades, not what is new; those for security by where they come from, not by their own name."""
    assert parse_apt(APT) == Pending(
        {
            "base-files": "12.4+deb12u15",
            "libexpat1-dev": "2.5.0-1+deb12u5",
            "libexpat1": "2.5.0-1+deb12u5",
            "openssl": "3.0.2-0ubuntu1.12",
            "vim": "2:8.2.2",
            "my-security-tool": "1.1",
        },
        frozenset({"libexpat1-dev", "libexpat1", "openssl", "vim"}),
    )
    assert parse_apt("") == Pending()


def test_dnfs_lists_are_read() -> None:
    """An advisory for an earlier version counts, one that is not for security does not."""
    assert parse_dnf(DNF) == Pending(
        {
            "kernel-core": "5.14.0-362.13.1.el9_3",
            "openssl-libs": "1:3.0.7-25.el9_3",
            "vim-minimal": "2:8.2.2637-20.el9_1",
        },
        frozenset({"kernel-core", "openssl-libs"}),
    )
    assert parse_dnf(f"\n{EXIT}0\n\n{EXIT}0\n") == Pending()


@pytest.mark.parametrize(
    ("output", "message"),
    [
        (
            f"Cache-only enabled but no cache for 'baseos'\n{EXIT}1\n\n{EXIT}0\n",
            "Cache-only enabled but no cache for 'baseos'",
        ),
        (f"\n{EXIT}0\nError: no\n{EXIT}1\n", "Error: no"),
        (
            f"error: cannot open Packages database in \n{EXIT}0\n\n{EXIT}0\n",
            "error: cannot open Packages database in ",
        ),
        ("sh: 1: dnf: not found\n", "sh: 1: dnf: not found"),
        ("", "it did not say why"),
    ],
)
def test_dnf_that_fails_is_an_error(output: str, message: str) -> None:
    """With what it said."""
    with pytest.raises(PackagesError) as refused:
        parse_dnf(output)
    assert str(refused.value) == message


def test_packages_on_hold_are_those_that_are_installed() -> None:
    """By dpkg's own file."""
    status = [
        *("Package: vim\n", "Status: hold ok installed\n", "\n"),
        *("Package: gone\n", "Status: hold ok config-files\n", "\n"),
        *("Package: bash\n", "Status: install ok installed\n", "\n"),
        *("Package: apt\n", "Status: hold ok installed\n"),
    ]
    assert parse_held(status) == ["apt", "vim"]


MAPS = """\
55d0a4e00000-55d0a4e20000 r--p 00000000 fe:01 1234    /usr/sbin/nginx (deleted)
55d0a4e20000-55d0a4f00000 r-xp 00020000 fe:01 1234    /usr/sbin/nginx (deleted)
7f0000000000-7f0000100000 r-xp 00000000 fe:01 1235    /usr/lib/x86_64-linux-gnu/libssl.so.3 (deleted)
7f0000200000-7f0000300000 r-xp 00000000 fe:01 1236    /usr/lib/x86_64-linux-gnu/libc.so.6
7f0000400000-7f0000500000 rw-s 00000000 00:01 1237    /usr/share/data (deleted)
7f0000500000-7f0000600000 r-xp 00000000 00:01 1238    /memfd:jit (deleted)
7f0000600000-7f0000700000 r-xp 00000000 00:01 1239    /tmp/with space (deleted)
7ffc00000000-7ffc00010000 r-xp 00000000 00:00 0       [vdso]
"""


def test_what_was_replaced_is_what_ran_from_the_systems_folders() -> None:
    """Code, not data, and nothing that programs make and remove themselves."""
    assert deleted_libraries(MAPS) == ["/usr/lib/x86_64-linux-gnu/libssl.so.3", "/usr/sbin/nginx"]


@pytest.mark.parametrize(
    ("cgroup", "unit"),
    [
        ("0::/system.slice/nginx.service\n", "nginx.service"),
        ("12:pids:/x\n0::/user.slice/user-0.slice/session-3.scope\n", "session-3.scope"),
        ("0::/user.slice/user@0.service/app.slice/a.service/sub\n", "a.service"),
        ("0::/\n", ""),
        ("", ""),
    ],
)
def test_a_process_belongs_to_the_innermost_unit(cgroup: str, unit: str) -> None:
    """Of whichever hierarchy says it."""
    assert unit_of(cgroup) == unit


def test_waiting_begins_when_an_update_is_first_seen() -> None:
    """It ends with the update, and a clock that was set back makes nobody wait from the future on."""
    assert since({"a": 5.0, "gone": 1.0, "later": 99.0}, ["a", "b", "later"], 10.0) == {
        "a": 5.0,
        "b": 10.0,
        "later": 10.0,
    }


@given(st.text() | st.lists(st.sampled_from([*APT.split(), *DNF.split(), "\n", " ", EXIT])).map(" ".join))
def test_any_text_is_read_or_refused(text: str) -> None:
    """With the one error that is documented, and security is never more than all."""
    found = parse_apt(text)
    assert found.security <= found.names.keys()
    try:
        found = parse_dnf(text)
    except PackagesError:
        pass
    else:
        assert found.security <= found.names.keys()
    deleted_libraries(text)
    unit_of(text)
    parse_held(text.splitlines())
