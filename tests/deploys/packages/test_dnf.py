"""A real dnf on a system in a folder, with a repository of the tests' own: planned, saved, installed and put back."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

import pytest

from deploys.operations.packages.contract import Change, Offer, PackagesError
from deploys.operations.packages.dnf import DNF, Dnf
from tests.require import require_program, require_root

SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: x
License: x
BuildArch: noarch
{more}
%description
x
%files
"""
PACKAGES = (
    ("editor", "1.0", ""),
    ("library", "1.0", ""),
    ("lost", "1.0", ""),
    ("editor", "1.1", "Requires: a-package-with-a-name-that-is-longer-than-what-a-row-has-place-for"),
    ("library", "1.1", ""),
    ("lost", "1.1", ""),
    ("a-package-with-a-name-that-is-longer-than-what-a-row-has-place-for", "1.0", ""),
)
NEW = "a-package-with-a-name-that-is-longer-than-what-a-row-has-place-for.noarch"
ADVISORY = """<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="x" status="final" type="security" version="1"><id>TEST-2026:1</id><title>x</title>
<issued date="2026-01-01 00:00:00"/><severity>Important</severity><summary>x</summary><description>x</description>
<pkglist><collection short="x"><name>x</name>
<package name="library" version="1.1" release="1" epoch="0" arch="noarch">
<filename>library-1.1-1.noarch.rpm</filename>
</package></collection></pkglist></update></updates>
"""


def sh(lines: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run them. Debian's rpm keeps its database in the home of whoever runs it."""
    return subprocess.run(
        ["sh", "-c", lines],
        cwd=folder,
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(folder)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


@pytest.fixture
def system(tmp_path: Path) -> Path:
    """The root of a system with packages of version 1.0; its repository has newer ones, too, and `lost` no longer."""
    require_root()
    for program in ("dnf", "rpm", "rpmbuild", "createrepo_c", "modifyrepo_c"):
        require_program(program)
    repository, root = tmp_path / "repository", tmp_path / "system"
    for name, version, more in PACKAGES:
        spec = tmp_path / f"{name}-{version}.spec"
        spec.write_text(SPEC.format(name=name, version=version, more=more))
    built = sh(
        "set -e; for spec in *.spec; do "
        f"rpmbuild --quiet -bb -D '_topdir {tmp_path}/build' -D '_rpmdir {repository}' $spec; done; "
        f"mkdir -p {root}/etc/yum.repos.d {root}/var/tmp {root}/proc; cd {repository}/noarch; "
        f"rpm --root {root} -i --nodeps editor-1.0-*.rpm library-1.0-*.rpm lost-1.0-*.rpm; rm lost-1.0-*.rpm",
        tmp_path,
    )
    assert built.returncode == 0, built.stderr
    (tmp_path / "updateinfo.xml").write_text(ADVISORY)
    made = sh("createrepo_c -q repository && modifyrepo_c updateinfo.xml repository/repodata", tmp_path)
    assert made.returncode == 0, made.stderr
    (root / "etc/yum.repos.d/test.repo").write_text(
        f"[test]\nname=test\nbaseurl=file://{repository}\nenabled=1\ngpgcheck=0\n"
    )
    return root


def test_a_real_dnf_is_patched_and_put_back(system: Path, tmp_path: Path) -> None:
    """With what security asks for told apart, a new dependency, and a package that no repository has any more."""
    dnf = Dnf(str(system))
    assert sh(dnf.refresh(), tmp_path).returncode == 0
    assert sh(dnf.sane(), tmp_path).stdout == ""
    offered = dnf.parse_offered(sh(dnf.offered(), tmp_path).stdout)
    editor = Change("editor.noarch", "1.0-1", "1.1-1")
    library = Change("library.noarch", "1.0-1", "1.1-1", security=True)
    lost = Change("lost.noarch", "1.0-1", "1.1-1")
    assert offered == Offer((editor, library, lost))
    chosen = dnf.parse_chosen(sh(dnf.chosen([dnf.exact(editor), dnf.exact(library)]), tmp_path).stdout)
    changes = sorted(chosen.changes, key=lambda change: change.name)
    assert [str(change) for change in changes] == [f"{NEW} none to 1.0-1", str(editor), str(library)]

    saved = tmp_path / "saved"
    saved.mkdir()
    lines = sh(dnf.save([*changes, lost], str(saved)), tmp_path).stdout.splitlines()
    assert sorted(lines) == ["editor.noarch 0:1.0-1", "library.noarch 0:1.0-1"]

    names = [change.name for change in changes]
    before = dnf.parse_versions(sh(dnf.versions(names), tmp_path).stdout)
    assert before == {change.name: change.before for change in changes}
    installed = sh(dnf.install(changes, str(saved), 10), tmp_path)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    assert dnf.parse_versions(sh(dnf.versions(names), tmp_path).stdout) == {c.name: c.after for c in changes}
    undone = sh(dnf.undo(changes, str(saved), 10), tmp_path)
    assert undone.returncode == 0, undone.stdout + undone.stderr
    assert dnf.parse_versions(sh(dnf.versions(names), tmp_path).stdout) == before


def test_a_security_update_that_a_newer_version_hides_is_told_of_dnf() -> None:
    """Its advisory names the version that is to be had for security."""
    said = (
        "shop.noarch 1.2-1 updates\nwhole.noarch 1.1-1 updates\n== 100\n"
        "shop.noarch 1.1-1 updates\nwhole.noarch 1.1-1 updates\n== 100\n"
        "shop.noarch 0:1.0-1\nwhole.noarch 0:1.0-1\n== 0\n"
    )
    found = DNF.parse_offered(said)
    whole = Change("whole.noarch", "1.0-1", "1.1-1", security=True)
    assert found.changes == (Change("shop.noarch", "1.0-1", "1.2-1"), whole)
    assert found.for_security() == (Change("shop.noarch", "1.0-1", "1.1-1", security=True), whole)


def test_a_dnf_that_fails_says_why() -> None:
    """In its own words."""
    said = "Error: Failed to download metadata for repo 'test'\n== 1\n== 1\n== 0\n"
    with pytest.raises(PackagesError, match="Failed to download metadata for repo 'test'"):
        DNF.parse_offered(said)
    with pytest.raises(PackagesError, match="Error: Unable to find a match: x"):
        DNF.parse_chosen("== 0\nError: Unable to find a match: x\n== 1\n")
