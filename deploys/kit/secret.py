"""Secrets come from a file or a command outside the inventory, and show in nothing that is printed or kept."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import msgspec
from pyinfra.api.exceptions import PyinfraError

from deploys.kit.local import LocalError, output

_known: set[bytes] = set()


def known() -> frozenset[bytes]:
    """Every secret that was read in this process, for whoever shows things and must not show these."""
    return frozenset(_known)


class SecretError(PyinfraError):
    """A secret cannot be had; says from where, and never what."""


class Secret(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """Where a secret is, on the administrator's machine; one of the two."""

    file: str | None = None
    """A path; `~` is the home folder."""
    command: Annotated[tuple[str, ...], msgspec.Meta(max_length=100)] = ()
    """A program and its arguments, whose output it is: `["pass", "show", "hostward/token"]`."""

    def __post_init__(self) -> None:
        """Exactly one place."""
        if (self.file is None) == (not self.command):
            raise ValueError('expected one of {"file": PATH} and {"command": [PROGRAM, ARGUMENT…]}')

    def read(self) -> bytes:
        """The secret, without the end of its last line. Raises SecretError."""
        try:
            found = output(self.command) if self.file is None else Path(self.file).expanduser().read_bytes()
        except OSError as error:
            raise SecretError(f"the secret in {self.file} cannot be read: {error.strerror}") from None
        except LocalError as error:
            raise SecretError(f"the secret's command failed: {error}") from None
        if not found.strip():
            raise SecretError(f"the secret in {self.file or ' '.join(self.command[:1])} is empty")
        secret = found.rstrip(b"\r\n")
        _known.add(secret)
        return secret
