"""What `make test` needs from the system: installed when root on a Debian family, else named and skipped."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

from tests import newer

PACKAGES = {
    "acl": "files with access control lists are backed up",
    "apt-utils": "makes repositories for apt",
    "attr": "files with extended attributes are backed up",
    "chrony": "a time server to ask",
    "chromium": "the pages are looked at in a real browser",
    "btrfs-progs": "snapshots of a real btrfs are read",
    "busybox-static": "what runs in the containers",
    "createrepo-c": "makes repositories for dnf",
    "dnf": "a package manager to ask, also on Debian",
    "crun": "starts the containers of podman",
    "fonts-dejavu-core": "letters of many scripts on that page",
    "fuse3": "backups are mounted",
    "goaccess": "the analysis of logs is measured beside it",
    "iproute2": "namespaces for tests of the network",
    "jq": "commands of the pages ask for JSON",
    "libatomic1": "what drives the browser is linked to it",
    "libfaketime": "the clock of the real logrotate is set to any day",
    "lvm2": "snapshots of real logical volumes are read",
    "mariadb-server": "the mysql check asks a real one",
    "mmdebstrap": "the hosts of the fleet are made by it",
    "openssh-client": "how the hosts of the fleet are reached",
    "openssh-server": "backups are sent to a real one",
    "podman": "a container engine to ask",
    "poppler-utils": "the page for the worst day is read back from its PDF",
    "postgresql": "the postgresql check asks a real one, with a replica",
    "nftables": "a network that drops packets",
    "logrotate": "the logs that are followed are rotated by the real one",
    "prometheus": "the metrics are scraped and judged by the real one",
    "prometheus-node-exporter": "the host's metrics are compared with its",
    "openssl": "a fingerprint is shown as the page on enrolment says",
    "procps": "ps, to look at what is left running",
    "rabbitmq-server": "the rabbitmq check asks a real one",
    "redis-server": "the redis check asks a real one, with a replica",
    "systemd-journal-remote": "the journal that is read is a real one",
    "restic": "reads backups of ours, and makes those that are read",
    "rsync": "what restic and we restore is compared",
    "rpm": "makes packages for dnf",
    "sqlite3": "the page on backups saves a database",
    "systemd": "the units are verified by the real one",
    "systemd-container": "the hosts of the fleet run in it",
    "unbound": "a resolver of names to ask",
    "user-mode-linux": "a kernel with a device mapper, for these volumes",
}
"""Debian package to what it is for."""


def main() -> int:
    """Install what is missing; 0 also when it could not be, for then the tests that need it say so themselves."""
    missing = [package for package in PACKAGES if not is_installed(package)]
    wanted = [program for program in newer.PROGRAMS if not program.exists()]
    if not missing and not wanted:
        return 0
    if os.geteuid() != 0 or shutil.which("apt-get") is None:
        named = " ".join([*missing, *(f"{newer.package_of(program)} (a newer one)" for program in wanted)])
        print(f"tests that need these packages will be skipped: {named} (root on Debian installs them)")
        return 0
    if apt("update", "-qq") and missing:
        print(f"installing {' '.join(missing)}", flush=True)
        apt("install", "-y", "-qq", "--no-install-recommends", *missing)
    if wanted:
        packages = " and ".join(map(newer.package_of, wanted))
        print(f"fetching a newer {packages}", flush=True)
        try:
            newer.fetch(*wanted)
        except newer.FetchError as error:
            print(f"not all can be had: {error}", file=sys.stderr)
    return 0


def apt(*words: str) -> bool:
    """Run apt-get, and show the end of what it said when it fails. Returns whether it did not."""
    environment = {**os.environ, "DEBIAN_FRONTEND": "noninteractive"}
    command = ["apt-get", *words]
    done = subprocess.run(command, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    if done.returncode != 0:
        print(f"{' '.join(command[:2])} failed:\n{done.stdout[-2000:]}", file=sys.stderr)
    return done.returncode == 0


def is_installed(package: str) -> bool:
    """Whether dpkg has it; never on other families, where the tests look for the programs themselves."""
    if shutil.which("dpkg-query") is None:
        return False
    query = ["dpkg-query", "--show", "--showformat=${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


if __name__ == "__main__":
    sys.exit(main())
