"""Updates: a real apt and a real dnf on repositories of the tests' own, and what files say."""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path

import pytest

from agent.checks.contract import CheckError, Context, Finished, Sample
from agent.checks.packages import Pending, UpdatesMemory
from agent.checks.runner import Plan, judge
from agent.checks.updates import (
    APT,
    DNF,
    Host,
    Updates,
    UpdatesOptions,
    derive,
    look,
    reboot_reason,
    services_to_restart,
)
from agent.paths import System
from tests.agent.checks import test_packages
from tests.agent.checks.tree import NOW, said, tree, values
from tests.require import require_program, require_root

DAY = 86400.0
NOBODY = 65534


def run(*argv: str | Path, cwd: Path, user: int = 0, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        argv,
        cwd=cwd,
        user=user,
        # Debian's rpm keeps its database in the home of whoever runs it.
        env={"PATH": os.environ["PATH"], "LANG": "C.UTF-8", "HOME": str(cwd), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=100,
    )


def parsed(check: Updates, system: System, done: subprocess.CompletedProcess[str]) -> Sample:
    return check.parse(Context(system=system, now=NOW), Finished(done.returncode, done.stdout, done.stderr))


CONTROL = "Package: {name}\nVersion: {version}\nArchitecture: all\nMaintainer: Test <t@example.com>\nDescription: x\n"
MORE = {("stable", "phased"): "Phased-Update-Percentage: 0\n", ("stable", "blocked"): "Depends: nowhere\n"}
"""Why a version is not to be had: it is for other hosts first, or needs what there is not."""
INSTALLED = {
    **dict.fromkeys(("editor", "library", "current", "hiding", "phased", "blocked"), "install"),
    "kept": "hold",
}
SUITES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "stable": (
        "Debian",
        {"editor": "1.1", "current": "1.0", "kept": "2.0", "hiding": "1.2", "phased": "1.2", "blocked": "1.2"},
    ),
    "stable-security": ("Debian-Security", {"library": "1.1", "hiding": "1.1", "blocked": "1.1", "kept": "1.1"}),
}


@pytest.fixture
def apt_root(place: Path) -> Path:
    """A root of apt's, with packages that are installed, and a repository of two suites with newer ones."""
    require_root()
    for program in ("apt-get", "dpkg-deb", "apt-ftparchive"):
        require_program(program)
    sources = []
    for suite, (label, packages) in SUITES.items():
        folder = place / "repository" / suite
        for name, version in packages.items():
            (folder / name / "DEBIAN").mkdir(parents=True)
            control = CONTROL.format(name=name, version=version) + MORE.get((suite, name), "")
            (folder / name / "DEBIAN/control").write_text(control)
            assert run("dpkg-deb", "-b", name, f"{name}.deb", cwd=folder).returncode == 0
        (folder / "Packages").write_text(run("apt-ftparchive", "packages", ".", cwd=folder).stdout)
        options = {"Origin": label, "Label": label, "Suite": suite, "Version": "12"}
        words = [
            word for key, value in options.items() for word in ("-o", f"APT::FTPArchive::Release::{key}={value}")
        ]
        (folder / "Release").write_text(run("apt-ftparchive", *words, "release", ".", cwd=folder).stdout)
        sources.append(f"deb [trusted=yes] file:{folder} ./")
    status = "\n".join(
        f"{CONTROL.format(name=name, version='1.0')}Status: {want} ok installed\n" for name, want in INSTALLED.items()
    )
    for name in ("etc/apt/apt.conf.d", "var/lib/apt/lists/partial", "var/cache/apt/archives/partial"):
        (place / name).mkdir(parents=True)
    tree(
        place,
        {
            "etc/apt/sources.list": "\n".join(sources),
            "var/lib/dpkg/status": status,
            "usr/bin/apt-get": "x",
            "etc/machine-id": "b" * 32,
        },
    )
    (place / "proc").mkdir()
    (place / "apt.conf").write_text(
        f'Dir "{place}";\nDir::State::status "{place}/var/lib/dpkg/status";\nAPT::Sandbox::User "root";\n'
    )
    done = run("apt-get", "-q", "update", cwd=place, APT_CONFIG=str(place / "apt.conf"))
    assert done.returncode == 0, done.stderr
    return place


