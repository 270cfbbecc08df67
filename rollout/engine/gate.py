"""How a host's agent is, asked on the host itself."""

from __future__ import annotations

import gevent
import msgspec
from paramiko import SSHException
from pyinfra.api.exceptions import PyinfraError
from pyinfra.api.host import Host
from pyinfra.context import ctx_host

from deploys.operations.run import ran
from rollout.engine import sentences
from rollout.engine.run import SHAKE
from rollout.engine.watch import Watch
from rollout.protocol import HANDSHAKE, STATUS, Health, Order
from wire.status import Status

SCRIPT = (
    'PATH="$PATH:/usr/local/bin:/opt/hostward/current/bin"; '
    "command -v hostward >/dev/null || { echo absent; exit 0; }; "
    # Its exit code is the worst check's state, which is said in what it prints.
    "hostward status --json || true"
)


def health(host: Host, watch: Watch, order: Order) -> Health:
    """Ask it, whatever it takes, within a bounded time. A connection that could be had stays."""
    with ctx_host.use(host):
        return _asked(host, watch, order)


def _asked(host: Host, watch: Watch, order: Order) -> Health:
    try:
        with SHAKE, gevent.Timeout(order.connect_timeout + HANDSHAKE, TimeoutError("timed out")):
            host.connect(raise_exceptions=True, show_errors=False)
    except (
        Exception
    ) as error:  # whatever it is, as UnicodeError of a name that cannot be one, it is this host's alone
        return Health(host=host.name, reachable=False, problem=sentences.of_connecting(host.name, error))
    try:
        with gevent.Timeout(2 * STATUS, TimeoutError("it did not answer in time")):
            said = ran(host, SCRIPT, timeout=STATUS)
    except TimeoutError:
        return Health(host=host.name, reachable=True, problem=f"{host.name} did not say within {STATUS} s how it is")
    except (PyinfraError, OSError, EOFError, SSHException) as error:
        return Health(host=host.name, reachable=False, problem=f"{host.name}: {sentences.of(error)}")
    if said.output.strip() == "absent":
        return Health(host=host.name, reachable=True, problem=f"{host.name} has no agent")
    try:
        status = msgspec.json.decode(said.output, type=Status)
    except (msgspec.DecodeError, UnicodeError):
        complaint = watch.complaint or said.complaint
        problem = f"{host.name}: its agent cannot be asked: {complaint}"
        return Health(host=host.name, reachable=True, installed=said.ok, problem=problem)
    return Health(
        host=host.name,
        reachable=True,
        installed=True,
        running=status.agent.running,
        version=status.agent.version,
        time=status.time,
        checks=list(status.checks),
        problem=status.problem or "",
    )
