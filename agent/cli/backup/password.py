"""Where passwords come from: options, environment, a file, a program, or a person who types one."""

from __future__ import annotations

import argparse
import codecs
import getpass
import os
import selectors
import shlex
import stat
import sys
from pathlib import Path

from agent import credentials
from agent.cli.backup.options import chosen, require_words
from kit.errors import HostwardError, UsageError
from kit.terminal import clean

PATIENCE = 600.0
"""Seconds that a program may take to tell the password: it may ask a person."""

_MARKS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_LE, "utf-16-le"), (codecs.BOM_UTF16_BE, "utf-16-be"))


def told_password(options: argparse.Namespace, *, source: str = "") -> bytes | None:
    """The password that options or environment tell; None: a person has to be asked.

    Raises UsageError, SecretError, and HostwardError where a program was to tell it and failed.
    """
    if getattr(options, f"{source}insecure_no_password"):
        return b""
    require_words(options, f"{source}password_command", f"{source}password_file")
    said = chosen(options, f"{source}password_command", f"{source}password_file", f"{source}password")
    command, file = said.get(f"{source}password_command"), said.get(f"{source}password_file")
    if command and file:
        raise UsageError("a file and a program are both to tell the password; expected one of them")
    if command:
        return read_password_command(command)
    if file:
        return read_password_file(file)
    return os.fsencode(said[f"{source}password"]) if said else None


def ask_password(prompt: str, *, otherwise: str) -> bytes:
    """What a person types, or else the first line of standard input.

    Raises UsageError where there is nothing; it says what else could tell the password, as `ways` does.
    """
    try:
        if is_person():
            typed = os.fsencode(getpass.getpass(f"{prompt}: "))
        else:
            typed = sys.stdin.buffer.readline().rstrip(b"\r\n") if sys.stdin is not None else b""
    except EOFError:
        typed = b""
    if not typed:
        raise UsageError(f"there is no password: {otherwise}")
    return typed


def ways(source: str = "") -> str:
    """What could tell a password without asking: `source` begins the names of options, as in `told_password`."""
    option = f"--{source.replace('_', '-')}"
    return (
        f"give {option}password-file or {option}password-command, or set HOSTWARD_{source.upper()}PASSWORD_FILE; "
        f"{option}insecure-no-password is for a repository that has an empty one"
    )


def ask_new_password(prompt: str, *, otherwise: str) -> bytes:
    """The same, typed twice by a person. Raises UsageError where both differ."""
    typed = ask_password(prompt, otherwise=otherwise)
    if is_person() and ask_password(f"{prompt}, again", otherwise=otherwise) != typed:
        raise UsageError("the two passwords are not the same")
    return typed


def is_person() -> bool:
    """Whether somebody can be asked."""
    return sys.stdin is not None and sys.stdin.isatty()


def read_password_file(file: str) -> bytes:
    """The password in a file, without the space around it, as restic reads it. Raises UsageError, SecretError."""
    if file.startswith(credentials.PREFIX):
        return credentials.read_secret(file).encode()
    name = clean(file)
    try:
        with open(file, "rb") as stream:
            status = os.fstat(stream.fileno())
            content = stream.read(credentials.MAX_SIZE + 1)
    except OSError as error:
        raise UsageError(f"{name}, which should hold the password: {error.strerror}") from None
    if len(content) > credentials.MAX_SIZE:
        raise UsageError(f"{name}: is larger than {credentials.MAX_SIZE // 1024} KiB, so it holds no password")
    if stat.S_ISREG(status.st_mode) and (wrong := credentials.too_open(status)):
        print(f"hostward: warning: {name}, which holds the password: {wrong}", file=sys.stderr)
    return _stripped(content, name)


def read_password_command(command: str) -> bytes:
    """What a program prints, without the space around it, as restic reads it. No shell reads the command.

    The program gets the environment (but no passwords in it) and the working folder of this one. Raises UsageError,
    and HostwardError where it failed.
    """
    # Loaded for those who have a program tell it, not by every command.
    from agent.jobs.limits import Limits
    from agent.jobs.run import Ended
    from agent.jobs.supervisor import Jobs

    try:
        words = shlex.split(command)
    except ValueError as error:
        raise UsageError(f"--password-command: {str(error).lower()}") from None
    if not words:
        raise UsageError("--password-command names no program")
    if "/" in words[0]:
        words[0] = str(Path(words[0]).absolute())
    name = clean(words[0])
    ends: list[Ended] = []
    with selectors.DefaultSelector() as selector:
        jobs = Jobs(selector)
        jobs.start_command(
            "password",
            words,
            limits=Limits(time=PATIENCE, output=credentials.MAX_SIZE),
            environment=os.environ,
            folder=str(Path.cwd()),
            on_end=ends.append,
        )
        try:
            while not ends:
                jobs.wait(None)
        finally:
            jobs.stop(grace=1.0)
    (end,) = ends
    if end.outcome != "done":
        raise HostwardError(f"{name}, which should tell the password, failed: {end.message}")
    return _stripped(end.output, f"what {name} prints")


def _stripped(content: bytes, where: str) -> bytes:
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            content = content.removeprefix(mark).decode(encoding, "replace").encode()
            break
    found = content.strip()
    if not found:
        raise UsageError(f"{where}: is empty; expected the password")
    return found
