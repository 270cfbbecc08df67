"""What a host's Python needs, fetched once on the administrator's machine: hosts have no package index.

`Target` says for whom. Locks say what, by their digests; their markers are judged for the target, and not for this
machine.
"""

from __future__ import annotations

import hashlib
import os
import re
import shutil
import sys
import tempfile
import threading
import tomllib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

import msgspec
from packaging.markers import InvalidMarker, Marker
from packaging.utils import parse_wheel_filename
from pyinfra.api.exceptions import PyinfraError

from deploys.kit.local import LocalError, output

OLDEST = (3, 11)
"""The oldest Python that runs Hostward."""
_LOCK = threading.RLock()
"""Hosts are looked at side by side, and what one waits for is what the others need too."""
_FOUND: dict[tuple[object, ...], Path] = {}


class WheelsError(PyinfraError):
    """What a host needs cannot be had here; says what, and why."""


class Target(msgspec.Struct, frozen=True):
    """A host's Python, as far as wheels are made for it."""

    python: tuple[int, int]
    machine: str
    """As `uname -m` says it."""
    libc: str
    """`glibc` or `musl`."""
    libc_version: tuple[int, int]

    @property
    def platforms(self) -> list[str]:
        """Tags of platforms whose wheels run here, the newest first (PEP 600, PEP 656)."""
        major, minor = self.libc_version
        if self.libc == "musl":
            return [f"musllinux_{major}_{number}_{self.machine}" for number in range(minor, -1, -1)]
        found = []
        for number in range(minor, 4, -1):
            found.append(f"manylinux_{major}_{number}_{self.machine}")
            if old := {17: "manylinux2014", 12: "manylinux2010", 5: "manylinux1"}.get(number):
                found.append(f"{old}_{self.machine}")
        return found

    @property
    def markers(self) -> dict[str, str]:
        """What markers of requirements ask about (PEP 508)."""
        version = "{}.{}".format(*self.python)
        return {
            "implementation_name": "cpython",
            "implementation_version": f"{version}.0",
            "os_name": "posix",
            "platform_machine": self.machine,
            "platform_python_implementation": "CPython",
            "platform_release": "",
            "platform_system": "Linux",
            "platform_version": "",
            "python_full_version": f"{version}.0",
            "python_version": version,
            "sys_platform": "linux",
        }


class Wheel(msgspec.Struct, frozen=True):
    """A file on this machine."""

    path: Path
    digest: str
    """SHA-256 of it, in hex."""

    @property
    def name(self) -> str:
        """The file's."""
        return self.path.name


def cache() -> Path:
    """Where what was fetched is kept: it can be removed."""
    base = os.environ.get("XDG_CACHE_HOME")
    return (Path(base) if base else Path("~/.cache").expanduser()) / "hostward"


def applicable(lock: str, markers: Mapping[str, str]) -> str:
    """The entries of a lock that hold where `markers` do, without comments and markers. Raises WheelsError."""
    found = []
    for entry in re.sub(r"\\\n", " ", lock).splitlines():
        text = entry.partition("#")[0].strip()
        if not text:
            continue
        wanted, *hashes = re.split(r"\s+--hash=", text)
        name, _, marker = wanted.partition(";")
        try:
            if marker.strip() and not Marker(marker.strip()).evaluate({**markers, "extra": ""}):
                continue
        except InvalidMarker as error:
            raise WheelsError(f"the lock's entry {name.strip()} cannot be read: {error}") from None
        found.append(" ".join([name.strip(), *(f"--hash={digest.strip()}" for digest in hashes)]))
    return "".join(f"{line}\n" for line in found)


@lru_cache(maxsize=100)
def fetched(target: Target, lock: str) -> tuple[Wheel, ...]:
    """The wheels of a lock (one of `applicable`), from the cache or the package index. Raises WheelsError."""
    platforms = target.platforms
    python = "{}.{}".format(*target.python)
    key = hashlib.sha256("\n".join([python, *platforms, lock]).encode()).hexdigest()
    with _kept("wheels", key) as building:
        if building is not None:
            requirements = building / "lock.txt"
            requirements.write_text(lock)
            words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            words += ["--only-binary=:all:", "--implementation=cp", f"--python-version={python}"]
            words += [f"--abi=cp{python.replace('.', '')}", "--require-hashes", "--dest", str(building)]
            words += [f"--platform={platform}" for platform in platforms]
            try:
                output([*words, "-r", str(requirements)])
            except LocalError as error:
                libc = "{} {}.{}".format(target.libc, *target.libc_version)
                host = f"Python {python} on {target.machine} with {libc}"
                raise WheelsError(f"the wheels for {host} cannot be fetched: {error}") from None
            requirements.unlink()
    return _wheels(_FOUND["wheels", key])


@lru_cache(maxsize=100)
def built(folder: Path) -> Wheel:
    """The wheel of the checkout in `folder`, from the cache or built without a network. Raises WheelsError."""
    digest = hashlib.sha256()
    for path in _sources(folder):
        digest.update(f"{path.relative_to(folder)}\0{path.stat().st_mode & 0o111:o}\0".encode())
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    with _kept("own", digest.hexdigest()) as building:
        if building is not None:
            words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--disable-pip-version-check", "--no-deps"]
            words += ["--no-index", "--no-build-isolation", "--wheel-dir", str(building), str(folder)]
            try:
                output(words)
            except LocalError as error:
                raise WheelsError(f"the wheel of {folder} cannot be built: {error}") from None
    (wheel,) = _wheels(_FOUND["own", digest.hexdigest()])
    return wheel


def pinned(wheel: Wheel) -> str:
    """A wheel as a line of a lock."""
    name, version, _, _ = parse_wheel_filename(wheel.name)
    return f"{name}=={version} --hash=sha256:{wheel.digest}\n"


def _sources(folder: Path) -> Iterator[Path]:
    """What a wheel is made of."""
    yield from (folder / name for name in ("README.md", "pyproject.toml"))
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    rooms = project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"]
    for room in rooms:
        for path in sorted((folder / room).rglob("*")):
            if path.is_file() and "__pycache__" not in path.parts:
                yield path


@contextmanager
def _kept(*key: str) -> Iterator[Path | None]:
    """A folder to make what is kept under `key`, which is there afterwards; None where it is there already."""
    place = cache().joinpath(*key)
    with _LOCK:
        if place.is_dir():
            _FOUND[key] = place
            yield None
            return
        try:
            place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
            building = Path(tempfile.mkdtemp(prefix=".new-", dir=place.parent))
        except OSError as error:
            raise WheelsError(f"{place.parent} cannot be written to: {error.strerror}") from None
        try:
            yield building
            try:
                building.rename(place)
            except OSError:
                if not place.is_dir():  # another program was faster otherwise
                    raise WheelsError(f"{place} cannot be written") from None
            _FOUND[key] = place
        finally:
            shutil.rmtree(building, ignore_errors=True)


def _wheels(folder: Path) -> tuple[Wheel, ...]:
    return tuple(Wheel(path, hashlib.sha256(path.read_bytes()).hexdigest()) for path in sorted(folder.glob("*.whl")))
