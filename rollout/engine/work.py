"""What the process of a wave does, once its standard descriptors are its own and gevent stands below everything."""

from __future__ import annotations

import logging
import os
import resource
import sys
import warnings
from collections.abc import Callable
from contextlib import AbstractContextManager, suppress
from pathlib import Path

import pyinfra
from gevent.pool import Pool
from pyinfra.api.config import Config
from pyinfra.api.host import Host
from pyinfra.context import ctx_config, ctx_inventory, ctx_state
from pyinfra_cli.util import exec_file

from deploys.kit import holder, notes, output, permits, tables
from deploys.kit.options import OptionsError
from rollout.engine import sentences
from rollout.engine.faster import quicken
from rollout.engine.gate import health
from rollout.engine.inventory import OrderError, chosen, described, load
from rollout.engine.line import Line
from rollout.engine.masks import Masks
from rollout.engine.printed import print_with
from rollout.engine.run import Run
from rollout.engine.state import WaveState
from rollout.engine.watch import ask_nobody
from rollout.protocol import Order, Refused, Spared


def prepare() -> None:
    """What is the same for every order: be as pyinfra's command line is, with nobody to ask."""
    sys.dont_write_bytecode = True
    if not sys.warnoptions:
        warnings.simplefilter("ignore")
    logging.getLogger("paramiko").setLevel(logging.CRITICAL)
    _, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (most, most))
    pyinfra.is_cli = True
    ask_nobody()
    quicken()
    output.bound()


def load_deploy(order: Order) -> None:
    """Load the order's deploy where it is one of ours, once for all orders."""
    with suppress(Exception):  # whoever carries out the order tells of it
        tables.module_of(order.deploy)


def work(order: Order, reading: int, writing: int) -> None:
    """Carry it out, and tell of it."""
    masks = Masks()
    line = Line(reading, writing, masks)
    try:
        _carry_out(order, line, masks)
    except OrderError as error:
        line.say(Refused(message=str(error)))
    line.close()


def _carry_out(order: Order, line: Line, masks: Masks) -> None:
    _settle(order)
    runs: dict[Host, Run] = {}

    def hear(host: Host, level: int, text: str) -> None:
        run = runs.get(host)
        if run is not None:
            run.printed(level, text)

    print_with(masks, hear)
    state, hosts = _state(order, masks)
    if order.task == "describe":
        try:
            tables.check(state.inventory, hosts, order.deploy)
        except OptionsError as error:
            raise OrderError(str(error)) from None
        for one in [described(host) for host in hosts]:
            line.say(one)
        return
    if order.task == "gate":
        _look(state, hosts, order, line, stay=False)
        return
    _compile(order)
    state.current_deploy_filename = order.deploy
    runs |= {host: Run(state, host, order, line) for host in hosts}

    def leave(host: Host, what: str) -> AbstractContextManager[permits.Holds]:
        return runs[_real(state, host)].leave(what)

    holder.belong(order.rollout)
    notes.listen(lambda host, note: runs[_real(state, host)].heard(note))
    permits.ask(leave)
    if order.look:
        # Whoever is not worked on at once is not connected to meanwhile.
        stay = not 0 < order.parallel < len(hosts)
        _look(state, [host for host in hosts if host.name in order.look], order, line, stay=stay)
        line.looked()
    failed = 0

    def run(host: Host) -> None:
        nonlocal failed
        if order.failures is not None and failed > order.failures:
            line.say(Spared(host=host.name))
        elif not runs[host].run():
            failed += 1

    _each(hosts, order.parallel, run)


def _look(state: WaveState, hosts: list[Host], order: Order, line: Line, *, stay: bool) -> None:
    def look(host: Host) -> None:
        watch = state.watch(host, order.silence)
        line.say(health(host, watch, order))
        if not stay:
            watch.close()

    _each(hosts, order.parallel, look)


def _real(state: WaveState, host: Host) -> Host:
    """The host itself: deploys also pass on what stands for whichever is at work."""
    return state.inventory.hosts[host.name]


def _each(hosts: list[Host], parallel: int, call: Callable[[Host], None]) -> None:
    pool = Pool(parallel or len(hosts))
    for host in hosts:
        pool.spawn(call, host)
    pool.join(raise_error=True)


def _settle(order: Order) -> None:
    """Be in the order's folder, and print into its log."""
    try:
        log = os.open(order.log, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
    except OSError as error:
        raise OrderError(f"the log {order.log} cannot be written: {error.strerror}") from None
    os.dup2(log, 1)
    os.dup2(log, 2)
    os.close(log)
    try:
        os.chdir(order.folder)
    except OSError as error:
        raise OrderError(f"the folder {order.folder} cannot be entered: {error.strerror}") from None
    sys.path.append(order.folder)


def _state(order: Order, masks: Masks) -> tuple[WaveState, list[Host]]:
    state = WaveState()
    state.cwd = order.folder
    ctx_state.set(state)
    config = Config()
    ctx_config.set(config)
    _configure(order)
    config.CONNECT_TIMEOUT = order.connect_timeout  # type: ignore[assignment]
    config.DIFF = order.task == "dry" and order.diff
    # How many hosts may fail, and how many are worked on at once, is the runner's to say.
    config.FAIL_PERCENT = None
    state.check_for_changes = order.task == "dry"
    inventory = load(order)
    masks.learn(inventory)
    ctx_inventory.set(inventory)
    hosts = chosen(inventory, order.hosts)
    config.PARALLEL = 1
    state.init(inventory, config, initial_limit=hosts)
    config.PARALLEL = 0
    return state, hosts


def _configure(order: Order) -> None:
    path = Path(order.folder, "config.py")
    if path.exists():
        try:
            exec_file(str(path))
        except Exception as error:
            raise OrderError(f"{path} cannot be read: {sentences.of(error)}") from None


def _compile(order: Order) -> None:
    """Find out before anything is done whether the deploy is there, and is Python."""
    try:
        compile(Path(order.deploy).read_text(), order.deploy, "exec")
    except OSError as error:
        raise OrderError(f"the deploy {order.deploy} cannot be read: {error.strerror}") from None
    except (SyntaxError, ValueError) as error:
        raise OrderError(f"the deploy cannot be read: {sentences.of(error)}") from None
