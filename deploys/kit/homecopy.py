"""What an administrator's machine keeps of home, so that programs there can ask it: `home.toml` (kit/homefile.py)."""

from __future__ import annotations

from pathlib import Path

from kit.errors import HostwardError
from kit.files import write_durably
from kit.homefile import HomeError, open_home
from kit.options.words import literal

TOKEN, CA = "api-token", "ca.pem"
"""Their names beside the file."""


def is_known(file: Path, url: str) -> bool:
    """Whether the file is whole, is of the home at `url`, and home does not refuse its token.

    A home that cannot be asked just now refuses nothing.
    """
    try:
        home = open_home(file)
    except HostwardError:
        return False
    try:
        if home.url != url.rstrip("/"):
            return False
        home.get("/api/v1/hosts", dict)
    except HomeError as error:
        return error.status != 401
    finally:
        home.close()
    return True


def keep(file: Path, url: str, token: str, ca: str | None) -> None:
    """Write all of it, the file itself last. `ca` is None where the machine trusts home's certificate by itself.

    Raises OSError.
    """
    file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    lines = [f"url = {literal(url)}"]
    if ca is not None:
        write_durably(file.with_name(CA), ca.encode())
        lines.append(f"ca = {literal(CA)}")
    write_durably(file.with_name(TOKEN), token.encode() + b"\n", mode=0o600)
    lines.append(f"token_file = {literal(TOKEN)}")
    write_durably(file, "".join(f"{line}\n" for line in lines).encode())
