"""agent.toml and `agent.d/*.toml` beside it, as one Config."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from agent.checks import registry
from agent.checks.contract import CheckOptions
from agent.config.defaults import effective_checks
from agent.config.drills import misfits
from agent.config.log_rules import TABLE as LOGS
from agent.config.log_rules import namesakes, unknown_archives
from agent.config.places import files_and_folder, folder_beside
from agent.config.schema import CONFIG_CHECK, METRICS_CHECK, Config
from agent.config.trust import distrust, own_or_roots
from agent.paths import System
from kit.options.decode import Choice, Chooser, UnfitError, nearest
from kit.options.load import Loaded, MistakesError
from kit.options.load import load as load_files
from kit.options.tree import Mistake, Place
from wire.limits import MAX_CHECKS

THIS_HOST = System()
OWN_CHECKS = {CONFIG_CHECK: "the configuration", METRICS_CHECK: "the metrics"}
"""Names that no configured check can have."""


def load(file: Path, *, system: System = THIS_HOST, must_exist: bool = False) -> Config:
    """What `read` finds, without where it found it."""
    return read(file, system=system, must_exist=must_exist).value


def read(
    file: Path, *, system: System = THIS_HOST, must_exist: bool = False, owners: frozenset[int] | None = None
) -> Loaded[Config]:
    """The configuration, and where each of its values stands. No file at all is the default configuration.

    `must_exist` is for a `file` that somebody named. `owners` are those to whom the files may belong, by default root
    and whoever runs this (see agent.config.trust).
    Raises ConfigurationError with a line for each mistake.
    """
    if mistakes := distrust(files_and_folder(file), own_or_roots() if owners is None else owners):
        raise MistakesError(mistakes)
    loaded = load_files(
        Config,
        file,
        folder=folder_beside(file),
        must_exist=must_exist,
        choosers={CheckOptions: check_chooser(system)},
        joined=(LOGS,),
    )
    rules, backups, tree = loaded.value.logs, loaded.value.backups, loaded.tree
    mistakes = namesakes(rules, tree) + unknown_archives(rules, backups, tree)
    if mistakes := mistakes + misfits(loaded.value.drills, backups, tree):
        raise MistakesError(mistakes)
    # What a report has room for: a check that it leaves out is one that home takes to be gone.
    jobs = sum(job.enabled for job in loaded.value.jobs.values())
    count = len(effective_checks(loaded.value, system)) + jobs + len(OWN_CHECKS)
    if count > MAX_CHECKS:
        text = f"expected at most {MAX_CHECKS} checks, with one for each job and two of the agent, found {count}"
        raise MistakesError([Mistake(Place(str(file), 0), ("checks",), text)])
    return loaded


def check_chooser(system: System) -> Chooser:
    """Which options a table under `checks` has: those of its `type`, else of the kind that it is called.

    A table that is called as a kind begins from what that kind has on this host by default.
    """

    def choose(name: str, table: Mapping[str, Any]) -> Choice:
        if name in OWN_CHECKS:
            raise UnfitError(f"the agent has a check of this name, which watches {OWN_CHECKS[name]}: choose another")
        kind = table.get("type") or name
        if not isinstance(kind, str) or kind not in registry.CHECKS:
            known = nearest(str(kind), list(registry.CHECKS))
            if table.get("type"):
                raise UnfitError(f'expected a kind of check, found the text "{kind}"{known}', "type")
            raise UnfitError(f"is not a kind of check, so it needs a type{known}")
        check = registry.load(kind)
        return Choice(check.Options, check.default(system) if name == kind else None)

    return choose