def test_a_real_apt_is_asked_by_a_user_without_rights(apt_root: Path) -> None:
    """It says what would be upgraded, without a lock, and changes nothing."""
    before = {path: path.stat().st_mtime_ns for path in apt_root.rglob("*")}
    system = System(apt_root)
    check = Updates(UpdatesOptions())
    argv = check.command(Context(system=system, now=NOW)).argv
    done = run(*argv, cwd=apt_root, user=NOBODY, APT_CONFIG=str(apt_root / "apt.conf"))
    assert done.returncode == 0, done.stderr
    sample = parsed(check, system, done)
    found = values(sample)
    assert (found["updates_pending"], found["updates_security"], found["updates_held"]) == (4, 3, 1)
    # Also what hides below a newer version that is not for security, or that cannot be had.
    assert sample.summary == "4 updates, 3 of them for security: blocked, hiding, library, held: kept"
    assert isinstance(sample.memory, UpdatesMemory)
    assert {name: version for name, (version, _) in sample.memory.pending.items()} == {
        "blocked": "1.1",
        "editor": "1.1",
        "hiding": "1.2",
        "library": "1.1",
    }
    assert found["updates_lists_age_seconds"] >= 0
    assert {path: path.stat().st_mtime_ns for path in apt_root.rglob("*")} == before
    for file in (apt_root / "var/lib/apt/lists").glob("*Packages*"):
        file.unlink()
    assert said(parsed(check, system, done)) == [("unknown", "the host has no lists of what updates there are")]


def test_a_real_apt_that_fails_makes_the_check_unknown(apt_root: Path) -> None:
    """With what it says."""
    (apt_root / "etc/apt/sources.list").write_text("nonsense")
    check = Updates(UpdatesOptions())
    argv = check.command(Context(system=System(apt_root), now=NOW)).argv
    done = run(*argv, cwd=apt_root, user=NOBODY, APT_CONFIG=str(apt_root / "apt.conf"))
    with pytest.raises(CheckError, match=r"apt failed: E: (Malformed|Type 'nonsense')"):
        parsed(check, System(apt_root), done)


SPEC = """
Name: {name}
Version: {version}
Release: 1
Summary: x
License: x
BuildArch: noarch
%description
x
%files
"""
ADVISORY = """<?xml version="1.0" encoding="UTF-8"?>
<updates><update from="x" status="final" type="security" version="1"><id>TEST-2026:1</id><title>x</title>
<issued date="2026-01-01 00:00:00"/><severity>Important</severity><summary>x</summary><description>x</description>
<pkglist><collection short="x"><name>x</name>
<package name="library" version="1.1" release="1" epoch="0" arch="noarch">
<filename>library-1.1-1.noarch.rpm</filename>
</package></collection></pkglist></update></updates>
"""


@pytest.fixture
def dnf_root(place: Path) -> Path:
    """A root of dnf's, with packages that are installed, and a cached repository with newer ones and an advisory."""
    require_root()
    for program in ("dnf", "rpm", "rpmbuild", "createrepo_c", "modifyrepo_c"):
        require_program(program)
    repository = place / "repository"
    build = place / "build"
    build.mkdir()
    for name, version in (("editor", "1.0"), ("library", "1.0"), ("editor", "1.1"), ("library", "1.1")):
        spec = build / f"{name}.spec"
        spec.write_text(SPEC.format(name=name, version=version))
        target = build if version == "1.0" else repository
        done = run("rpmbuild", "-bb", "-D", f"_topdir {build}", "-D", f"_rpmdir {target}", spec, cwd=build)
        assert done.returncode == 0, done.stderr
    assert run("createrepo_c", repository, cwd=place).returncode == 0
    (place / "updateinfo.xml").write_text(ADVISORY)
    assert run("modifyrepo_c", place / "updateinfo.xml", repository / "repodata", cwd=place).returncode == 0
    root = place / "root"
    tree(
        root,
        {
            "etc/yum.repos.d/test.repo": f"[test]\nname=test\nbaseurl=file://{repository}\nenabled=1\ngpgcheck=0\n",
            "usr/bin/dnf": "x",
            "var/cache/dnf/": "",
            "var/tmp/": "",
            "proc/": "",
        },
    )
    (root / "var/tmp").chmod(0o1777)  # where dnf keeps the log of a user
    done = run("rpm", "--root", root, "-i", "--nodeps", *sorted(build.rglob("*.rpm")), cwd=place)
    assert done.returncode == 0, done.stderr
    done = run(*DNF_HERE(root), "makecache", cwd=place)
    assert done.returncode == 0, done.stderr
    return root


def DNF_HERE(root: Path) -> list[str]:
    return [
        *("dnf", "-q", f"--installroot={root}", f"--setopt=cachedir={root}/var/cache/dnf", "--releasever=1"),
        f"--setopt=reposdir={root}/etc/yum.repos.d",
    ]


