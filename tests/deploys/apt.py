"""Repositories of apt with packages of the tests' own, for hosts of the fleet.

    repository = Repository(tmp_path / "repository")
    repository.add(Package("shop", "1.0", service=WORKS))
    repository.give(host)                                   # /srv/repository on the host, its only source
    host.run("apt-get install -qq shop")
    repository.add(Package("shop", "1.1", postinst="exit 1"), suite="stable-security")
    repository.give(host)

A repository keeps all versions that were added, as long as they are not removed, so that older ones can be had.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from tests.fleet.host import Host
from tests.require import require_program

SUITES = {"stable": "Debian", "stable-security": "Debian-Security"}
"""Suite to the label of its Release file."""
FOLDER = "srv/repository"
WORKS = "sleep infinity"
"""What a service runs that works."""
STARTS_NOT = "exit 7"
"""What a service runs that does not come up."""
UNIT = """\
[Unit]
Description={name}

[Service]
ExecStart=/usr/lib/{name}/run
Restart=no

[Install]
WantedBy=multi-user.target
"""
START = """\
systemctl daemon-reload
systemctl enable --quiet {name}.service
systemctl restart {name}.service || true
"""


@dataclass(frozen=True)
class Package:
    """A package of one version."""

    name: str
    version: str
    postinst: str = ""
    """Lines of sh, run when it is configured: `exit 1` for one that cannot be."""
    service: str = ""
    """A line of sh that its service `NAME.service` runs, which its installation restarts; none when empty."""
    depends: str = ""
    conffiles: Mapping[str, str] = field(default_factory=dict)
    """Path to text of what the administrator may change."""
    files: Mapping[str, str] = field(default_factory=dict)
    """Path to text."""
    phased: int | None = None
    """The percentage of hosts that shall have it, where it is rolled out in phases."""


class Repository:
    """A folder with the suites of SUITES."""

    def __init__(self, folder: Path) -> None:
        for program in ("dpkg-deb", "apt-ftparchive"):
            require_program(program)
        self.folder = folder
        for suite in SUITES:
            (folder / suite).mkdir(parents=True)

    def add(self, package: Package, *, suite: str = "stable") -> Path:
        """Build it into a suite. Returns its file."""
        tree = self.folder.parent / f"{package.name}_{package.version}"
        shutil.rmtree(tree, ignore_errors=True)
        for path, text in _files(package).items():
            place = tree / path.lstrip("/")
            place.parent.mkdir(parents=True, exist_ok=True)
            place.write_text(text)
            place.chmod(0o755 if text.startswith("#!") else 0o644)
        built = self.folder / suite / f"{package.name}_{package.version}_all.deb"
        _run("dpkg-deb", "--root-owner-group", "-Znone", "--build", str(tree), str(built))
        shutil.rmtree(tree)
        return built

    def remove(self, name: str, version: str) -> None:
        """Offer it no longer."""
        for file in self.folder.glob(f"*/{name}_{version}_all.deb"):
            file.unlink()

    def give(self, *hosts: Host) -> None:
        """Let it, as it is now, be the hosts' only source, and let them know what is in it."""
        for suite, label in SUITES.items():
            folder = self.folder / suite
            (folder / "Packages").write_text(_run("apt-ftparchive", "packages", ".", folder=folder))
            (folder / "Release").unlink(missing_ok=True)
            fields = {"Origin": "Debian", "Label": label, "Suite": suite, "Codename": suite, "Version": "12"}
            words = [
                word for key, text in fields.items() for word in ("-o", f"APT::FTPArchive::Release::{key}={text}")
            ]
            (folder / "Release").write_text(_run("apt-ftparchive", *words, "release", ".", folder=folder))
        sources = "".join(f"deb [trusted=yes] file:/{FOLDER}/{suite} ./\n" for suite in SUITES)
        for host in hosts:
            place = host.root / FOLDER
            shutil.rmtree(place, ignore_errors=True)
            shutil.copytree(self.folder, place)
            (host.root / "etc/apt/sources.list").write_text(sources)
            host.run("apt-get -qq update")


def _files(package: Package) -> dict[str, str]:
    control = (
        f"Package: {package.name}\nVersion: {package.version}\nArchitecture: all\n"
        "Maintainer: Tests <tests@example.com>\nDescription: made by the tests\n"
    )
    if package.depends:
        control += f"Depends: {package.depends}\n"
    if package.phased is not None:
        control += f"Phased-Update-Percentage: {package.phased}\n"
    found = {
        f"/usr/share/{package.name}/version": f"{package.version}\n",
        **package.files,
        **package.conffiles,
        "/DEBIAN/control": control,
    }
    postinst = package.postinst
    if package.service:
        found[f"/usr/lib/systemd/system/{package.name}.service"] = UNIT.format(name=package.name)
        found[f"/usr/lib/{package.name}/run"] = f"#!/bin/sh\n{package.service}\n"
        postinst = START.format(name=package.name) + postinst
    if postinst:
        found["/DEBIAN/postinst"] = f"#!/bin/sh\nset -e\n{postinst}\n"
    if package.conffiles:
        found["/DEBIAN/conffiles"] = "".join(f"{path}\n" for path in package.conffiles)
    return found


def _run(*words: str, folder: Path | None = None) -> str:
    done = subprocess.run(words, cwd=folder, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, f"{' '.join(words)}: {done.stderr}"
    return done.stdout
