"""Secrets that the agent's options name (kit/credentials.py)."""

from __future__ import annotations

from kit.credentials import (
    FOLDER,
    GROUP,
    MAX_SIZE,
    PREFIX,
    SecretError,
    read_environment,
    read_secret,
    too_open,
)

__all__ = ["FOLDER", "GROUP", "MAX_SIZE", "PREFIX", "SecretError", "read_environment", "read_secret", "too_open"]
