"""`hostward-collector backup flags`: what is odd, and the alerts."""

from __future__ import annotations

import argparse

import msgspec

from collector.backups.keeping import records
from collector.backups.keeping.figures import AlertFigure, alert_figure
from collector.backups.keeping.records import Known
from collector.cli.backup.ground import configure_choice, ground
from collector.cli.command import moment
from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean


class _Flagged(msgspec.Struct, frozen=True):
    repository: str
    snapshot: str
    received: float
    claimed: float | None
    flags: list[str]
    messages: list[str]


class _Found(msgspec.Struct, frozen=True):
    flagged: list[_Flagged]
    alerts: list[AlertFigure]


def _configure(parser: argparse.ArgumentParser) -> None:
    configure_choice(parser)
    parser.add_argument("--all", action="store_true", help="also alerts that were acknowledged or ended")


def _run(options: argparse.Namespace) -> int:
    with ground(options) as home:
        targets, names = home.targets(options.repository), home.names()
        titles = {target.name: target.title for target in targets}
        with home.database.read() as connection:
            flagged = [
                _flagged(target.title, one)
                for target in targets
                for one in records.known(connection, target.name)
                if one.removed is None and one.facts.flagged
            ]
            alerts = [
                alert_figure(alert, names)
                for alert in records.alerts(connection)
                if alert.repository in titles and (options.all or alert.acknowledged is None)
            ]
    if options.json:
        print(json_text(_Found(flagged, alerts), indent=False))
        return 0
    if not flagged:
        print("no snapshot is flagged")
    for one in flagged:
        print(f"{clean(one.repository)} {one.snapshot[:8]}: {', '.join(one.flags)}; received {moment(one.received)}")
        for message in one.messages:
            print(f"  {clean(message)}")
    if not alerts:
        print("there is no alert")
    for alert in alerts:
        _print(alert, titles[alert.repository])
    return 0


def _flagged(title: str, one: Known) -> _Flagged:
    facts = one.facts
    return _Flagged(
        title,
        facts.name,
        facts.received,
        facts.claimed,
        [flag.kind for flag in facts.flags],
        [flag.message for flag in facts.flags],
    )


def _print(one: AlertFigure, title: str) -> None:
    about = clean(f"{title}: {one.group}" if one.group else title)
    print(f"alert {one.id}: {one.kind}, {about}; raised {moment(one.raised)}")
    print(f"  {clean(one.message)}")
    if one.acknowledged is None:
        if one.stops:
            print(f"  nothing of it is removed until: hostward-collector backup acknowledge {one.id}")
    elif one.acknowledged_by:
        print(f"  acknowledged {moment(one.acknowledged)} by {clean(one.acknowledged_by)}")
    else:
        print("  ended by itself")


FLAGS = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector backup flags
  hostward-collector backup flags web1 --json
  hostward-collector backup flags --all""",
    notes="""\
A flagged snapshot is not removed, and pushes no other out, until `backup release` says that it is as it should be.
An alert that stops removal does so until `backup acknowledge` says that somebody has looked.""",
)
