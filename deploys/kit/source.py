"""Where a version of Hostward comes from: this checkout, another one, or a tag of this one's history."""

from __future__ import annotations

import hashlib
import re
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Literal

import msgspec

from deploys.kit.local import LocalError, output
from deploys.kit.wheels import Target, Wheel, WheelsError, applicable, built, cache, fetched, pinned

CHECKOUT = Path(__file__).resolve().parents[2]
PREFIX = "/opt/hostward"
PARTS = {"agent": "agent.txt", "collector": "run.txt"}
"""What a host can have, and the lock of it. A collector's host has the agent in the same environment."""
Part = Literal["agent", "collector"]


class Source(msgspec.Struct, frozen=True):
    """A checkout on this machine."""

    folder: Path

    @property
    def version(self) -> str:
        """What it calls itself. Raises WheelsError where the folder is no checkout."""
        try:
            text = (self.folder / "kit/version.py").read_text()
        except OSError as error:
            raise WheelsError(f"{self.folder} is no checkout of Hostward: {error.strerror}") from None
        found = re.search(r'^__version__ = "([A-Za-z0-9.+-]+)"$', text, re.MULTILINE)
        if found is None:
            raise WheelsError(f"{self.folder} does not say which version it is")
        return found[1]

    def units(self, part: Part) -> dict[str, str]:
        """Name to text of the units that a host gets."""
        names = self._read("systemd/agent.units").split()
        if part == "collector":
            names.append("hostward-collector.service")
        return {name: self._read(f"systemd/{name}") for name in names}

    @property
    def accounts(self) -> str:
        """Lines of sh that make users and folders."""
        return self._read("systemd/accounts.sh")

    @property
    def removal(self) -> str:
        """A script that removes what is installed; its argument is the prefix."""
        return self._read("systemd/uninstall.sh")

    @property
    def extras(self) -> list[str]:
        """What can be installed with an agent."""
        return sorted(path.stem for path in (self.folder / "requirements/extras").glob("*.txt"))

    def lock(self, part: Part, extras: tuple[str, ...]) -> str:
        """All locks of it together. Raises WheelsError for an extra that there is not."""
        if unknown := [extra for extra in extras if extra not in self.extras]:
            raise WheelsError(f'there is no extra "{unknown[0]}"; expected some of: {" ".join(self.extras)}')
        files = [PARTS[part], *(f"extras/{extra}.txt" for extra in extras)]
        return "".join(self._read(f"requirements/{file}") for file in files)

    def _read(self, name: str) -> str:
        try:
            return (self.folder / name).read_text()
        except OSError as error:
            raise WheelsError(f"{self.folder}: {name} cannot be read: {error.strerror}") from None


class Release(msgspec.Struct, frozen=True):
    """What is to be installed on a host, complete."""

    version: str
    part: Part
    extras: tuple[str, ...]
    lock: str
    """Each package once, with its digests; our own among them."""
    wheels: tuple[Wheel, ...]
    pip: Wheel
    """Which installs them; a host's own Python need not have one."""
    python: tuple[int, int]

    @property
    def digest(self) -> str:
        """The same for releases that are the same."""
        said = [self.part, *self.extras, "{}.{}".format(*self.python), self.lock]
        return hashlib.sha256("\n".join(said).encode()).hexdigest()


def find_source(version: str | None, folder: str | None) -> Source:
    """The checkout in `folder`, or this one, or this one's tag `vVERSION` where its version is another.

    Raises WheelsError.
    """
    source = Source(Path(folder).expanduser().absolute() if folder else CHECKOUT)
    if version is None or version == source.version:
        return source
    if folder:
        raise WheelsError(f"{source.folder} is version {source.version}; expected {version}")
    return _tagged(version)


def make_release(source: Source, target: Target, part: Part, extras: tuple[str, ...]) -> Release:
    """Fetch and build all that a host with `target` needs. Raises WheelsError."""
    ordered = tuple(sorted(set(extras)))
    entries = applicable(source.lock(part, ordered), target.markers).splitlines()
    # A package that several locks name is the same one in all of them, for they are made together.
    lock = "".join(f"{line}\n" for line in sorted(set(entries)))
    own = built(source.folder)
    (pip,) = fetched(target, applicable((CHECKOUT / "requirements/pip.txt").read_text(), target.markers))
    return Release(
        source.version, part, ordered, lock + pinned(own), (*fetched(target, lock), own), pip, target.python
    )


def _tagged(version: str) -> Source:
    git = ["git", "-C", str(CHECKOUT)]
    try:
        commit = output([*git, "rev-parse", "--verify", "--quiet", f"v{version}^{{commit}}"]).decode().strip()
    except LocalError:
        raise WheelsError(
            f"this checkout is version {Source(CHECKOUT).version} and has no tag v{version}: "
            "fetch the tag, or name a checkout of it with the option `source`"
        ) from None
    place = cache() / "sources" / commit
    if not place.is_dir():
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        work = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        try:
            output([*git, "archive", f"--output={work / 'source.tar'}", commit])
            with tarfile.open(work / "source.tar") as archive:
                archive.extractall(work / "tree", filter="data")
            if not place.is_dir():
                (work / "tree").rename(place)
        except (LocalError, OSError) as error:
            raise WheelsError(f"version {version} cannot be unpacked: {error}") from None
        finally:
            shutil.rmtree(work, ignore_errors=True)
    found = Source(place)
    if found.version != version:
        raise WheelsError(f"the tag v{version} is version {found.version}")
    return found
