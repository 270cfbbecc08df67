"""`hostward-rollout list` and `show`: what this machine's journals tell."""

from __future__ import annotations

import argparse
import time

from kit.commands import Command
from kit.jsontext import json_text
from kit.terminal import clean, table
from rollout.cli import options as shared
from rollout.cli.aside import aside, nobody
from rollout.journal import JournalError, find, ids, read, rollouts, standing
from rollout.missed import tell_missed
from wire.rollout import RolloutRecord

COLOURS = {"done": "ok", "failed": "critical", "unreachable": "critical", "aborted": "critical", "paused": "warning"}


def _list(options: argparse.Namespace) -> int:
    code = _listed(options)
    tell_missed(nobody if options.json else aside)
    return code


def _listed(options: argparse.Namespace) -> int:
    records, bad = [], []
    for name in ids():
        try:
            records.append(standing(rollouts() / name, read(rollouts() / name).record))
        except JournalError as error:
            bad.append(str(error))
    if options.json:
        rows = [
            {
                "id": each.id,
                "deploy": each.deploy,
                "state": each.state,
                "hosts": len(each.hosts),
                "done": _done(each),
                "started": each.started,
                "who": each.who,
            }
            for each in records
        ]
        print(json_text(rows))
    elif records:
        rows_shown = [_row(record) for record in records]
        colours = [("", "", COLOURS.get(record.state, ""), "", "", "") for record in records]
        print(table(("id", "deploy", "state", "hosts done", "started", "who"), rows_shown, colours=colours))
    else:
        print(f"no rollouts in {rollouts()}")
    for line in bad:
        aside(line)
    return 1 if bad else 0


def _show(options: argparse.Namespace) -> int:
    code = _shown(options)
    tell_missed(nobody if options.json else aside)
    return code


def _shown(options: argparse.Namespace) -> int:
    folder = find(options.id)
    record = standing(folder, read(folder).record)
    if options.json:
        print(json_text(record))
        return 0
    print(clean(f"{record.id}: {record.deploy} on {record.inventory}, by {record.who}"))
    print(f"{record.state}" + (f": {clean(record.message)}" if record.message else ""))
    rows, colours = [], []
    for wave in record.waves:
        for host in wave.hosts:
            one = record.hosts[host]
            rows.append((wave.name, host, one.state, str(one.changed), one.message))
            colours.append(("", "", COLOURS.get(one.state, ""), "", ""))
    print()
    print(table(("wave", "host", "state", "changes", "message"), rows, colours=colours))
    return 0


def _row(record: RolloutRecord) -> tuple[str, ...]:
    started = time.strftime("%Y-%m-%d %H:%M", time.localtime(record.started))
    return record.id, record.deploy, record.state, f"{_done(record)} of {len(record.hosts)}", started, record.who


def _done(record: RolloutRecord) -> int:
    return sum(host.state == "done" for host in record.hosts.values())


def _show_options(parser: argparse.ArgumentParser) -> None:
    shared.rollout(parser)
    shared.as_json(parser)


LIST = Command(run=_list, configure=shared.as_json, examples="  hostward-rollout list --json | jq '.[].id'")
SHOW = Command(run=_show, configure=_show_options, examples="  hostward-rollout show")
