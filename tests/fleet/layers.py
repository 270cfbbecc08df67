"""What a host of the fleet is made from: layers of one file system, each built once and kept.

Debian is at the bottom, then the agent as `make install` puts it there, then the checkout's own code, so that a
change of the code costs a copy and not an installation. A layer's name says what went into it. Builders hold a lock:
any number of test runs share the layers.
"""

from __future__ import annotations

import fcntl
import hashlib
import inspect
import json
import os
import re
import shlex
import shutil
import sys
import tempfile
import time
import tomllib
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from tests.fleet import cgroups
from tests.fleet.command import FleetError, UnavailableError, command

CACHE = Path("/var/cache/hostward-fleet")
SUITE = "bookworm"
PACKAGES = (
    "ca-certificates",
    "cron",
    "curl",
    "dbus",
    "iproute2",
    "openssh-server",
    "procps",
    "python3",
    "python3-venv",
    "sudo",
    "systemd",
    "systemd-sysv",
)
SERVERS = ("btrfs-progs", "libfaketime", "logrotate", "nginx", "postgresql", "rsyslog", "tzdata")
"""What hosts have that do something: the same for all tests, so that it is installed once."""
UNITS = ("systemd-networkd.service", "ssh.service")
ROOMS = ("agent", "backup", "collector", "kit", "wire")
INSTALLED_BY = ("kit/version.py", "requirements", "systemd/install.sh")
"""Beside pyproject.toml, what decides how an installation looks; a change of these installs anew."""
SOURCE = (*ROOMS, "requirements", "systemd", "pyproject.toml", "README.md")
"""What an installation reads of a checkout."""
WHEELS = Path("usr/src/wheels")
"""On each host: the packages of the agent's locks, for who installs there once more."""
PREFIX = Path("opt/hostward")
KEPT = 3
"""Layers of a kind that stay when newer ones are built."""
IDLE = 86400.0
"""Seconds after which an older layer that nobody uses may go."""


def layers(checkout: Path, packages: tuple[str, ...] = ()) -> list[Path]:
    """The layers of a host with the agent of `checkout`, the lowest first; builds those that are missing.

    `packages` are Debian's, with what they depend on, for hosts that have more than others. Takes a minute the first
    time, seconds after a change of the locks, and less than one after a change of the code.
    """
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with _lock(CACHE / "build.lock"):
        debian = _layer("debian", [SUITE, *PACKAGES, *UNITS, _source(_build_debian)], _build_debian)
        agent = _layer(
            "agent",
            [
                debian.name,
                _project(checkout),
                *_digests(checkout, INSTALLED_BY),
                _source(_build_agent, install, fetch),
            ],
            lambda folder: _build_agent(folder, debian, checkout),
        )
        code = _layer(
            "code",
            [agent.name, *_digests(checkout, (*ROOMS, "systemd")), _source(_build_code)],
            lambda folder: _build_code(folder, [debian, agent], checkout),
        )
        used = [debian, agent, code]
        if packages:
            ingredients = [agent.name, *packages, _source(_build_packages, _archives)]
            more = _layer("packages", ingredients, lambda folder: _build_packages(folder, [debian, agent], packages))
            used.insert(2, more)
        for layer in used:
            os.utime(layer)
        _forget(used)
    return used


def probe() -> None:
    """Raise UnavailableError where the kernel, or what this process runs in, does not let it make hosts."""
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    name = f"hwprobe{os.getpid()}"
    try:
        with tempfile.TemporaryDirectory(dir=CACHE) as folder:
            lower = Path(folder) / "lower"
            lower.mkdir()
            with mounted([lower], Path(folder), Path(folder) / "root"):
                command("unshare", "--mount", "--pid", "--net", "--uts", "--ipc", "--fork", "true")
        command("ip", "link", "add", "name", name, "type", "bridge")
        command("ip", "link", "delete", name)
        for group in cgroups.make(name):
            cgroups.remove(group)
    except FleetError as error:
        raise UnavailableError(str(error)) from error


@contextmanager
def mounted(lower: list[Path], upper: Path, target: Path) -> Iterator[Path]:
    """An overlay of `lower`, the lowest first, that writes into `upper/changes`, until the block ends."""
    mount(lower, upper, target)
    try:
        yield target
    finally:
        unmount(target)


def mount(lower: list[Path], upper: Path, target: Path) -> None:
    """Mount an overlay at `target`, which `upper` is on the same file system as."""
    for folder in (upper / "changes", upper / "work", target):
        folder.mkdir(parents=True, exist_ok=True)
    layers = ":".join(str(layer) for layer in reversed(lower))
    options = f"lowerdir={layers},upperdir={upper / 'changes'},workdir={upper / 'work'}"
    command("mount", "-t", "overlay", "overlay", "-o", options, str(target))


