"""A case: a folder, and runs of logrotate in it. Kept as TOML, one file per case."""

from __future__ import annotations

import datetime
import json
from pathlib import Path
from typing import Any, Literal

import msgspec

CASES = Path(__file__).parent / "cases"
FOLDER = "/FOLDER"
"""Stands for the folder's path in every text of a case: configurations, states, links, options."""

Kind = Literal["file", "folder", "link", "hardlink", "fifo", "absent"]


class Entry(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """Something that is put into the folder."""

    path: str
    """Relative to the folder, whose own entry is `.`; folders above it are made as they are missing."""
    kind: Kind = "file"
    text: str = ""
    """A file's content."""
    size: int = 0
    """Bytes to which the content is filled up with lines."""
    append: bool = False
    """Keep what the file has, with its mode, owner and links, and write after it."""
    to: str = ""
    """What a link points to; for a hard link, a path in the folder."""
    mode: str = ""
    """Octal; empty for 0644, and 0755 for a folder."""
    owner: str = ""
    """`user:group`, by numbers or names; empty for who runs the tests."""
    acl: str = ""
    """What `setfacl --modify` takes."""
    age: int = 0
    """Seconds since it was modified, at the clock of the run that it is put there for."""


class Run(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """One call of logrotate, in the folder."""

    clock: datetime.datetime
    """Local time; it stands still during the run."""
    options: list[str] = msgspec.field(default_factory=lambda: ["-v", "-s", "status", "logrotate.conf"])
    """The whole command line."""
    user: str = ""
    """Who runs it; empty for who runs the tests."""
    umask: str = "022"
    entries: list[Entry] = []
    """Put into the folder before it."""


class Case(msgspec.Struct, frozen=True, forbid_unknown_fields=True, omit_defaults=True):
    """What happens to a folder."""

    what: str
    """The behaviour that it holds, in a sentence."""
    runs: list[Run]
    """The first one's entries are the folder as it is found, with the configuration and the state."""
    timezone: str = "UTC"


def load(path: Path) -> Case:
    """Read a case. Raises msgspec.ValidationError for what is not one."""
    return msgspec.toml.decode(path.read_bytes(), type=Case)


def dump(case: Case) -> str:
    """A case as the text of its file."""
    lines = [f"what = {quoted(case.what)}"]
    if case.timezone != "UTC":
        lines.append(f"timezone = {quoted(case.timezone)}")
    for run in case.runs:
        lines += ["", "[[runs]]", f"clock = {run.clock.isoformat()}", f"options = {quoted(run.options)}"]
        for name, default in (("user", ""), ("umask", "022")):
            if getattr(run, name) != default:
                lines.append(f"{name} = {quoted(getattr(run, name))}")
        for entry in run.entries:
            lines += ["", "[[runs.entries]]"]
            lines += [f"{name} = {quoted(value)}" for name, value in msgspec.to_builtins(entry).items()]
    return "\n".join(lines) + "\n"


def quoted(value: Any) -> str:
    """A value in TOML, of whose strings JSON's are a part; text of several lines is set as such."""
    is_lines = isinstance(value, str) and "\n" in value[:-1]
    if is_lines and "'''" not in value and value.replace("\n", "").replace("\t", "").isprintable():
        return f"'''\n{value}'''"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
