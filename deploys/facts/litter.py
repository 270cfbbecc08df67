"""What lies on a host that may be removed, and how much room it takes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from shlex import quote

import msgspec
from pyinfra.api.facts import FactBase

from deploys.rules.litter import JournalFile, Package

ENGINES = ("docker", "podman")


class Litter(msgspec.Struct):
    """What was seen."""

    time: float = 0.0
    """The host's clock, seconds since the epoch."""
    running: str = ""
    """The kernel's release."""
    caches: dict[str, int] = {}
    """By package manager, `apt` or `dnf`, the bytes of packages that it keeps."""
    packages: list[Package] = []
    """Those of kernels."""
    journal: list[JournalFile] = []
    temporary: dict[str, tuple[int, int]] = {}
    """By folder, the files that are old enough, and their bytes."""
    no_temporary: list[str] = []
    """Folders among those asked for that are there, and that not everybody may write to."""
    dangling: dict[str, list[tuple[str, int]]] = {}
    """By engine, images without a name: id and bytes."""
    used: dict[str, list[str]] = {}
    """By engine, the ids of images that containers were made from."""


def parse_litter(lines: Iterable[str]) -> Litter:
    """Of lines of words, the first of which says what they are. Those that are of another form are left out."""
    found = Litter()
    for line in lines:
        try:
            _take(found, line.split())
        except (IndexError, ValueError):
            continue
    return found


def _take(found: Litter, words: list[str]) -> None:
    match words:
        case ["time", time]:
            found.time = float(time)
        case ["running", release]:
            found.running = release
        case ["cache", manager, size]:
            found.caches[manager] = found.caches.get(manager, 0) + int(size)
        case ["package", state, name, *kibibytes] if state.startswith("i"):
            # A package need not say how large it is.
            found.packages.append(Package(name, int(kibibytes[0]) * 1024 if kibibytes else 0))
        case ["journal", blocks, path]:
            found.journal.append(JournalFile(path, int(blocks) * 512))
        case ["temporary", count, size, folder]:
            found.temporary[folder] = (int(count), int(size))
        case ["not-temporary", folder]:
            found.no_temporary.append(folder)
        case ["dangling", engine, image, size]:
            found.dangling.setdefault(engine, []).append((image, int(size)))
        case ["used", engine, image]:
            found.used.setdefault(engine, []).append(image)


def old_files(folder: str, age: float) -> str:
    """For the shell: `find` of what nobody read, wrote or changed for `age` seconds, files and links below `folder`.

    It follows no link and leaves the file system as little as it leaves what systemd keeps there for services.
    """
    then = f"@$(($(date +%s) - {age:.0f}))"
    return (
        f"find -P {quote(folder)} -xdev -mindepth 1 ! -path '*/systemd-private-*' "
        f'\\( -type f -o -type l \\) ! -newerat "{then}" ! -newermt "{then}" ! -newerct "{then}"'
    )


class Found(FactBase[Litter]):
    """All of it."""

    def command(self, temporary: Mapping[str, float]) -> str:
        """Look, and change nothing. `temporary` are folders and ages in seconds."""
        parts = [
            'echo "time $(date +%s)"; echo "running $(uname -r)"',
            "find /var/cache/apt/archives -name '*.deb' -type f -printf 'cache apt %s\\n' 2>/dev/null",
            "find /var/cache/dnf /var/cache/libdnf5 -name '*.rpm' -type f -printf 'cache dnf %s\\n' 2>/dev/null",
            "dpkg-query --show --showformat='package ${db:Status-Abbrev} ${Package} ${Installed-Size}\\n' 'linux-*' "
            "2>/dev/null",
            "find /var/log/journal /run/log/journal -name '*@*.journal*' -type f -printf 'journal %b %p\\n' "
            "2>/dev/null",
        ]
        for folder, age in temporary.items():
            place = quote(folder)
            count = f'{{ count++; size += $1 }} END {{ if (count) print "temporary", count, size, "{folder}" }}'
            parts.append(
                f"if test -k {place}; then {old_files(folder, age)} -printf '%s\\n' | awk {quote(count)}; "
                f"elif test -e {place}; then echo not-temporary {place}; fi"
            )
        for engine in ENGINES:
            parts.append(
                f"if command -v {engine} >/dev/null; then "
                f"{engine} images --filter dangling=true --quiet --no-trunc | sort -u | "
                f"xargs -r {engine} image inspect --format 'dangling {engine} {{{{.Id}}}} {{{{.Size}}}}'; "
                f"{engine} ps --all --quiet --no-trunc | "
                f"xargs -r {engine} container inspect --format 'used {engine} {{{{.Image}}}}'; fi 2>/dev/null"
            )
        return "; ".join([*parts, "true"])

    @staticmethod
    def default() -> Litter:
        """Nothing."""
        return Litter()

    def process(self, output: Iterable[str]) -> Litter:
        """As parse_litter."""
        return parse_litter(output)
