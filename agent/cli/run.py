"""`hostward run`: the agent itself."""

from __future__ import annotations

import argparse
import os

from agent.daemon import log
from agent.daemon import loop as daemon
from agent.paths import configuration_file, state_folder

EPILOG = """\
examples:
  hostward run                                       what systemd starts
  hostward run --state-dir ~/hostward                without root
  hostward run --config test.toml --state-dir /tmp/h beside the agent of this host

It needs no configuration: the checks that fit this host run by themselves. It ends within 10 s of SIGTERM or Ctrl-C,
and reads its configuration again on SIGHUP and whenever the files change.
exit codes: 0 ended by a signal, 1 failed, 2 mistakes in the configuration."""


def configure(parser: argparse.ArgumentParser) -> None:
    """No options but those of every command."""


def run(options: argparse.Namespace) -> int:
    """Run until a signal ends it."""
    # The default file may be missing; one that somebody named must be there.
    named = options.config is not None or bool(os.environ.get("HOSTWARD_CONFIG"))
    log.set_up()
    daemon.run(state_folder(options.state_dir).absolute(), configuration_file(options.config), must_exist=named)
    return 0
