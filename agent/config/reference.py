"""The page docs/configuration.md: every option of the agent and of every kind of check."""

from __future__ import annotations

import inspect

import msgspec

from agent.checks import registry
from agent.checks.contract import CheckOptions
from agent.config.backups import BackupOptions
from agent.config.drills import DrillOptions
from agent.config.logs import LogOptions
from agent.config.recovery import RecoveryOptions
from agent.config.schema import AgentOptions, HomeOptions, JobOptions, MetricsOptions
from kit.options.reference import anchor, rows, shared

TABLES: dict[str, type[msgspec.Struct]] = {
    "agent": AgentOptions,
    "home": HomeOptions,
    "metrics": MetricsOptions,
    "recovery": RecoveryOptions,
}
"""Those that are there once."""
NAMED: dict[str, type[msgspec.Struct]] = {"jobs": JobOptions, "backups": BackupOptions, "drills": DrillOptions}
"""Those that are there once for each name."""
LISTED: dict[str, type[msgspec.Struct]] = {"logs": LogOptions}
"""Those that are there any number of times, as an array."""

_INTRODUCTION = """\
# Configuration

<!-- `hostward config reference` prints this page; do not edit it by hand. -->

The agent needs no configuration: without one it runs the checks that fit the host. What is to differ stands in
`/etc/hostward/agent.toml` and in files `agent.d/*.toml` beside it, which are merged over it in the order of their
names: tables key by key, any other value as a whole, but for `[[logs]]`, to which each file may add. `--config FILE`
and the environment variable `HOSTWARD_CONFIG` name another file.

The files are [TOML](https://toml.io). Durations are text such as `"500ms"`, `"15s"`, `"1h30m"` or `"7d"`, sizes such
as `"512KiB"`, `"10MiB"` or `"2GB"`. The agent watches the files and takes a change over at once when it is valid;
otherwise it goes on with what it had and says so in `hostward status`.

- `hostward config check` reports every mistake with its file and line.
- `hostward config show` prints what is in force and where each value comes from.
- `hostward config example` prints a file to begin with."""

_CHECKS = """\
## checks.NAME

One table for each check. A table that is called as a kind of check, such as `[checks.disk]`, changes the defaults of
that check; with any other name `type` says the kind, so that one kind can run several times. Every check has these
options:"""


def reference() -> str:
    """The page as Markdown, ending in a newline."""
    parts = [_INTRODUCTION]
    for name, struct in TABLES.items():
        parts += [f"## {name}", _doc(struct), _table(struct, f"{name}.")]
    parts += [_CHECKS, _table(CheckOptions, "checks.NAME.")]
    for kind in registry.CHECKS:
        parts += _check(kind)
    for table, struct in NAMED.items():
        parts += [f"## {table}.NAME", _doc(struct), _table(struct, f"{table}.NAME.")]
    for table, struct in LISTED.items():
        parts += [f"## {table}[]", _doc(struct), _table(struct, f"{table}[].")]
    parts += _shared()
    return "\n\n".join(parts) + "\n"


def _check(kind: str) -> list[str]:
    check = registry.load(kind)
    own = rows(check.Options, f"checks.{kind}.", without=CheckOptions)
    return [f"### {kind}", _doc(check.Options), "\n".join(own) if own else "It has no options of its own."]


def _shared() -> list[str]:
    """A part for each struct that options are made of, in the order in which they are met."""
    tops: list[tuple[type[msgspec.Struct], str]] = [(struct, f"{name}.") for name, struct in TABLES.items()]
    tops += [(CheckOptions, "checks.NAME.")]
    tops += [(registry.load(kind).Options, f"checks.{kind}.") for kind in registry.CHECKS]
    tops += [(struct, f"{name}.NAME.") for name, struct in NAMED.items()]
    tops += [(struct, f"{name}[].") for name, struct in LISTED.items()]
    parts: list[str] = []
    for struct, places in shared(tops, base=CheckOptions).items():
        used = ", ".join(f"`{place}`" for place in places)
        parts += [f"## {anchor(struct)}", f"{_doc(struct)}\n\nUsed by {used}.", _table(struct, "")]
    return parts


def _table(struct: type[msgspec.Struct], path: str) -> str:
    return "\n".join(rows(struct, path))


def _doc(thing: type) -> str:
    return inspect.cleandoc(thing.__doc__ or "")
