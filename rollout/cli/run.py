"""`hostward-rollout DEPLOY --inventory FILE`: show the plan, ask, and run it."""

from __future__ import annotations

import argparse
import getpass
import platform
import sys
import tempfile
import time
from importlib.util import find_spec
from pathlib import Path

import msgspec

from kit.commands import Command
from kit.errors import HostwardError, UsageError
from kit.homefile import home_file, open_home
from kit.jsontext import json_text
from kit.terminal import bounded, clean, paint, table
from kit.units import Duration, format_duration
from kit.version import __version__
from rollout.child import Engine
from rollout.cli import options as shared
from rollout.cli.go import go
from rollout.cli.inventory import described, dry
from rollout.events import Settings, Started
from rollout.journal import Journal, new_id
from rollout.protocol import Described, Order
from rollout.rules.amount import Amount
from rollout.rules.choice import choose
from rollout.rules.plan import Candidate, Plan, PlanError, Shape, plan

WIDE = 48
"""Characters of a host's groups in a plan; home's inventory has a dozen of them for each host."""


def _configure(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("deploy", metavar="DEPLOY", help="a file, or the name of a deploy of Hostward's: patch, agent, services…")
    add("--inventory", "-i", required=True, metavar="FILE", help="an inventory of pyinfra's, or @connector/NAME")
    add(
        "--limit",
        action="append",
        default=[],
        metavar="HOSTS",
        help="hosts and groups: web,db1 debian_12,&web all,!db1",
    )
    add(
        "--data",
        action="append",
        default=[],
        type=shared.pair,
        metavar="KEY=VALUE",
        help="data above the inventory's",
    )
    waves = parser.add_argument_group("waves")
    add = waves.add_argument
    add("--canary", action="append", default=[], metavar="N|HOST", help="how many, or which hosts, go first (1)")
    add(
        "--batch", type=shared.amount, default=Amount(25, percent=True), metavar="N|P%", help="hosts of a wave (25%%)"
    )
    add("--by", choices=("group", "zone"), default="", help="group after group, or zone after zone")
    add("--parallel", type=int, default=0, metavar="N", help="hosts of a wave at one time (all)")
    add("--max-failures", type=shared.amount, default=Amount(0), metavar="N|P%", help="hosts that may fail (0)")
    add("--timeout", type=shared.duration, default=Duration(3600), metavar="TIME", help="for one host (1h)")
    gate = parser.add_argument_group("between waves")
    add = gate.add_argument
    add("--samples", type=int, default=3, metavar="N", help="good looks at each host that open the gate; 0: none (3)")
    add("--every", type=shared.duration, default=Duration(5), metavar="TIME", help="between two looks (5s)")
    add("--patience", type=shared.duration, default=Duration(60), metavar="TIME", help="for a closed gate (1m)")
    add("--reboots", type=int, default=1, metavar="N", help="hosts that may reboot at one time (1)")
    add("--window", type=shared.duration, default=Duration(3600), metavar="TIME", help="of maintenance at home (1h)")
    add("--no-window", action="store_true", help="open no maintenance window")
    add("--home-required", action="store_true", help="pause when home is away")
    shared.home(parser)
    what = parser.add_argument_group("what to do")
    add = what.add_argument
    add("--plan", action="store_true", help="show the plan and do nothing")
    add("--dry", action="store_true", help="tell what would change, and change nothing")
    add("--diff", action="store_true", help="with --dry, show what files would become")
    add("--yes", "-y", action="store_true", help="do not ask")
    shared.as_json(parser)


def _run(options: argparse.Namespace) -> int:
    with Engine() as engine:
        return _with(engine, options)


def _with(engine: Engine, options: argparse.Namespace) -> int:
    settings = _settings(options)
    order = Order(
        task="describe",
        inventory=settings.inventory,
        folder=settings.folder,
        data=settings.data,
        deploy=settings.file,
    )
    with tempfile.TemporaryDirectory(prefix="hostward-rollout-") as folder:
        log = Path(folder) / "log"
        hosts = described(engine, order, log)
        planned = _plan(options, hosts)
        known_as = _known_as(planned, hosts)
        if options.dry:
            order = msgspec.structs.replace(order, task="dry", parallel=settings.parallel, timeout=settings.timeout)
            return _dry(engine, options, order, planned, log)
    if options.plan:
        _show_plan(options, planned, hosts)
        return 0
    if not options.json:
        _show_plan(options, planned, hosts)
    if not options.yes:
        _ask(planned)
    started = Started(
        time=time.time(),
        id=new_id(time.time()),
        who=f"{getpass.getuser()}@{platform.node()}"[:256],
        hostward=__version__,
        settings=settings,
        waves=[(wave.name, list(wave.hosts)) for wave in planned.waves],
        known_as=known_as,
    )
    return go(Journal.create(started), engine, as_json=options.json)


def _settings(options: argparse.Namespace) -> Settings:
    for name in ("parallel", "samples"):
        if getattr(options, name) < 0:
            raise UsageError(f"--{name} is {getattr(options, name)}; expected 0 or more")
    if options.reboots < 1:
        raise UsageError(f"--reboots is {options.reboots}; expected 1 or more")
    if options.batch.value < 1:
        raise UsageError(f"--batch is {options.batch}; expected 1 or more")
    if options.diff and not options.dry:
        raise UsageError("--diff goes with --dry")
    home = None if options.no_home else home_file(options.home)
    if home is None and options.home_required:
        raise UsageError("--home-required needs a home: --home FILE names it")
    if home is not None:
        open_home(home).close()  # A mistake in it is told before anything is begun.
    inventory = options.inventory
    if Path(inventory).exists():
        inventory = str(Path(inventory).absolute())
    return Settings(
        deploy=options.deploy,
        file=str(_deploy_file(options.deploy)),
        inventory=inventory,
        folder=str(Path.cwd()),
        data=dict(options.data),
        max_failures=options.max_failures,
        samples=options.samples,
        every=float(options.every),
        patience=float(options.patience),
        timeout=float(options.timeout),
        parallel=options.parallel,
        window=None if options.no_window else float(options.window),
        reboots=options.reboots,
        home=None if home is None else str(home.absolute()),
        home_required=options.home_required,
    )


def _deploy_file(given: str) -> Path:
    """The file that is named, or the deploy of ours that has the name. Raises UsageError."""
    if (path := Path(given)).suffix == ".py":
        if not path.is_file():
            raise UsageError(f"there is no deploy {given}")
        return path.absolute()
    found = find_spec("deploys")
    folders = [Path(place) for place in (found.submodule_search_locations or [])] if found is not None else []
    known = sorted(path.stem for folder in folders for path in folder.glob("[a-z]*.py"))
    for folder in folders:
        if given in known and (path := folder / f"{given}.py").is_file():
            return path
    raise UsageError(f'there is no deploy "{given}"; expected a file that ends in .py, or one of {", ".join(known)}')


def _plan(options: argparse.Namespace, hosts: list[Described]) -> Plan:
    """Raises UsageError."""
    inventory = [Candidate(host.host, _groups(host), host.zone) for host in hosts]
    counts = [word for word in options.canary if word.rstrip("%").isdigit()]
    named = [name for word in options.canary if word not in counts for name in word.split(",")]
    if len(counts) > 1 or (counts and named):
        raise UsageError("--canary is given both as a number and otherwise; expected one number, or hosts")
    try:
        canaries = Amount.parse(counts[0]) if counts else Amount(1)
    except ValueError as error:
        raise UsageError(f'--canary: "{counts[0]}" is not {error}') from None
    shape = Shape(canaries=canaries, named=tuple(named), batch=options.batch, by=options.by)
    try:
        return plan(inventory, choose(inventory, options.limit), shape)
    except PlanError as error:
        raise UsageError(str(error)) from None


def _known_as(planned: Plan, hosts: list[Described]) -> dict[str, str]:
    """The names at home of those in the plan that are called otherwise there. Raises UsageError."""
    chosen = {host for wave in planned.waves for host in wave.hosts}
    owners: dict[str, str] = {}
    for host in hosts:
        if host.host in chosen and (other := owners.setdefault(host.known_as, host.host)) != host.host:
            raise UsageError(f"{other} and {host.host} are both {host.known_as} at home; expected one host of a name")
    return {host: name for name, host in owners.items() if name != host}


def _groups(host: Described) -> tuple[str, ...]:
    """Without those that are a connector's."""
    return tuple(group for group in host.groups if not group.startswith("@"))


def _show_plan(options: argparse.Namespace, planned: Plan, hosts: list[Described]) -> None:
    if options.json:
        print(json_text(planned, indent=False))
        return
    by_name = {host.host: host for host in hosts}
    everybody = set.intersection(*(set(host.groups) for host in hosts))

    def set_apart(groups: tuple[str, ...]) -> list[str]:
        return [group for group in groups if group not in everybody]

    def shown(host: Described) -> tuple[str, str, str]:
        return host.host, bounded(", ".join(set_apart(_groups(host))), WIDE), host.zone

    rows = [
        (str(number), wave.name, *shown(by_name[host]))
        for number, wave in enumerate(planned.waves, 1)
        for host in wave.hosts
    ]
    print(table(("wave", "name", "host", "groups", "zone"), rows))
    total = sum(len(wave.hosts) for wave in planned.waves)
    print(f"\n{options.deploy}: {_amount(total, 'host')} in {_amount(len(planned.waves), 'wave')}", end="")
    print(f", at most {options.max_failures} may fail")
    if options.samples:
        every = format_duration(options.every)
        print(f"gate: {options.samples} good looks at each host, {every} apart, within {options.patience}")
    if whole := set_apart(planned.whole):
        one, *more = whole
        also = f" (and so for {_amount(len(more), 'other group')})" if more else ""
        print(paint(f"the group {one} is one host: all of it goes at once{also}", "warning"))


def _amount(count: int, noun: str) -> str:
    return f"{count} {noun}" if count == 1 else f"{count} {noun}s"


def _ask(planned: Plan) -> None:
    """Raises UsageError where nobody can answer, HostwardError when the answer is no."""
    if not sys.stdin.isatty() or not sys.stdout.isatty():
        raise UsageError("nobody can be asked here whether this is meant: --yes says that it is")
    sys.stdout.write(f"Go on with {planned.waves[0].name}? [y/N] ")
    sys.stdout.flush()
    if sys.stdin.readline().strip().lower() not in ("y", "yes"):
        raise HostwardError("nothing was done")


def _dry(engine: Engine, options: argparse.Namespace, order: Order, planned: Plan, log: Path) -> int:
    hosts = [host for wave in planned.waves for host in wave.hosts]
    changes, ended = dry(engine, msgspec.structs.replace(order, hosts=hosts, diff=options.diff), log)
    failed = [end for end in ended if end.state != "done"]
    if options.json:
        for message in [*changes, *ended]:
            print(json_text(message, indent=False))
        return HostwardError.exit_code if failed else 0
    for host in hosts:
        own = [change for change in changes if change.host == host]
        for end in (end for end in failed if end.host == host):
            print(f"{host}: {paint(end.state, 'critical')}: {clean(end.message)}")
        if not own and host not in {end.host for end in failed}:
            print(f"{host}: nothing would change")
        for change in own:
            print(f"{host}: {clean(change.operation)}")
            if change.diff:
                print("\n".join(clean(line) for line in change.diff.splitlines()))
    return HostwardError.exit_code if failed else 0


RUN = Command(
    run=_run,
    configure=_configure,
    examples="""\
  hostward-rollout patch --inventory inventory/collector.py --limit 'debian_12,&pending_security'
  hostward-rollout run agent --inventory inventory/example.py --canary web1.example.net --batch 10% --by zone
  hostward-rollout deploys/services.py -i inventory/example.py --limit web --data 'services.units=["ssh.service"]'""",
    notes="""\
Canaries go first, then batches; never all hosts of a group at once. A wave is good when each of its hosts is, and
when the agents' checks are no worse than before. Ctrl-C pauses after the wave; a second one stops at once.
The journal is in ~/.local/state/hostward/rollouts/; --yes is needed where nobody can be asked. An inventory that is
not read within 2 minutes is given up, with exit code 2; one that fails before a later wave pauses the rollout.
exit codes: 0 all hosts are done, 1 it failed or was aborted, 2 bad usage, 3 it was paused or some hosts failed
that were allowed to, 11 another process runs it.""",
)
