"""What apt and dpkg print, read."""

from __future__ import annotations

import pytest

from deploys.operations.packages.apt import APT
from deploys.operations.packages.contract import Change, Offer, PackagesError

UPGRADE = """\
Reading package lists...
The following NEW packages will be installed:
  newdep
The following packages have been kept back:
  held
  slow
The following upgrades have been deferred due to phasing:
  later
The following packages will be upgraded:
  libc6:i386 shop
Inst libc6:i386 [2.36-9] (2.36-10 Debian:12/stable [i386]) []
Inst newdep (1.0 Debian:12/stable [all])
Inst shop [1.0] (1.1 Debian:12/stable-updates, Debian-Security:12/stable-security [all])
Conf shop (1.1 Debian-Security:12/stable-security [all])
exit 0
held
other
"""


def test_an_upgrade_tells_what_changes_what_is_held_and_what_is_deferred() -> None:
    """With what comes from where security updates do, also where it comes from elsewhere as well."""
    assert APT.parse_offered(UPGRADE) == Offer(
        (
            Change("libc6:i386", "2.36-9", "2.36-10"),
            Change("newdep", None, "1.0"),
            Change("shop", "1.0", "1.1", security=True),
        ),
        held=("held",),
        deferred=("later", "slow"),
    )


def test_a_security_update_that_a_newer_version_hides_is_told() -> None:
    """The newest of them, and none where the newest of all is for security."""
    hidden = (
        "Inst shop [1.0] (1.4 Debian:12/stable [all])\n"
        "Inst whole [1.0] (1.2 Debian-Security:12/stable-security [all])\n"
        "Older Inst shop [1.0] (1.3 Debian:12/stable-updates [all])\n"
        "Older Inst shop [1.0] (1.2 Debian-Security:12/stable-security [all])\n"
        "Older Inst shop [1.0] (1.1 Debian-Security:12/stable-security [all])\n"
        "Older Inst whole [1.0] (1.1 Debian-Security:12/stable-security [all])\n"
        "exit 0\n"
    )
    found = APT.parse_offered(hidden)
    assert found.changes == (Change("shop", "1.0", "1.4"), Change("whole", "1.0", "1.2", security=True))
    assert found.hidden == (Change("shop", "1.0", "1.2", security=True),)
    assert found.newest() == found.changes
    deferred = (
        "The following upgrades have been deferred due to phasing:\n  shop\n"
        "Older Inst shop [1.0] (1.2 Debian-Security:12/stable-security [all])\nexit 0\n"
    )
    found = APT.parse_offered(deferred)
    assert (found.changes, found.deferred) == ((), ("shop",))
    assert found.newest() == found.for_security() == (Change("shop", "1.0", "1.2", security=True),)


def test_what_would_go_is_told() -> None:
    """So that it can be refused."""
    assert APT.parse_chosen("Remv old [1.0]\nInst new [1] (2 Debian:12/stable [all])\nexit 0\n").removed == ("old",)


def test_a_failure_is_told_in_apts_words() -> None:
    """And never taken for there being nothing to update."""
    with pytest.raises(PackagesError, match="E: Unable to locate package x"):
        APT.parse_chosen("Reading package lists...\nE: Unable to locate package x\nexit 100\n")
    with pytest.raises(PackagesError, match="did not say why"):
        APT.parse_offered("")


def test_a_package_that_is_half_installed_has_no_version() -> None:
    """Whether it is on hold counts for nothing."""
    said = "shop ii  1.0\nheld hi  1.1\nhalf iF  1.2\nremoved rc  1.3\ngone \n"
    expected = {"shop": "1.0", "held": "1.1", "half": None, "removed": None, "gone": None}
    assert APT.parse_versions(said) == expected
