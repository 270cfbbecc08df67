"""A release on a host: uploaded, built beside those that are there, and brought into force with its files."""

from __future__ import annotations

import io
import tarfile
from shlex import quote
from typing import Any

import msgspec
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.host import Host

from deploys.facts.agent import FOLDER, WHEELS, Installed, Python
from deploys.kit.notes import Phase, note
from deploys.kit.source import Release
from deploys.operations.change import Changes, judge, start
from deploys.operations.connection import LOST
from deploys.operations.fail import StepError
from deploys.operations.lease import held
from deploys.operations.run import run
from deploys.operations.write import write

UNIT = "hostward-release.service"
"""In which a change goes on, whatever becomes of who asked for it."""
MARGIN = 240.0
"""Seconds for all that a change does beside watching the agent."""
_KIND = Changes(program="apply", folder=FOLDER, unit=UNIT, what="agent")


class PlannedFile(msgspec.Struct, frozen=True):
    """A file as it is to be."""

    path: str
    text: str | None
    """None: it is to be gone."""
    mode: str = "644"
    owner: str = "root:root"


class Enrol(msgspec.Struct, frozen=True):
    """How the host gets known to home."""

    url: str
    ca: str
    token: str
    name: str = ""


class Plan(msgspec.Struct, frozen=True, kw_only=True):
    """What deploys/onhost/apply.py is to do."""

    prefix: str
    version: str
    """Which is in use afterwards."""
    previous: str | None
    """Which was in use before."""
    release: bool
    """Whether `current` is to lead elsewhere, or to the same version built anew."""
    built: bool
    """Whether it was built beside its place."""
    files: tuple[PlannedFile, ...]
    links: dict[str, str]
    accounts: str
    enrol: Enrol | None = None
    enable: tuple[str, ...]
    """Units that run now and after each boot."""
    restart: bool
    reload: bool
    watch: bool = True
    """Whether the agent is to be looked at: not where it does not run."""
    patience: float
    """Seconds in which the agent has to check in healthy."""


def build(host: Host, release: Release, seen: Installed, python: Python, prefix: str) -> None:
    """Upload what the host lacks of the release, and build it beside its place. Raises StepError (`left_alone`)."""
    wheels = [release.pip, *release.wheels]
    missing = [wheel for wheel in wheels if seen.wheels.get(wheel.name) != wheel.digest]
    run(host, f"umask 077; mkdir -p {WHEELS}", failing=f"{WHEELS} cannot be made")
    if missing:
        note(host, Phase("upload"))
        bundle = io.BytesIO()
        with tarfile.open(fileobj=bundle, mode="w") as archive:
            for wheel in missing:
                archive.add(wheel.path, wheel.name)
        bundle.seek(0)
        try:
            arrived = host.put_file(bundle, f"{WHEELS}/upload.tar", **_arguments(host))
        except LOST as error:
            raise StepError(f"the wheels could not be uploaded: {error}", "left_alone") from None
        if not arrived:
            raise StepError("the wheels could not be uploaded: the output says why", "left_alone")
        run(
            host,
            f"cd {WHEELS} && trap 'rm -f upload.tar' EXIT && {quote(python.path)} -m tarfile -e upload.tar .",
            failing="the wheels could not be unpacked",
        )
    note(host, Phase("install"))
    names = " ".join(f"! -name {quote(wheel.name)}" for wheel in wheels)
    sums = "".join(f"{wheel.digest}  {wheel.name}\n" for wheel in wheels)
    run(
        host,
        # What no release of these needs goes, so that the folder does not grow.
        f"cd {WHEELS} && find . -type f {names} -delete && sha256sum --check --quiet - >&2",
        input=sums,
        failing="what was uploaded is not what was sent",
    )
    write(host, f"{WHEELS}/lock", release.lock, mode=0o600)
    target, building = f"{prefix}/{release.version}", f"{prefix}/.{release.version}.new"
    collector = release.part == "collector"
    script = f"""set -eu
umask 022
mkdir -p {prefix}
rm -rf {building}
trap 'code=$?; [ $code = 0 ] || rm -rf {building}; exit $code' EXIT
{quote(python.path)} -m venv --without-pip {building}
{building}/bin/python {WHEELS}/{release.pip.name}/pip --isolated --disable-pip-version-check install --quiet \
--no-index --find-links {WHEELS} --no-cache-dir --no-deps --require-hashes --root-user-action=ignore -r {WHEELS}/lock
{"" if collector else f"rm -f {building}/bin/hostward-collector"}
[ "$({building}/bin/hostward --version)" = "hostward {release.version}" ]
printf '%s\\n' {" ".join(release.extras)} >{building}/extras
echo {release.digest} >{building}/release
find {building}/bin {building}/pyvenv.cfg -type f -exec sed -i 's|{building}|{target}|g' {{}} +
sync -f {building}
"""
    run(host, script, failing=f"Hostward {release.version} cannot be installed")


def bring(host: Host, plan: Plan, python: Python) -> None:
    """Have the host do what the plan says, and watch. Raises StepError, with how it left the host."""
    limit = plan.patience + MARGIN
    with held(host, _KIND.what, limit):
        start(host, _KIND, python, plan)
        note(host, Phase("watch the agent"))
        judge(host, _KIND, limit)


def settle(host: Host, python: Python) -> None:
    """Put back what a change that was cut down left behind. Raises StepError."""
    note(host, Phase("put back what was left half done"))
    with held(host, _KIND.what, MARGIN):
        start(host, _KIND, python, None)
        judge(host, _KIND, MARGIN)


def _arguments(host: Host) -> Any:
    found, _ = pop_global_arguments(host.state, host, dict(host.current_op_global_arguments or {}))
    return {name: value for name, value in found.items() if name in CONNECTOR_ARGUMENT_KEYS}
