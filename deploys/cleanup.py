"""Free room on a host: package caches, old kernels, the journal, temporary files, images of containers.

pyinfra INVENTORY deploys/cleanup.py --dry          # what would go, and how much room that frees
pyinfra INVENTORY deploys/cleanup.py

Nothing goes that no option names, and a host where nothing is too old or too much is left as it is.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from shlex import join
from typing import Annotated

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.api.host import Host
from pyinfra.context import host as here

from deploys.facts.litter import ENGINES, Found, Litter, old_files
from deploys.kit.alone import run_alone
from deploys.kit.notes import Phase, Result, note
from deploys.kit.options import options, parsed
from deploys.operations.fail import StepError, attempt, fail
from deploys.operations.lease import held
from deploys.operations.run import TIMEOUT, run
from deploys.rules.litter import old_kernels, too_much_journal, unused_images
from kit.units import Duration, Size, format_size

TEMPORARY = {"/tmp": "10d", "/var/tmp": "30d"}  # noqa: S108  # nosec B108
"""As systemd's own rules (tmpfiles.d) have them where a distribution leaves them on."""
Folder = Annotated[str, msgspec.Meta(pattern=r"^(/[A-Za-z0-9._-]+)+$")]


class CleanupOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `cleanup` of host data."""

    packages: bool = True
    """Whether packages go that apt and dnf keep after they installed them."""
    kernels: bool = True
    """Whether old kernels go, on Debian and Ubuntu."""
    keep_kernels: Annotated[int, msgspec.Meta(ge=1)] = 2
    """The newest that stay, of each flavour; so does the running one."""
    journal: bool = True
    """Whether archived files of the journal go."""
    journal_age: str = "30d"
    """Those go that begin before that."""
    journal_size: str = ""
    """What those that stay may take together, `500MiB`; '' for any amount."""
    temporary: dict[Folder, str] = msgspec.field(default_factory=lambda: dict(TEMPORARY))
    """By folder, for how long a file was neither read, written nor changed that goes; of folders for all alone."""
    images: bool = True
    """Whether images of Docker and Podman go that have no name and that no container was made from."""

    def __post_init__(self) -> None:
        """Spans and sizes as the agent's configuration has them."""
        parsed("journal_age", Duration, self.journal_age)
        for age in self.temporary.values():
            parsed("temporary", Duration, age)
        if self.journal_size:
            parsed("journal_size", Size, self.journal_size)


class Part(msgspec.Struct, frozen=True):
    """Something that goes."""

    what: str
    """`old kernels linux-image-6.1.0-18-amd64`."""
    size: int
    """Bytes, as far as they are known before it goes."""
    remove: Callable[[Host], None]


@deploy("Cleanup")
def cleanup(given: CleanupOptions | None = None) -> None:
    """Remove what is there to be removed."""
    wanted = given or options(here, "cleanup", CleanupOptions)
    ages = {folder: float(Duration.parse(age)) for folder, age in wanted.temporary.items()}
    found = here.get_fact(Found, temporary=ages)
    if found.no_temporary:
        fail(
            reason=f"{found.no_temporary[0]} is no folder for temporary files: not everybody may write to it",
            name=f"Look at {found.no_temporary[0]}",
        )
        return
    for part in _parts(wanted, found, ages):
        attempt(
            work=partial(_remove, part=part),
            outcome="left_alone",
            name=f"Remove {part.what}, {format_size(part.size)}",
        )


def _parts(wanted: CleanupOptions, found: Litter, ages: dict[str, float]) -> list[Part]:
    parts = []
    if wanted.packages:
        for manager, words in (("apt", "apt-get clean"), ("dnf", "dnf clean packages")):
            if size := found.caches.get(manager):
                parts.append(Part(f"packages that {manager} keeps", size, _command(words, f"{words} failed")))
    if wanted.journal:
        age = float(Duration.parse(wanted.journal_age))
        most = int(Size.parse(wanted.journal_size)) if wanted.journal_size else None
        if files := too_much_journal(found.journal, now=found.time, max_age=age, max_size=most):
            words = f"journalctl --quiet --vacuum-time={age:.0f}s" + (
                f" --vacuum-size={most}" if most is not None else ""
            )
            parts.append(
                Part(
                    f"{len(files)} files of the journal",
                    sum(file.size for file in files),
                    _command(words, "journalctl failed"),
                )
            )
    for folder, (count, size) in found.temporary.items():
        words = f"{old_files(folder, ages[folder])} -delete"
        parts.append(Part(f"{count} files in {folder}", size, _command(words, f"{folder} could not be cleaned")))
    for engine in ENGINES if wanted.images else ():
        if images := unused_images(found.dangling.get(engine, []), found.used.get(engine, [])):
            words = join([engine, "image", "rm", *(image for image, _ in images)])
            parts.append(
                Part(
                    f"{len(images)} images of {engine}",
                    sum(size for _, size in images),
                    _command(words, f"{engine} failed"),
                )
            )
    if wanted.kernels and (kernels := old_kernels(found.packages, found.running, wanted.keep_kernels)):
        names = [package.name for package in kernels]
        size = sum(package.size for package in kernels)
        parts.append(Part(f"old kernels {' '.join(names)}", size, partial(_purge, names=names)))
    return parts


def _remove(host: Host, *, part: Part) -> None:
    with held(host, "cleanup", 2 * TIMEOUT):
        note(host, Phase(f"removes {part.what}"))
        part.remove(host)
    told = {"removed": [{"what": part.what, "freed": part.size}]}
    note(host, Result(told, (f"removed {part.what}: {format_size(part.size)}",)))


def _command(script: str, failing: str) -> Callable[[Host], None]:
    def work(host: Host) -> None:
        run(host, f"{script} >/dev/null", failing=failing)

    return work


def _purge(host: Host, *, names: list[str]) -> None:
    """Remove these packages, and refuse where others would go with them."""
    apt = "DEBIAN_FRONTEND=noninteractive apt-get --quiet --assume-yes --option DPkg::Lock::Timeout=60"
    words = f"--no-auto-remove purge {join(names)}"
    said = run(host, f"{apt} --simulate {words}", failing="apt does not say what would go with the old kernels")
    gone = {line.split()[1] for line in said.splitlines() if line.startswith(("Purg ", "Remv "))}
    if more := sorted(gone - set(names)):
        raise StepError(f"{more[0]} would be removed with the old kernels: they stay", "left_alone")
    run(host, f"{apt} {words} </dev/null", failing="the old kernels could not be removed", outcome="broken")


run_alone(globals(), cleanup)
