"""Where things are: the one helper between the agent and the file system's layout."""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

CONFIGURATION = Path("/etc/hostward/agent.toml")
STATE = Path("/var/lib/hostward")


@dataclass(frozen=True, slots=True)
class System:
    """The host's own tree (/proc, /sys, /etc, /run). Tests put a fixture tree in its place."""

    root: Path = Path("/")
    state_folder: Path | None = None
    """Where the agent keeps its state, where that is not in its usual place."""

    @property
    def state(self) -> Path:
        """The agent's state folder."""
        return self.state_folder or self.root / STATE.relative_to("/")

    def path(self, *parts: str) -> Path:
        """`path("proc", "mounts")` is /proc/mounts, under `root`."""
        return self.root.joinpath(*parts)


def configuration_file(given: Path | None) -> tuple[Path, bool]:
    """--config, else HOSTWARD_CONFIG, else /etc/hostward/agent.toml; `agent.d/` lies beside it.

    True where somebody named it: such a file must exist, while the default one may be missing.
    """
    if given is None and (named := os.environ.get("HOSTWARD_CONFIG")):
        given = Path(named)
    return (CONFIGURATION, False) if given is None else (given, True)


def state_folder(given: Path | None, *, system: Path = STATE) -> Path:
    """--state-dir, else what systemd gives the unit, else the host's /var/lib/hostward or a user's own folder.

    On a host that has an agent everybody means that one, may they look at it or not, unless they run their own.
    """
    if given is not None:
        return given
    if folder := os.environ.get("STATE_DIRECTORY"):
        return Path(folder)
    home = os.environ.get("XDG_STATE_HOME") or Path.home() / ".local/state"
    own = Path(home) / "hostward"
    if os.geteuid() == 0 or os.access(system, os.R_OK | os.X_OK):
        return system
    return system if os.access(system, os.F_OK) and not os.access(own, os.F_OK) else own
