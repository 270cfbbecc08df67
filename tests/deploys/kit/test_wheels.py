"""Wheels for hosts of other kinds than this machine."""

from __future__ import annotations

from pathlib import Path

import pytest
from packaging.tags import Tag
from packaging.utils import parse_wheel_filename

from deploys.kit.source import find_source
from deploys.kit.wheels import Target, WheelsError, applicable

DEBIAN_12 = Target((3, 11), "x86_64", "glibc", (2, 36))
RHEL_9 = Target((3, 12), "aarch64", "glibc", (2, 34))
LOCK = """\
# A comment.
here==1.0 ; sys_platform == 'linux' and python_full_version < '3.12' \\
    --hash=sha256:aa \\
    --hash=sha256:bb
    # via something
there==2 ; platform_machine == 'aarch64' \\
    --hash=sha256:cc
never==3 ; sys_platform == 'win32' or implementation_name == 'pypy' --hash=sha256:dd
"""


def test_a_lock_is_judged_for_the_host_and_not_for_this_machine() -> None:
    """With all its digests."""
    assert applicable(LOCK, DEBIAN_12.markers) == "here==1.0 --hash=sha256:aa --hash=sha256:bb\n"
    assert applicable(LOCK, RHEL_9.markers) == "there==2 --hash=sha256:cc\n"
    with pytest.raises(WheelsError, match="the lock's entry odd==1 cannot be read"):
        applicable("odd==1 ; sys_platform ~ 3 --hash=sha256:aa", RHEL_9.markers)


def test_the_platforms_of_a_host_are_those_of_its_c_library_and_older_ones() -> None:
    """Newest first, with the old names of some."""
    assert RHEL_9.platforms[0] == "manylinux_2_34_aarch64"
    assert {"manylinux2014_aarch64", "manylinux_2_17_aarch64"} < set(RHEL_9.platforms)
    assert "manylinux_2_35_aarch64" not in RHEL_9.platforms
    assert Target((3, 12), "x86_64", "musl", (1, 2)).platforms == [f"musllinux_1_{n}_x86_64" for n in (2, 1, 0)]
    wheel = "cryptography-50.0.2-cp311-abi3-manylinux_2_34_aarch64.whl"
    assert Tag("cp311", "abi3", RHEL_9.platforms[0]) in parse_wheel_filename(wheel)[3]


def test_what_there_is_not_is_refused_with_what_there_is(repository: Path, tmp_path: Path) -> None:
    """A version, a checkout, an extra."""
    with pytest.raises(WheelsError, match=r"has no tag v99\.0: fetch the tag, or name a checkout"):
        find_source("99.0", None)
    with pytest.raises(WheelsError, match="is no checkout of Hostward: No such file"):
        _ = find_source(None, str(tmp_path)).version
    with pytest.raises(WheelsError, match=r"is version .+; expected 99\.0"):
        find_source("99.0", str(repository))
    with pytest.raises(WheelsError, match=r'no extra "postgres"; expected some of: .*postgresql'):
        find_source(None, None).lock("agent", ("postgres",))


def test_a_collectors_lock_has_all_of_an_agents() -> None:
    """With the units and drivers that it asks for."""
    source = find_source(None, None)
    agents, homes = source.lock("agent", ("redis",)), source.lock("collector", ("redis",))
    names = {line.partition("==")[0] for line in applicable(agents, DEBIAN_12.markers).splitlines()}
    assert {"cryptography", "redis"} <= names
    assert names <= {line.partition("==")[0] for line in applicable(homes, DEBIAN_12.markers).splitlines()}
    assert source.units("collector").keys() - source.units("agent").keys() == {"hostward-collector.service"}
