"""The home of whoever runs this."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def home_of(environment: Mapping[str, str]) -> Path:
    """HOME, or what the system's list of users says; `/` for a user who is not in it, as containers have them."""
    if named := environment.get("HOME"):
        return Path(named)
    try:
        return Path.home()
    except RuntimeError:
        return Path("/")
