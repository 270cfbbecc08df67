"""The checks that really run: what fits the host, overlaid by what is configured."""

from __future__ import annotations

from agent.checks import registry
from agent.checks.contract import CheckOptions
from agent.config.schema import Config
from agent.paths import System


def effective_checks(config: Config, system: System) -> dict[str, CheckOptions]:
    """Options by the check's name: the host's defaults, then the configured ones; none that is turned off."""
    checks: dict[str, CheckOptions] = {}
    if config.agent.default_checks:
        for kind in registry.CHECKS:
            check = registry.load(kind)
            if kind in config.checks or (check.needs and not getattr(config, check.needs)):
                continue
            if (options := check.default(system)) is not None:
                checks[kind] = options
    checks.update(config.checks)
    return {name: options for name, options in checks.items() if options.enabled}
