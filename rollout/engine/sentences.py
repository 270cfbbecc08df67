"""What went wrong, in one sentence."""

from __future__ import annotations

import re
import traceback
from pathlib import Path

import pyinfra
from click import ClickException
from paramiko.ssh_exception import NoValidConnectionsError
from pyinfra.api.exceptions import PyinfraError

_LIBRARY = (str(Path(pyinfra.__file__).parent), str(Path(pyinfra.__file__).parent.parent / "pyinfra_cli"))

_CALLBACK = "Unexpected error in Python callback: "
_RAISED = re.compile(r"""(\w+)\((["'])(.*)\2,?\)""")


def of(error: BaseException) -> str:
    """An error that a deploy, an inventory or pyinfra raised; of a mistake in Python, its file and line too."""
    if isinstance(error, ClickException):
        # pyinfra's command line wraps what the files raise that it executes.
        wrapped = getattr(error, "exception", None)
        return one_line(error.message) if wrapped is None else of(wrapped)
    if isinstance(error, SyntaxError) and error.filename:
        return f"{error.filename} line {error.lineno}: {error.msg}"
    if isinstance(error, PyinfraError):
        return one_line(str(error)) or type(error).__name__
    said = one_line(str(error))
    kind = f"{type(error).__name__}: {said}" if said else type(error).__name__
    place = _place(error)
    return f"{place}: {kind}" if place else kind


def of_connecting(host: str, error: BaseException) -> str:
    """Why a host could not be connected to."""
    text = one_line(str(error))
    lowered = text.lower()
    # What was met at each address of the host; paramiko's own text says none of it.
    behind = error.__context__
    met = behind.errors.values() if isinstance(behind, NoValidConnectionsError) else ()
    if lowered.startswith("authentication error"):
        why = "it takes neither the key nor the password that the inventory gives"
    elif "does not match" in lowered and "key" in lowered:
        why = "its host key is not the one that is known; if that is expected, remove the old one with ssh-keygen -R"
    elif "found in known_hosts" in lowered:
        why = "its host key is not known; add it to the file of known hosts"
        named = text.partition("No host key for ")[2].partition(" ")[0]
        if named:
            why = f"the host key of {named} is not known; add it to the file of known hosts"
    elif lowered.startswith("could not resolve hostname"):
        why = "its name cannot be resolved"
    elif "timed out" in lowered or "timeout" in lowered:
        why = "it did not answer in time"
    elif "refused" in lowered or any(isinstance(one, ConnectionRefusedError) for one in met):
        why = "it refuses connections"
    elif "no route to host" in lowered or "unreachable" in lowered or "unable to connect to port" in lowered:
        why = "there is no way to it"
    else:
        why = text or type(error).__name__
    return f"{host} cannot be reached: {why}"


def one_line(text: str) -> str:
    """A text as one line, without pyinfra's indentation."""
    return " ".join(text.split())


def of_complaint(lines: list[str]) -> str:
    """What a program complained about: its last line that says something; empty where there is none."""
    said = [one_line(line) for line in lines if line.strip()]
    for line in said:
        if line.startswith(("sudo:", "sudo-rs:")):
            return f"sudo refuses: {line.partition(':')[2].strip()}"
    return said[-1] if said else ""


def of_printed(text: str) -> str:
    """What pyinfra's warning says of an operation that failed; empty where it only says that it did."""
    said = one_line(text)
    if (said.startswith("Error") and "executed" in said) or said == "Error in nested operation":
        return ""
    if said.startswith(_CALLBACK):
        raised = _RAISED.fullmatch(said.removeprefix(_CALLBACK))
        return f"{raised[1]}: {raised[3]}" if raised else said.removeprefix(_CALLBACK)
    return said.removeprefix("Error: ")


def _place(error: BaseException) -> str:
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if not frame.filename.startswith(_LIBRARY)]
    mine = [frame for frame in frames if "/rollout/engine/" not in frame.filename and "<" not in frame.filename[:1]]
    return f"{mine[-1].filename} line {mine[-1].lineno}" if mine else ""
