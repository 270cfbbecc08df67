"""Changes settings of the agent over a group, in a drop-in of their own, and puts back what the agent refuses.

pyinfra INVENTORY deploys/agent_config.py --data agent_config.set="checks.cpu.every=30s"
"""

from __future__ import annotations

from functools import partial
from typing import Annotated, Any

import msgspec
from pyinfra.api.deploy import deploy
from pyinfra.context import host
from pyinfra.facts.files import FileContents

from deploys.facts.agent import HostwardInstalled
from deploys.kit.alone import run_alone
from deploys.kit.options import OptionsError, options
from deploys.kit.source import PREFIX
from deploys.operations.diff import show
from deploys.operations.fail import attempt, fail
from deploys.operations.release import Plan, PlannedFile, bring
from deploys.rules.agent_settings import changed, parsed

FileName = Annotated[str, msgspec.Meta(pattern=r"\A[A-Za-z0-9_-][A-Za-z0-9_.-]*\.toml\Z", max_length=100)]


class AgentConfigOptions(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The table `agent_config` of a host's data."""

    set: str | tuple[str, ...] | dict[str, Any] = ()
    """`checks.cpu.every=30s`, several of these, or tables of the agent's configuration."""
    unset: str | tuple[str, ...] = ()
    """Keys that the drop-in is to have no longer: `checks.cpu.every`."""
    file: FileName = "zz-settings.toml"
    """The drop-in in /etc/hostward/agent.d. Those whose names come later win."""
    patience: Annotated[float, msgspec.Meta(ge=5, le=3600)] = 20.0
    """Seconds in which the agent has to take it."""


@deploy("Agent's configuration")
def agent_config(given: AgentConfigOptions | None = None) -> None:
    """Have the drop-in of the current host say what `given`, or its data, asks for."""
    wanted = given or options(host, "agent_config", AgentConfigOptions)
    path = f"/etc/hostward/agent.d/{wanted.file}"
    seen = host.get_fact(HostwardInstalled, python=None, prefix=PREFIX)
    python = seen.python()
    if seen.current is None or python is None:
        fail(reason="no agent is installed here", name=f"Change {path}")
        return
    before = "".join(f"{line}\n" for line in host.get_fact(FileContents, path=path) or [])
    try:
        after = changed(before, _given(wanted), [wanted.unset] if isinstance(wanted.unset, str) else wanted.unset)
    except (ValueError, TypeError) as error:
        raise OptionsError(f"{host.name}: agent_config: {path}: {error}") from None
    if after == (before or None):
        return
    file = PlannedFile(path, after)
    if host.state.config.DIFF:
        show(host, [file], secret=())
    runs = "hostward-agent.service" in seen.active
    plan = Plan(
        prefix=PREFIX,
        version=seen.current,
        previous=seen.current,
        release=False,
        built=False,
        files=(file,),
        links={},
        accounts="",
        enable=(),
        restart=False,
        reload=runs,
        watch=runs,
        patience=wanted.patience,
    )
    attempt(work=partial(bring, plan=plan, python=python), name=f"Change {path}, and have the agent take it")


def _given(wanted: AgentConfigOptions) -> list[dict[str, Any]]:
    if isinstance(wanted.set, dict):
        return [wanted.set]
    return [parsed(setting) for setting in ([wanted.set] if isinstance(wanted.set, str) else wanted.set)]


run_alone(globals(), agent_config)