def unmount(target: Path) -> None:
    """Take a mount away, also one that something still holds open."""
    command("umount", "--lazy", str(target))


@contextmanager
def _lock(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def _layer(kind: str, ingredients: list[str], build: Callable[[Path], None]) -> Path:
    """The layer made of `ingredients`; one that is there is complete, since it gets its name at the end."""
    name = hashlib.sha256("\n".join(ingredients).encode()).hexdigest()[:16]
    layer = CACHE / "layers" / f"{kind}-{name}"
    if not layer.exists():
        layer.parent.mkdir(exist_ok=True)
        building = layer.with_name(f".{layer.name}.new")
        _remove(building)
        print(f"fleet: building the layer {layer.name}", file=sys.stderr, flush=True)
        build(building)
        building.rename(layer)
    return layer


def _source(*functions: Callable[..., object]) -> str:
    """How a layer is built is an ingredient too."""
    return "".join(inspect.getsource(function) for function in functions)


def _digests(checkout: Path, names: tuple[str, ...]) -> list[str]:
    """A digest for each file under `names`, with its name and whether it can be run."""
    found = []
    for name in names:
        top = checkout / name
        for path in sorted(top.rglob("*")) if top.is_dir() else [top]:
            if path.is_file() and "__pycache__" not in path.parts:
                digest = hashlib.sha256(path.read_bytes()).hexdigest()
                found.append(f"{path.relative_to(checkout)} {path.stat().st_mode:o} {digest}")
    return found


def _build_debian(folder: Path) -> None:
    try:
        command("mmdebstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", SUITE, str(folder))
    except FleetError as error:
        raise UnavailableError(str(error)) from error
    command("systemctl", f"--root={folder}", "enable", *UNITS)
    # Nothing here waits for a network that has more to come.
    command("systemctl", f"--root={folder}", "mask", "systemd-networkd-wait-online.service")
    # Each host makes its own identity.
    (folder / "etc/machine-id").write_text("")
    for key in (folder / "etc/ssh").glob("ssh_host_*"):
        key.unlink()


def _build_agent(folder: Path, debian: Path, checkout: Path) -> None:
    """The agent with all its extras, installed without a network from wheels that this machine fetches."""
    building = folder.with_name(f"{folder.name}.build")
    _remove(building)
    with mounted([debian], building, building / "root") as root:
        fetch(checkout, root / WHEELS)
        copy(checkout, root / "usr/src/hostward")
        in_root(root, install("/usr/src/hostward", version(checkout), extras(checkout)))
        shutil.rmtree(root / "usr/src/hostward")
    (building / "changes").rename(folder)
    _remove(building)


def _build_code(folder: Path, lower: list[Path], checkout: Path) -> None:
    """The rooms' code and the units over the installed ones, compiled as an installation compiles it."""
    building = folder.with_name(f"{folder.name}.build")
    _remove(building)
    packages = next((lower[-1] / PREFIX / version(checkout)).glob("lib/python*/site-packages")).relative_to(lower[-1])
    for room in ROOMS:
        target = building / "changes" / packages / room
        shutil.copytree(checkout / room, target, ignore=shutil.ignore_patterns("__pycache__"))
        # Or a module that is gone from the checkout would shine through.
        os.setxattr(target, "trusted.overlay.opaque", b"y")
    units = Path("etc/systemd/system")
    (building / "changes" / units).mkdir(parents=True)
    for unit in (lower[-1] / units).glob("hostward-*"):
        shutil.copy(checkout / "systemd" / unit.name, building / "changes" / units)
    with mounted(lower, building, building / "root") as root:
        folders = " ".join(f"/{packages}/{room}" for room in ROOMS)
        in_root(root, f"/{PREFIX}/current/bin/python -m compileall -q {folders}")
    (building / "changes").rename(folder)
    _remove(building)


def _build_packages(folder: Path, lower: list[Path], packages: tuple[str, ...]) -> None:
    """Packages installed without a network and without starting services, from archives that this machine fetches."""
    building = folder.with_name(f"{folder.name}.build")
    _remove(building)
    policy = Path("usr/sbin/policy-rc.d")
    with mounted(lower, building, building / "root") as root:
        archives = root / "var/cache/apt/archives"
        _archives(root, archives, packages)
        (root / policy).write_text("#!/bin/sh\nexit 101\n")
        (root / policy).chmod(0o755)
        words = "apt-get install -y -qq --no-install-recommends --no-download -o Dpkg::Use-Pty=0"
        in_root(root, f"DEBIAN_FRONTEND=noninteractive {words} /{archives.relative_to(root)}/*.deb")
        (root / policy).unlink()
        shutil.rmtree(archives)
        (archives / "partial").mkdir(parents=True)
    (building / "changes").rename(folder)
    _remove(building)


def _archives(root: Path, target: Path, packages: tuple[str, ...]) -> None:
    """What `root` lacks of packages and what they depend on, from where its own packages came from.

    It is this machine's apt that fetches, which knows of proxies.
    """
    with tempfile.TemporaryDirectory(dir=CACHE, prefix=".apt-") as name:
        work = Path(name)
        work.chmod(0o755)  # apt downloads as a user of its own
        for folder in (work / "lists/partial", target / "partial"):
            folder.mkdir(parents=True, exist_ok=True)
        options = {
            "Dir::Etc::SourceList": root / "etc/apt/sources.list",
            "Dir::Etc::SourceParts": "/dev/null",
            "Dir::Etc::TrustedParts": root / "etc/apt/trusted.gpg.d",
            "Dir::State::Lists": work / "lists",
            "Dir::State::Status": root / "var/lib/dpkg/status",
            "Dir::Cache": work,
            "Dir::Cache::Archives": target,
            "Acquire::Languages": "none",
            "APT::Sandbox::User": "root",
        }
        apt = ["apt-get", *(word for option, value in options.items() for word in ("-o", f"{option}={value}"))]
        try:
            command(*apt, "update", "-qq")
            command(*apt, "install", "-y", "-qq", "--no-install-recommends", "--download-only", *packages)
        except FleetError as error:
            raise UnavailableError(str(error)) from error


def in_root(root: Path, script: str, *options: str) -> str:
    """Run a shell's script as root in a file system, without a network and with nothing of this machine."""
    name = f"hwbuild-{os.getpid()}"
    words = ["systemd-nspawn", "--quiet", "--register=no", "--keep-unit", "--private-network", "--pipe"]
    words += [f"--machine={name}", *options, f"--directory={root}", "sh", "-c", script]
    groups = cgroups.make(name)
    try:
        return command("sh", "-e", "-c", cgroups.joining(groups) + f"exec {shlex.join(words)}")
    finally:
        for group in groups:
            cgroups.remove(group)


def install(source: str, version: str, extras: list[str]) -> str:
    """For a shell on a host: what `make install` does in a checkout's copy at `source`, with the host's wheels."""
    pip = f"PIP_NO_INDEX=1 PIP_FIND_LINKS=/{WHEELS}"
    return f"cd {source} && {pip} ./systemd/install.sh python3 /{PREFIX} {version} agent {' '.join(extras)}"


def fetch(checkout: Path, wheels: Path) -> None:
    """The packages of the agent's locks, for Debian's Python."""
    for lock in [checkout / "requirements/agent.txt", *sorted((checkout / "requirements/extras").glob("*.txt"))]:
        with tempfile.NamedTemporaryFile("w", suffix=".txt") as wanted:
            # A marker is for the host's Python to judge, and this machine's may be another.
            wanted.write(re.sub(r" ;[^\\\n]*", " ", lock.read_text()))
            wanted.flush()
            words = [sys.executable, "-m", "pip", "download", "--quiet", "--disable-pip-version-check", "--no-deps"]
            words += ["--only-binary=:all:", "--implementation=cp", "--python-version=3.11", "--require-hashes"]
            try:
                command(*words, "--dest", str(wheels), "-r", wanted.name)
            except FleetError as error:
                raise UnavailableError(str(error)) from error


def copy(checkout: Path, target: Path) -> None:
    """What an installation reads of a checkout."""
    target.mkdir(parents=True)
    for name in SOURCE:
        source = checkout / name
        if source.is_dir():
            shutil.copytree(source, target / name, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            shutil.copy2(source, target / name)


def version(checkout: Path) -> str:
    """What the checkout calls itself."""
    found: list[str] = re.findall(r'__version__ = "(.+)"', (checkout / "kit/version.py").read_text())
    return found[0]


def extras(checkout: Path) -> list[str]:
    """All extras that an agent can be installed with."""
    return sorted(path.stem for path in (checkout / "requirements/extras").glob("*.txt"))


def _project(checkout: Path) -> str:
    """What pyproject.toml says of the installation; the rest of it is for who works on it."""
    project = tomllib.loads((checkout / "pyproject.toml").read_text())
    return json.dumps([project["build-system"], project["project"], project["tool"]["hatch"]], sort_keys=True)


def _forget(used: list[Path]) -> None:
    """Remove layers that are old and many, and that no host stands on."""
    standing = Path("/proc/self/mounts").read_text()
    for kind in ("debian", "agent", "packages", "code"):
        found = sorted((CACHE / "layers").glob(f"{kind}-*"), key=lambda path: path.stat().st_mtime, reverse=True)
        for layer in found[KEPT:]:
            if layer not in used and layer.stat().st_mtime < time.time() - IDLE and str(layer) not in standing:
                _remove(layer)


def _remove(folder: Path) -> None:
    with suppress(FleetError):
        unmount(folder / "root")
    shutil.rmtree(folder, ignore_errors=True)
