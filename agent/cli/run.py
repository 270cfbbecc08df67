"""`hostward run`: the agent itself."""

from __future__ import annotations

import argparse

from agent.daemon import log
from agent.daemon import loop as daemon
from agent.paths import configuration_file, state_folder
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """No options but those of every command."""


def run(options: argparse.Namespace) -> int:
    """Run until a signal ends it."""
    file, named = configuration_file(options.config)
    log.set_up()
    daemon.run(state_folder(options.state_dir).absolute(), file, must_exist=named)
    return 0


RUN = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward run                                       what systemd starts
  hostward run --state-dir ~/hostward                without root
  hostward run --config test.toml --state-dir /tmp/h beside the agent of this host""",
    notes="""\
It needs no configuration: the checks that fit this host run by themselves. It ends within 10 s of SIGTERM or Ctrl-C,
and reads its configuration again on SIGHUP and whenever the files change.
Mistakes in the configuration do not keep it from watching: the check `config` tells of them, and until they are
mended the last configuration without mistakes is in force, or the default checks where there never was one.
exit codes: 0 ended by a signal, 1 failed, 2 bad usage, such as a --config that is not there.""",
)
