"""Which operating system this is."""

from __future__ import annotations

import re
import shlex

from agent.metrics.family import Family, gauge
from agent.metrics.files import NoDataError, text
from agent.paths import System

FILES = (("etc", "os-release"), ("usr", "lib", "os-release"))
LABELS = (
    *("build_id", "id", "id_like", "image_id", "image_version", "name", "pretty_name"),
    *("variant", "variant_id", "version", "version_codename", "version_id"),
)
_VERSION = re.compile(r"[0-9]+\.?[0-9]*")


def collect(system: System) -> list[Family]:
    """os-release(5), the first that there is."""
    for file in FILES:
        try:
            known = parse(text(system.path(*file)))
            break
        except FileNotFoundError:
            continue
    else:
        raise NoDataError
    names = ", ".join(LABELS)
    info = gauge("node_os_info", f"A metric with a constant '1' value labeled by {names}.")
    info.add(1, **{label: known.get(label.upper(), "") for label in LABELS})
    version = gauge("node_os_version", "Metric containing the major.minor part of the OS version.")
    if match := _VERSION.match(known.get("VERSION_ID", "")):
        version.add(float(match[0]), **{label: known.get(label.upper(), "") for label in ("id", "id_like", "name")})
    return [info, version]


def parse(release: str) -> dict[str, str]:
    """Assignments as a shell reads them; a line that it would not is left out."""
    found = {}
    for line in release.splitlines():
        key, equals, value = line.partition("=")
        try:
            words = shlex.split(value, comments=True)
        except ValueError:
            continue
        if equals and key.isidentifier() and len(words) < 2:
            found[key] = "".join(words)
    return found
