"""Commands that a step runs on its host while it is executed, with the rights that the host's data gives.

`host.run_shell_command` alone knows nothing of `_sudo` in the data.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import msgspec
from pyinfra.api.arguments import CONNECTOR_ARGUMENT_KEYS, pop_global_arguments
from pyinfra.api.command import StringCommand
from pyinfra.api.host import Host

from deploys.kit.notes import Outcome
from deploys.operations.fail import StepError

TIMEOUT = 600
"""Seconds for a command that says nothing of it."""


class Ran(msgspec.Struct, frozen=True):
    """What became of a command."""

    ok: bool
    """Whether it ended with 0."""
    output: str
    """Its standard output, without the end of its last line."""
    complaint: str
    """The last line of its standard error, or what it said instead."""


def literal(words: Iterable[str]) -> list[str]:
    """A program's words for systemd-run: systemd puts in what the unit's environment has for `${NAME}`."""
    return [word.replace("$", "$$") for word in words]


def ran(host: Host, script: str, *, input: str | None = None, timeout: int = TIMEOUT) -> Ran:
    """Run lines of sh, in a locale in which programs say the same everywhere.

    `input` is what it reads from its standard input, with the end of its last line: no list of processes shows it.
    Raises OSError (TimeoutError after `timeout` seconds), EOFError or SSHException when the connection is lost.
    """
    found, _ = pop_global_arguments(host.state, host, dict(host.current_op_global_arguments or {}))
    arguments: dict[str, Any] = {key: value for key, value in found.items() if key in CONNECTOR_ARGUMENT_KEYS}
    arguments |= {"_timeout": timeout, "_stdin": input}
    ok, said = host.run_shell_command(
        StringCommand(f"export LC_ALL=C.UTF-8; {script}"), print_output=False, print_input=False, **arguments
    )
    lines = [line for line in said.stderr_lines or said.stdout_lines if line.strip()]
    return Ran(ok, said.stdout, lines[-1].strip() if lines else "it did not say why")


def run(
    host: Host,
    script: str,
    *,
    failing: str,
    outcome: Outcome = "left_alone",
    input: str | None = None,
    timeout: int = TIMEOUT,
) -> str:
    """As `ran`, and its output.

    Raises StepError, `failing: what it complained about`, unless it ends with 0, and within `timeout` seconds.
    """
    try:
        done = ran(host, script, input=input, timeout=timeout)
    except TimeoutError as error:
        raise StepError(f"{failing}: it took longer than {timeout} s", outcome) from error
    if not done.ok:
        raise StepError(f"{failing}: {done.complaint}", outcome)
    return done.output
