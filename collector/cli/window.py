"""`hostward-collector window`: that somebody is at work on hosts, and until when."""

from __future__ import annotations

import argparse
import time

from collector import maintenance
from collector.cli.command import duration, json_option, moment, opened, unix_user
from collector.store import hosts, windows
from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.jsontext import json_text
from kit.terminal import table
from kit.units import format_duration
from wire.limits import MAX_MESSAGE
from wire.window import MAX_DURATION, WindowRequest


def _configure_list(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--all", action="store_true", help="those that are over too")
    json_option(parser)


def _list(options: argparse.Namespace) -> int:
    now = time.time()
    with opened(options) as database, database.read() as connection:
        found = windows.listed(connection, now, ended=options.all)
    if options.json:
        print(json_text(found, indent=False))
        return 0
    if not found:
        print("no maintenance windows")
        return 0
    rows = [
        (
            each.id,
            ", ".join(each.hosts),
            moment(each.opened),
            moment(each.closed or each.until),
            each.actor,
            each.reason,
        )
        for each in found
    ]
    print(table(("id", "hosts", "opened", "until", "by", "reason"), rows))
    return 0


def _configure_open(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("hosts", nargs="+", metavar="HOST", help="names")
    parser.add_argument("--reason", required=True, metavar="TEXT", help="what is done, for who looks at the pages")
    parser.add_argument(
        "--for", dest="duration", type=duration, required=True, metavar="DURATION", help="from now on"
    )


def _open(options: argparse.Namespace) -> int:
    if not 0 < options.duration <= MAX_DURATION:
        raise UsageError(
            f"--for is {options.duration}; expected more than nothing and at most {format_duration(MAX_DURATION)}"
        )
    if len(options.reason) > MAX_MESSAGE:
        raise UsageError(f"--reason has {len(options.reason)} characters; expected at most {MAX_MESSAGE}")
    with opened(options) as database, database.write() as connection:
        for name in options.hosts:
            if hosts.find_namesake(connection, name) is None:
                raise HostwardError(f"there is no host named {name} (hostward-collector host list shows them)")
        asked = WindowRequest(hosts=options.hosts, reason=options.reason, duration=float(options.duration))
        actor = f"unix:{unix_user()}"
        window = maintenance.open_window(connection, asked, actor=actor, address="", now=time.time())
    print(f"{window.id} is open until {moment(window.until)}; hostward-collector window close {window.id} ends it")
    return 0


def _configure_close(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("window", metavar="ID")


def _close(options: argparse.Namespace) -> int:
    with opened(options) as database, database.write() as connection:
        actor = f"unix:{unix_user()}"
        closed = maintenance.close_window(connection, options.window, actor=actor, address="", now=time.time())
    if closed is None:
        raise HostwardError(f"no window {options.window} is in force (hostward-collector window list shows them)")
    print(f"{closed.id} is closed")
    return 0


LIST = Command(run=_list, configure=_configure_list, examples="  hostward-collector window list --all")
OPEN = Command(
    run=_open,
    configure=_configure_open,
    examples='  hostward-collector window open web1 web2 --for 2h --reason "new disks"',
)
CLOSE = Command(run=_close, configure=_configure_close, examples="  hostward-collector window close 3f9a1c2b4d5e")
