"""Programs that this machine's release of Debian lacks, or has only of old, from newer releases.

They are taken from the mirror that apt is configured with, are checked by Debian's keys, and lie in a folder of their
own: neither apt's configuration nor what is installed changes.
"""

from __future__ import annotations

import re
import subprocess
import tempfile
from pathlib import Path

FOLDER = Path("/opt/hostward-tests")
RESTIC = FOLDER / "restic/usr/bin/restic"
"""Where `fetch` puts it: the folder is called like the package, which is unpacked in it."""
REST_SERVER = FOLDER / "restic-rest-server/usr/bin/restic-rest-server"
LOGROTATE = FOLDER / "logrotate/usr/sbin/logrotate"
PROGRAMS = (RESTIC, REST_SERVER, LOGROTATE)
RELEASES = ("sid", "trixie")
"""The newest first; what it has may need a newer C library than is here."""
RELEASES_OF = {LOGROTATE: ("trixie",)}
"""Where it has to be one version, and no newer one."""
LIBRARIES_OF = {LOGROTATE: ("libacl1", "libc6", "libpcre2-8-0", "libpopt0", "libselinux1")}
"""Packages unpacked beside a program that has to run on an older Debian than its own; `command` starts it."""
KEYS = Path("/usr/share/keyrings/debian-archive-keyring.gpg")
PATIENCE = 600
"""Seconds for one run of apt, which fetches 30 MB at most."""


class FetchError(Exception):
    """It could not be had; the text says why."""


def package_of(program: Path) -> str:
    """The package that one of PROGRAMS is in."""
    return program.relative_to(FOLDER).parts[0]


def command(program: Path, *preloaded: Path) -> list[str]:
    """What starts one of PROGRAMS: the loader of the C library beside it, where there is one.

    `preloaded` are libraries that it shall load first; what it starts does not inherit them.
    """
    tree = program.parents[2]
    loader = next(tree.glob("usr/lib/*/ld-linux-*.so.*"), None)
    if loader is None:
        return [str(program)]
    words = [str(loader), "--library-path", str(loader.parent)]
    if preloaded:
        words += ["--preload", ":".join(map(str, preloaded))]
    return [*words, str(program)]


def fetch(*programs: Path) -> None:
    """Put some of PROGRAMS into their places, in the newest versions that run here. Raises FetchError."""
    address = mirror()
    FOLDER.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=FOLDER, prefix=".fetching-") as name:
        work = Path(name)
        work.chmod(0o755)  # apt downloads as a user of its own
        options = configure(work, address)
        run(work, "apt-get", *options, "update", "-qq")
        failures = []
        for program in programs:
            try:
                fetch_one(program, work / package_of(program), options)
            except FetchError as error:
                failures.append(f"{package_of(program)}: {error}")
    if failures:
        raise FetchError("\n".join(failures))


def fetch_one(program: Path, work: Path, options: list[str]) -> None:
    """Take it from the newest release whose package runs here. Raises FetchError."""
    failures = []
    for release in RELEASES_OF.get(program, RELEASES):
        try:
            tree = unpacked(program, work / release, options, release)
        except FetchError as error:
            failures.append(f"{release}: {error}")
            continue
        if not program.exists():  # or else another run has put it there meanwhile
            tree.rename(FOLDER / package_of(program))
        return
    raise FetchError("\n".join(failures))


def mirror() -> str:
    """The address of Debian's archive in apt's configuration. Raises FetchError where this is not a Debian."""
    fields = "$(ORIGIN) $(LABEL) $(COMPONENT) $(REPO_URI)"  # the label of security updates is another one
    listed = run(Path("/"), "apt-get", "indextargets", "--format", fields, "Created-By: Packages")
    for line in listed.splitlines():
        if line.startswith("Debian Debian main "):
            return line.split()[3]
    raise FetchError("apt is configured with no mirror of Debian")


def configure(work: Path, address: str) -> list[str]:
    """Sources, lists and caches of our own in a folder; what the machine says of proxies and the like stays.

    Returns the options that make apt use them.
    """
    sources = work / "sources.list"
    sources.write_text("".join(f"deb [signed-by={KEYS}] {address} {release} main\n" for release in RELEASES))
    for folder in ("lists/partial", "cache/archives/partial"):
        (work / folder).mkdir(parents=True)
    options = {
        "Dir::Etc::SourceList": sources,
        "Dir::Etc::SourceParts": "/dev/null",
        "Dir::State::Lists": work / "lists",
        "Dir::Cache": work / "cache",
        "Acquire::Languages": "none",
    }
    return [word for name, value in options.items() for word in ("-o", f"{name}={value}")]


def unpacked(program: Path, folder: Path, options: list[str], release: str) -> Path:
    """The package of a release, unpacked in a new folder. Raises FetchError, also where its program does not run."""
    tree = folder / "tree"
    tree.mkdir(parents=True)
    packages = (package_of(program), *LIBRARIES_OF.get(program, ()))
    run(folder, "apt-get", *options, "download", "-qq", *(f"{package}/{release}" for package in packages))
    for archive in folder.glob("*.deb"):
        run(folder, "dpkg-deb", "--extract", archive.name, str(tree))
    version_of(tree / program.relative_to(FOLDER / package_of(program)))
    return tree


def version_of(program: Path) -> tuple[int, int]:
    """The version that a program says it has: (0, 18) for 0.18.0. Raises FetchError when it does not run."""
    asking = "version" if program.name == RESTIC.name else "--version"
    found = re.search(r"(\d+)\.(\d+)", run(Path("/"), *command(program), asking))
    if found is None:
        raise FetchError(f"{program} does not say its version")
    return int(found[1]), int(found[2])


def run(folder: Path, *command: str) -> str:
    """What a command prints; it is tried twice. Raises FetchError with the end of what it said."""
    said = ""
    for _ in range(2):
        try:
            done = subprocess.run(
                command, cwd=folder, capture_output=True, text=True, timeout=PATIENCE, stdin=subprocess.DEVNULL
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            said = str(error)
            continue
        if done.returncode == 0:
            return done.stdout
        said = (done.stdout + done.stderr)[-1000:].strip()
    raise FetchError(f"{command[0]} failed: {said}")