def test_a_real_dnf_is_asked_by_a_user_without_rights(dnf_root: Path) -> None:
    """From its cache; the folders are those of the test's root instead of the host's."""
    here = " ".join([*DNF_HERE(dnf_root), "--cacheonly"])
    script = DNF.replace("dnf -q --cacheonly --setopt=cachedir=/var/cache/dnf", here)
    assert script.count(here) == 2
    done = run("sh", "-c", script, cwd=dnf_root.parent, user=NOBODY)
    sample = parsed(Updates(UpdatesOptions()), System(dnf_root), done)
    found = values(sample)
    assert (found["updates_pending"], found["updates_security"]) == (2, 1), done.stdout
    assert sample.summary == "2 updates, 1 of them for security: library"
    for cached in (dnf_root / "var/cache/dnf").iterdir():
        shutil.rmtree(cached) if cached.is_dir() else cached.unlink()
    done = run("sh", "-c", script, cwd=dnf_root.parent, user=NOBODY)
    sample = parsed(Updates(UpdatesOptions()), System(dnf_root), done)
    assert said(sample) == [("unknown", "the host has no lists of what updates there are")]


def test_the_hosts_own_manager_is_asked(tmp_path: Path) -> None:
    """apt where dpkg has packages, else dnf; a host without either has no such check."""
    assert Updates.default(System(tmp_path)) is None
    with pytest.raises(CheckError, match="this host has neither apt nor dnf"):
        Updates(UpdatesOptions()).command(Context(system=System(tmp_path), now=NOW))
    system = tree(tmp_path, {"usr/bin/apt-get": "x", "usr/bin/dnf": "x", "var/lib/dpkg/status": ""})
    assert Updates.default(system) is None  # nobody has looked for updates yet
    tree(tmp_path, {"var/cache/dnf/baseos-1/repodata/": ""})
    assert Updates.default(system) == UpdatesOptions()
    context = Context(system=system, now=NOW)
    assert Updates(UpdatesOptions()).command(context).argv[:2] == ["sh", "-c"]
    assert Updates(UpdatesOptions(manager="apt")).command(context).argv == ["sh", "-c", APT]
    tree(tmp_path, {"var/lib/dpkg/status": "Package: x\n"})
    assert Updates(UpdatesOptions()).command(context).argv == ["sh", "-c", APT]
    assert Updates(UpdatesOptions(manager="dnf")).command(context).argv[0] == "sh"


def test_recorded_output_is_read_with_what_files_say(tmp_path: Path) -> None:
    """Of dnf, with packages that its plugin locks; output that was cut off is said."""
    system = tree(
        tmp_path,
        {"usr/bin/dnf": "x", "etc/dnf/plugins/versionlock.list": "# own\nvim-2:8.2-1.*\n!no-1\n", "proc/": ""},
    )
    check = Updates(UpdatesOptions())
    context = Context(system=system, now=NOW)
    sample = check.parse(context, Finished(0, test_packages.DNF, "", truncated=True))
    assert values(sample)["updates_held"] == 1
    assert said(sample) == [
        ("unknown", "the host has no lists of what updates there are"),
        ("warning", "dnf printed more than can be read: there are more updates than are counted"),
    ]
    with pytest.raises(CheckError, match="dnf failed: it did not say why"):
        check.parse(context, Finished(0, "", ""))


def verdict(sample: Sample) -> tuple[str, str]:
    check = Updates(UpdatesOptions())
    judged = judge(Plan("updates", "updates", check, check.options), sample, None, now=NOW, ticks=1, duration=0)
    return judged.state.state, judged.state.message


@pytest.mark.parametrize(
    ("age", "state", "message"),
    [
        (0, "ok", "2 updates, 1 of them for security: b"),
        (2.9, "ok", "2 updates, 1 of them for security: b"),
        (3, "warning", "security updates have been waiting 3d, warning from 3d"),
        (14, "critical", "security updates have been waiting 14d, critical from 14d"),
    ],
)
def test_security_updates_may_wait_for_some_days(age: float, state: str, message: str) -> None:
    """By when they were first seen."""
    before = UpdatesMemory({"b": NOW - age * DAY})
    sample = derive(UpdatesOptions(), Pending({"a": "1.1", "b": "2"}, frozenset("b")), Host(lists=NOW), before, NOW)
    assert verdict(sample) == (state, message)
    assert sample.memory.security == before.security
    again = derive(UpdatesOptions(), Pending({"a": "1.2"}), Host(lists=NOW), sample.memory, NOW + DAY)
    assert (sample.memory.pending["a"], again.memory.pending) == (("1.1", NOW), {"a": ("1.2", NOW)})


