"""`hostward-collector host groups`: what inventories choose hosts by."""

from __future__ import annotations

import argparse

import msgspec

from collector.api.groups import HostGroups
from collector.cli.command import note, opened
from collector.store import groups, hosts
from kit.commands import Command
from kit.errors import HostwardError, UsageError


def _configure(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("host", metavar="NAME_OR_ID")
    parser.add_argument(
        "groups", nargs="*", metavar="GROUP", help="all of its groups; none are named to take all away"
    )
    parser.add_argument("--tag", action="append", default=[], metavar="KEY=VALUE", help="each of its tags")


def _run(options: argparse.Namespace) -> int:
    tags = dict(_pair(text) for text in options.tag)
    try:
        asked = msgspec.convert({"groups": options.groups, "tags": tags}, HostGroups)
    except msgspec.ValidationError as error:
        raise UsageError(
            f"{error}; names are letters, digits and . _ : -, and begin with one of the former"
        ) from None
    labels = groups.Labels(sorted(set(asked.groups)), asked.tags)
    with opened(options) as database, database.write() as connection:
        found = hosts.find_active(connection, options.host)
        if found is None:
            raise HostwardError(
                f"there is no host with the name or id {options.host} (hostward-collector host list shows them)"
            )
        groups.save(connection, found.id, labels)
        said = ", ".join([*labels.groups, *(f"{key}={value}" for key, value in labels.tags.items())]) or "none"
        note(connection, "host.grouped", subject=f"host:{found.id}", detail=f"{found.name}: {said}")
    print(f"{found.name}: {said}")
    return 0


def _pair(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals:
        raise UsageError(f'--tag: "{text}" is not KEY=VALUE')
    return key, value


GROUPS = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-collector host groups web1 web shop --tag zone=a --tag address=192.0.2.10
  hostward-collector host groups web1        # in none any more""",
    notes="""\
inventory/collector.py gives pyinfra these groups. The tag address says where ssh reaches the host, zone which hosts
may fail together.""",
)
