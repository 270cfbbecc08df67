"""Any monitoring plugin: exit code, message, performance data.

Formats: https://www.monitoring-plugins.org/doc/guidelines.html (AEN.33, AEN.78, AEN.201).
"""

from __future__ import annotations

import re
from typing import Annotated

import msgspec

from agent.checks.contract import (
    CheckError,
    CheckOptions,
    Command,
    CommandCheck,
    Context,
    Every,
    Finding,
    Finished,
    Measurement,
    Sample,
)
from kit.units import Duration
from wire.report import STATES

_PERFORMANCE = re.compile(
    r"""
    (?<!\S) (?: '(?P<quoted>(?:[^']|''){1,256}+)' | (?P<bare>[^\s'=]{1,256}+) )
    = (?P<value>[-+]?(?:[0-9]+[.,]?[0-9]*|[.,][0-9]+)(?:[eE][-+]?[0-9]{1,3})?) (?P<unit>[^\s;,0-9'"]*)
    [^\s']*
    """,
    re.VERBOSE,
)
"""Where a match can begin and how far a label can run is bounded, and so is the time that any output takes."""
_UNITS: dict[str, tuple[str, float, str]] = {
    "": ("plugin_value", 1, ""),
    "s": ("plugin_seconds", 1, "seconds"),
    "ms": ("plugin_seconds", 1e-3, "seconds"),
    "us": ("plugin_seconds", 1e-6, "seconds"),
    "ns": ("plugin_seconds", 1e-9, "seconds"),
    "%": ("plugin_percent", 1, "percent"),
    "c": ("plugin_total", 1, ""),
    "B": ("plugin_bytes", 1, "bytes"),
    "KB": ("plugin_bytes", 1024, "bytes"),
    "MB": ("plugin_bytes", 1024**2, "bytes"),
    "GB": ("plugin_bytes", 1024**3, "bytes"),
    "TB": ("plugin_bytes", 1024**4, "bytes"),
    "KiB": ("plugin_bytes", 1024, "bytes"),
    "MiB": ("plugin_bytes", 1024**2, "bytes"),
    "GiB": ("plugin_bytes", 1024**3, "bytes"),
    "TiB": ("plugin_bytes", 1024**4, "bytes"),
}
"""Unit of measurement to the reading's name, factor and unit. The plugins mean 1024 by their prefixes."""


class CommandOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A program with the interface of a monitoring plugin."""

    every: Every = Duration(60)
    command: Annotated[
        tuple[Annotated[str, msgspec.Meta(min_length=1)], ...],
        msgspec.Meta(
            description="The program and its arguments, without a shell. Secrets do not belong here: every user of "
            "the host sees them in the list of processes.",
            min_length=1,
            examples=[["/usr/lib/nagios/plugins/check_ntp_time", "-H", "ntp.example.com"]],
            extra={"words": "an array of text, the program first"},
        ),
    ]
    environment: Annotated[
        dict[str, str],
        msgspec.Meta(
            description="Added to a minimal environment (PATH, LANG). Its values are never shown.",
            examples=[{"PGPASSFILE": "/etc/hostward/pgpass"}],
            extra={"secret": True},  # nosec B105  # no password: shown as a secret
        ),
    ] = {}


class PluginCommand(CommandCheck[CommandOptions]):
    """A program of your own, or any monitoring plugin. The plugin judges; its ranges are not read."""

    Options = CommandOptions

    def command(self, context: Context) -> Command:
        """As configured."""
        return Command(self.options.command, self.options.environment)

    def parse(self, context: Context, finished: Finished) -> Sample:
        """The exit code is the state, the first line the message, what follows `|` the performance data."""
        text, performance = split_output(finished.output)
        text = text or next((line.strip() for line in finished.error.splitlines() if line.strip()), "")
        if finished.exit_code >= len(STATES):
            raise CheckError(f"exit code {finished.exit_code}, which no plugin has: {text or 'it printed nothing'}")
        state = STATES[finished.exit_code]
        message = text or "the plugin printed nothing"
        findings = [] if state == "ok" else [Finding(state, message)]
        return Sample(parse_performance(performance), findings, message)


def split_output(output: str) -> tuple[str, str]:
    """The first line's text, and all performance data.

    `TEXT | DATA`, then lines of long text, the last of which may be followed by `| DATA` and lines of more data.
    """
    first, _, rest = output.strip("\r\n").partition("\n")
    text, _, data = first.partition("|")
    _, _, more = rest.partition("|")
    return text.strip(), f"{data} {more}"


def parse_performance(data: str) -> list[Measurement]:
    """`'label'=value[UOM];[warn];[crit];[min];[max]`, separated by spaces, as readings with the label as a label.

    What does not fit is passed over, and so is `U`, a value that could not be measured.
    """
    measurements = []
    for match in _PERFORMANCE.finditer(data):
        label = (match["quoted"] or match["bare"]).replace("''", "'")
        unit = match["unit"]
        name, factor, shown = _UNITS.get(unit, ("plugin_value", 1, unit))
        value = float(match["value"].replace(",", ".")) * factor
        measurements.append(Measurement(name, value, shown, {"label": label}))
    return measurements
