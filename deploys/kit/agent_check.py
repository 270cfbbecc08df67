"""The agent's configuration, looked at on this machine before anything is pushed."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from threading import Lock

import msgspec

from deploys.kit.local import LocalError, output

_looking = Lock()


class _Mistake(msgspec.Struct):
    message: str
    file: str | None = None
    line: int | None = None
    key: str = ""


class _Answer(msgspec.Struct):
    valid: bool
    mistakes: list[_Mistake] = []


def mistakes(files: Mapping[str, str]) -> list[str]:
    """Every mistake in the files of /etc/hostward, by name: `agent.toml`, `agent.d/web.toml`. None when it is valid.

    Raises LocalError where this machine cannot tell.
    """
    # Hosts are prepared side by side, most of them with the same files: one looks, and the others have its answer.
    with _looking:
        return list(_mistakes(tuple(sorted(files.items()))))


@lru_cache(maxsize=1000)
def _mistakes(files: tuple[tuple[str, str], ...]) -> tuple[str, ...]:
    with tempfile.TemporaryDirectory(prefix="hostward-") as folder:
        for name, text in (("agent.toml", ""), *files):
            place = Path(folder, name)
            place.parent.mkdir(mode=0o700, exist_ok=True)
            place.write_text(text)
            place.chmod(0o600)
        program = Path(sys.executable).with_name("hostward")
        words = [str(program), "config", "check", "--json", "--config", f"{folder}/agent.toml"]
        # What it prints counts, and it ends with 2 when there are mistakes.
        said = output(["sh", "-c", '"$@" || test $? = 2', "sh", *words], timeout=60)
        try:
            answer = msgspec.json.decode(said, type=_Answer)
        except msgspec.DecodeError:
            raise LocalError(f"{program} config check does not say whether the configuration is valid") from None
        found = []
        for mistake in answer.mistakes:
            name = (mistake.file or "").removeprefix(f"{folder}/")
            place_of = ":".join([name or "agent.toml", *([str(mistake.line)] if mistake.line else [])])
            found.append(f"{place_of}: {f'{mistake.key}: ' if mistake.key else ''}{mistake.message}")
        return tuple(found)
