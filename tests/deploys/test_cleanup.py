"""Room is freed on hosts, and only by what was asked for."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.deploys.conftest import Run
from tests.deploys.support import BIN, REPOSITORY, changes, environment, inventory
from tests.fleet.host import Host

DOCKER = """\
#!/bin/sh
case "$1 $2" in
    "images --filter") cat /srv/images ;;
    "image inspect") shift 4; for image; do echo "dangling docker $image 1000"; done ;;
    "ps --all") echo container ;;
    "container inspect") echo "used docker sha256:used" ;;
    "image rm") sed -i "/$3/d" /srv/images ;;
esac
"""
"""What the deploy asks Docker, of images in /srv/images, of which a container uses one."""
LITTER = """\
set -e
head -c 1000000 /dev/zero >/var/cache/apt/archives/old_1_all.deb
mkdir -p /tmp/systemd-private-1/tmp /var/log/journal
touch /tmp/systemd-private-1/tmp/kept /tmp/plain '/tmp/with
a line' /srv/kept
ln -sf /srv/kept /tmp/link
journalctl --flush
journalctl --rotate
printf 'sha256:used\\nsha256:free\\n' >/srv/images
cd "$(mktemp -d)"
mkdir -p package/DEBIAN
for version in 6.1.0-9 6.1.0-18 6.1.0-20; do
    echo "Package: linux-image-$version-amd64" >package/DEBIAN/control
    printf 'Version: 1\\nArchitecture: all\\nInstalled-Size: 100\\n' >>package/DEBIAN/control
    printf 'Maintainer: Tests <tests@example.com>\\nDescription: made by the tests\\n' >>package/DEBIAN/control
    dpkg-deb --build package package.deb >/dev/null
    dpkg --install package.deb >/dev/null
done
sleep 2
"""
ALL = {"journal_age": "1s", "temporary": {"/tmp": "1s"}}
NONE = {"packages": False, "kernels": False, "journal": False, "temporary": {}, "images": False}


def dry(inventory: Path) -> str:
    """What pyinfra says that it would do."""
    words = [str(BIN / "pyinfra"), str(inventory), "deploys/cleanup.py", "--dry"]
    done = subprocess.run(
        words,
        cwd=REPOSITORY,
        env=environment(),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def kernels(host: Host) -> list[str]:
    return host.run("dpkg-query -W -f '${Package} ' 'linux-image-*'").stdout.split()


def test_what_is_named_goes_and_nothing_else(served: Host, on_served: Run, tmp_path: Path) -> None:
    """`--dry` tells what and how much and removes nothing, parts that are off stay, and the second run changes
    nothing."""
    host = served
    host.write("/usr/local/bin/docker", DOCKER, 0o755)
    host.run(LITTER)
    try:
        assert changes(on_served("cleanup", NONE)) == 0
        said = dry(inventory(tmp_path / "dry.py", [host], data={"cleanup": ALL}))
        names = (
            "packages that apt keeps, 977KiB",
            "old kernels linux-image-6.1.0-9-amd64, 100KiB",
            "files of the journal",
            "files in /tmp",
            "1 images of docker, 1000B",
        )
        assert [name for name in names if name not in said] == []
        host.run("test -e /tmp/plain -a -e /var/cache/apt/archives/old_1_all.deb")
        assert len(kernels(host)) == 3

        done = on_served("cleanup", ALL)
        assert changes(done) == 5
        assert "removed packages that apt keeps: 977KiB" in done.stdout + done.stderr
        host.run("test ! -e /tmp/plain -a ! -h /tmp/link -a ! -e /var/cache/apt/archives/old_1_all.deb")
        host.run("test -e /srv/kept -a -e /tmp/systemd-private-1/tmp/kept")
        assert kernels(host) == ["linux-image-6.1.0-18-amd64", "linux-image-6.1.0-20-amd64"]
        assert host.read("/srv/images") == "sha256:used\n"
        assert changes(on_served("cleanup", ALL)) == 0

        done = on_served("cleanup", {**NONE, "temporary": {"/etc": "1s"}}, check=False)
        assert "/etc is no folder for temporary files" in done.stdout + done.stderr
    finally:
        host.run("rm /usr/local/bin/docker; rm -r /tmp/systemd-private-1")
        host.run("dpkg --purge $(dpkg-query -W -f '${Package} ' 'linux-image-*')")


def test_kernels_stay_on_which_something_depends(served: Host, on_served: Run) -> None:
    """apt would remove that too, so nothing is removed."""
    host = served
    host.run(
        "set -e; cd $(mktemp -d); mkdir -p package/DEBIAN; "
        "for name in linux-image-5.1.0-1-amd64 linux-image-5.1.0-2-amd64 wants; do "
        'printf "Package: $name\\nVersion: 1\\nArchitecture: all\\n" >package/DEBIAN/control; '
        "printf 'Maintainer: Tests <tests@example.com>\\nDescription: t\\n' >>package/DEBIAN/control; "
        "test $name != wants || echo 'Depends: linux-image-5.1.0-1-amd64' >>package/DEBIAN/control; "
        "dpkg-deb --build package package.deb >/dev/null; dpkg --install package.deb >/dev/null; done"
    )
    try:
        done = on_served("cleanup", {**NONE, "kernels": True, "keep_kernels": 1}, check=False)
        assert done.returncode == 1
        assert "wants would be removed with the old kernels: they stay (left alone)" in done.stdout + done.stderr
        assert "linux-image-5.1.0-1-amd64" in kernels(host)
    finally:
        host.run("dpkg --purge wants linux-image-5.1.0-1-amd64 linux-image-5.1.0-2-amd64")