def test_lists_that_are_old_are_a_warning() -> None:
    """Who never asks has no updates."""
    sample = derive(UpdatesOptions(), Pending(), Host(lists=NOW - 8 * DAY), UpdatesMemory(), NOW)
    assert verdict(sample) == ("warning", "nobody has looked for updates for 8d, warning from 7d")


def test_a_reboot_may_be_waited_for_a_day() -> None:
    """From when it was first seen; then it is a warning, with its reason."""
    options, host = UpdatesOptions(), Host(lists=NOW, reboot_for="for libc6")
    first = derive(options, Pending(), host, UpdatesMemory(), NOW)
    assert verdict(first) == ("ok", "0 updates, reboot required: for libc6")
    later = derive(options, Pending(), host, first.memory, NOW + DAY)
    assert verdict(later) == ("warning", "a reboot has been required for 1d: for libc6")
    assert values(later)["updates_reboot_age_seconds"] == DAY
    after = derive(options, Pending(), Host(lists=NOW), later.memory, NOW + DAY)
    assert (verdict(after), after.memory.reboot) == (("ok", "0 updates"), None)


def test_services_that_run_what_was_replaced_are_a_warning() -> None:
    """They are named, but for those that may."""
    host = Host(lists=NOW, services=["dbus.service", *(f"s{n}.service" for n in range(6))])
    sample = derive(UpdatesOptions(ignore=("dbus*",)), Pending(), host, UpdatesMemory(), NOW)
    names = "s0.service, s1.service, s2.service, s3.service, s4.service and 1 more"
    assert said(sample) == [("warning", f"run what was replaced, and need a restart: {names}")]
    assert values(sample)["updates_services_to_restart"] == 6


def test_why_a_reboot_is_needed(tmp_path: Path) -> None:
    """By what packages wrote, or by a kernel that is newer than the one running."""
    system = tree(tmp_path, {"proc/sys/kernel/osrelease": "6.1.0-9-amd64\n", "boot/vmlinuz-6.1.0-9-amd64": ""})
    assert reboot_reason(system) == ""
    tree(tmp_path, {"boot/vmlinuz-6.1.0-18-amd64": ""})
    assert reboot_reason(system) == "6.1.0-9-amd64 runs, 6.1.0-18-amd64 is installed"
    tree(tmp_path, {"run/reboot-required": "*** System restart required ***\n"})
    assert reboot_reason(system) == "a package asks for it"
    tree(tmp_path, {"run/reboot-required.pkgs": "libc6\ndbus\nlibc6\n"})
    assert reboot_reason(system) == "for dbus, libc6"


def test_services_are_looked_for_among_all_processes(tmp_path: Path) -> None:
    """Each once; a process that ends meanwhile is passed over."""
    system = tree(
        tmp_path,
        {
            "proc/1/maps": "",
            "proc/7/maps": test_packages.MAPS,
            "proc/7/cgroup": "0::/system.slice/nginx.service\n",
            "proc/8/maps": test_packages.MAPS,
            "proc/8/cgroup": "0::/system.slice/nginx.service\n",
            "proc/9/": "",
            "proc/self/": "",
        },
    )
    assert services_to_restart(system) == ["nginx.service"]
    assert look(system, "apt").services == ["nginx.service"]


def test_a_real_process_whose_library_was_replaced_is_seen(place: Path) -> None:
    """Only to who may look: for others nothing is said."""
    require_root()
    program = Path("/opt") / f"{place.name}-sleep"
    shutil.copy(require_program("sleep").resolve(), program)
    sleeper = subprocess.Popen([program, "60"])
    try:
        while str(program) not in Path(f"/proc/{sleeper.pid}/maps").read_text():
            time.sleep(0.01)  # it was started before it was mapped
        program.unlink()
        found = tree(place / "host", {f"proc/{sleeper.pid}/cgroup": "0::/system.slice/sleep.service\n"})
        Path(place, "host/proc", str(sleeper.pid), "maps").symlink_to(f"/proc/{sleeper.pid}/maps")
        assert services_to_restart(found) == ["sleep.service"]
        child = os.fork()
        if child == 0:
            os.setuid(NOBODY)
            os._exit(0 if services_to_restart(found) is None else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    finally:
        program.unlink(missing_ok=True)
        sleeper.kill()
        sleeper.wait()
