"""What network interfaces receive and send, with errors and drops."""

from __future__ import annotations

from typing import Annotated

import msgspec

from agent.checks.contract import Check, CheckOptions, Context, Finding, Measurement, Rule, Sample, Threshold
from agent.checks.counters import rates
from agent.checks.patterns import is_chosen, named
from agent.checks.procfs import psutil_on
from agent.paths import System
from kit.units import Duration, format_size


class NetworkOptions(CheckOptions, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Traffic of network interfaces."""

    interfaces: Annotated[
        tuple[str, ...],
        msgspec.Meta(
            description="Which interfaces (* and ? as in file names). One without either must be there.",
            examples=[["eth0", "wg*"]],
        ),
    ] = ("*",)
    exclude: Annotated[
        tuple[str, ...], msgspec.Meta(description="Interfaces to leave out.", examples=[["lo", "docker*"]])
    ] = ("lo", "veth*", "cali*", "ifb*", "dummy*")
    errors: Annotated[
        Threshold,
        msgspec.Meta(description="Bounds of broken packets a second, received or being sent."),
    ] = Threshold(warning=1, for_=Duration(300))
    drops: Annotated[
        Threshold,
        msgspec.Meta(
            description="Bounds of packets dropped a second, received or being sent.", examples=[{"warning": 100}]
        ),
    ] = Threshold()


class Network(Check[NetworkOptions]):
    """The host's network interfaces."""

    Options = NetworkOptions
    rates = True

    @classmethod
    def default(cls, system: System) -> NetworkOptions | None:
        """Every host has a network."""
        return NetworkOptions()

    def rules(self) -> list[Rule]:
        """Errors and drops of both directions."""
        errors, drops = self.options.errors, self.options.drops
        return [
            Rule("network_receive_errors_per_second", errors, "{interface} receives {value} broken packets"),
            Rule("network_send_errors_per_second", errors, "{interface} fails to send {value} packets"),
            Rule("network_receive_drops_per_second", drops, "{interface} drops {value} received packets"),
            Rule("network_send_drops_per_second", drops, "{interface} drops {value} packets to send"),
        ]

    def collect(self, context: Context) -> Sample:
        """Read /proc/net/dev."""
        counters = {
            name: [c.bytes_recv, c.bytes_sent, c.errin, c.errout, c.dropin, c.dropout]
            for name, c in psutil_on(context.system).net_io_counters(pernic=True, nowrap=False).items()
            if is_chosen(name, self.options.interfaces, self.options.exclude)
        }
        before = context.previous or {}
        measurements: list[Measurement] = []
        busiest: tuple[float, str] | None = None
        for interface, values in counters.items():
            found = rates(before.get(interface), values, context.elapsed)
            if found is None:
                continue
            received, sent, *faults = found
            labels = {"interface": interface}
            measurements += [
                Measurement("network_received_bytes_per_second", received, "bytes/s", labels),
                Measurement("network_sent_bytes_per_second", sent, "bytes/s", labels),
            ]
            kinds = ("receive_errors", "send_errors", "receive_drops", "send_drops")
            measurements += [
                Measurement(f"network_{kind}_per_second", fault, "1/s", labels)
                for kind, fault in zip(kinds, faults, strict=True)
            ]
            text = f"{interface} {format_size(received)}/s in, {format_size(sent)}/s out"
            busiest = max(busiest or (-1.0, ""), (received + sent, text))
        missing = sorted(named(self.options.interfaces) - counters.keys())
        findings = [Finding("critical", f"there is no interface {interface}") for interface in missing]
        summary = busiest[1] if busiest else "" if counters else "no interfaces but those left out"
        return Sample(measurements, findings, summary, memory=counters)
