"""The commands. What is none of them is a deploy: `hostward-rollout patch` is `hostward-rollout run patch`."""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from difflib import get_close_matches

from kit import commands

COMMANDS = {
    "run": ("rollout.cli.run:RUN", "run a deploy over an inventory, in waves; the word run may be left out"),
    "resume": ("rollout.cli.resume:RESUME", "go on with a rollout that was paused, killed, or failed"),
    "pause": ("rollout.cli.control:PAUSE", "have a rollout stop after the wave that runs"),
    "abort": ("rollout.cli.control:ABORT", "have a rollout stop at once"),
    "list": ("rollout.cli.listing:LIST", "list the rollouts of this machine"),
    "show": ("rollout.cli.listing:SHOW", "show how a rollout stands, host by host"),
}
HELP = ("help", "-h", "--help")


def dispatch(words: Sequence[str]) -> int:
    """Run one command (kit.commands.dispatch)."""
    if words and words[0] not in COMMANDS and words[0] not in HELP and not _mistyped(words):
        words = ["run", *words]
    return commands.dispatch(commands.Program("hostward-rollout", COMMANDS, _nothing), words)


def _mistyped(words: Sequence[str]) -> bool:
    """Whether the first word is rather a command than a deploy, which needs an inventory."""
    inventory = any(word.startswith(("-i", "--inventory")) for word in words)
    return not inventory and bool(get_close_matches(words[0], COMMANDS, n=1))


def _nothing(_parser: argparse.ArgumentParser) -> None:
    """No option is every command's."""
