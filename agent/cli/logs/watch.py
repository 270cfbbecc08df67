"""`hostward logs watch`: rotates logs when they are due, not when a timer comes by."""

from __future__ import annotations

import argparse

from agent.config.log_rules import load_log_rules
from agent.config.logs import LogOptions
from agent.daemon import log
from agent.daemon.notify import Notifier
from agent.logs.rules import place
from agent.logs.watch.server import Watcher
from agent.logs.watch.work import Places
from agent.paths import configuration_file, state_folder
from kit.commands import Command


def configure(parser: argparse.ArgumentParser) -> None:
    """Add its one option."""
    parser.add_argument(
        "--configured", action="store_true", help="do nothing but say by the exit code whether there are rules"
    )


def run(options: argparse.Namespace) -> int:
    """Watch until a signal ends it."""
    file, named = configuration_file(options.config)

    def load() -> tuple[LogOptions, ...]:
        return load_log_rules(file, must_exist=named)

    if options.configured:
        return 0 if any(rule.enabled for rule in load()) else 1
    log.set_up()
    places = Places(
        folder=place.folder(options.state_dir),
        config=file if named else None,
        agent=state_folder(options.state_dir).absolute(),
    )
    Watcher(load, file, places, Notifier()).run()
    return 0


WATCH = Command(
    run=run,
    configure=configure,
    examples="""\
  hostward logs watch                 in the foreground; the unit hostward-logs starts this
  hostward logs watch --configured    what the unit asks before it starts""",
    notes="""\
Logs are rotated within a second of crossing their size, and when the clock, the disk or the budget says so. They are
compressed by a process of low priority, once the checks of kind log have read them. SIGHUP, or a changed
configuration, has the rules read again; SIGTERM ends it.
exit codes: 0 ended by a signal, or there are rules; 1 failed, or there are none; 2 bad usage or configuration.""",
)
