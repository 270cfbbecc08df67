"""Package managers: what they would do, and the lines of sh that have them do it. One file each."""

from __future__ import annotations

from deploys.operations.packages.apt import APT
from deploys.operations.packages.contract import Manager
from deploys.operations.packages.dnf import DNF

MANAGERS: dict[str, Manager] = {"apt": APT, "dnf": DNF}
"""By the name that a survey gives."""
