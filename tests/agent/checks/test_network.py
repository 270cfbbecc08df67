"""Traffic of network interfaces."""

from __future__ import annotations

from pathlib import Path

from agent.checks.network import Network, NetworkOptions
from agent.paths import System
from tests.agent.checks.tree import collect, said, tree, values

HEAD = "Inter-|   Receive  |  Transmit\n face |bytes  packets errs |bytes  packets errs\n"
LO = "    lo: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n"
VETH = "vethab12: 500 5 0 0 0 0 0 0 500 5 0 0 0 0 0 0\n"


def dev(**interfaces: tuple[int, int, int, int, int, int]) -> dict[str, str]:
    """bytes, errors and drops received, then sent."""
    lines = "".join(
        f"  {name}: {rb} 1 {re} {rd} 0 0 0 0 {sb} 1 {se} {sd} 0 0 0 0\n"
        for name, (rb, re, rd, sb, se, sd) in interfaces.items()
    )
    return {"proc/net/dev": HEAD + LO + VETH + lines}


def test_rates_of_real_interfaces(tmp_path: Path) -> None:
    """Loopback and the ends of containers' interfaces are left out."""
    check = Network(NetworkOptions())
    first = collect(check, tree(tmp_path, dev(eth0=(1000, 0, 5, 500, 1, 0))))
    assert list(first.measurements) == []
    second = collect(check, tree(tmp_path, dev(eth0=(11240, 20, 5, 500, 2, 30))), after=first)
    assert values(second) == {
        "network_received_bytes_per_second eth0": 1024,
        "network_sent_bytes_per_second eth0": 0,
        "network_receive_errors_per_second eth0": 2,
        "network_send_errors_per_second eth0": 0.1,
        "network_receive_drops_per_second eth0": 0,
        "network_send_drops_per_second eth0": 3,
    }
    assert second.summary == "eth0 1KiB/s in, 0B/s out"


def test_interfaces_come_and_go_and_begin_again(tmp_path: Path) -> None:
    """None of it gives a rate that is not one."""
    check = Network(NetworkOptions())
    same = (10, 0, 0, 10, 0, 0)
    first = collect(check, tree(tmp_path, dev(eth0=(1000, 0, 0, 500, 0, 0), eth1=same)))
    second = collect(check, tree(tmp_path, dev(eth0=(10, 0, 0, 5, 0, 0), wg0=same)), after=first)
    assert values(second) == {}
    third = collect(check, tree(tmp_path, dev(eth0=(20, 0, 0, 5, 0, 0), wg0=same)), after=second)
    assert {m.labels["interface"] for m in third.measurements} == {"eth0", "wg0"}


def test_a_named_interface_must_be_there(tmp_path: Path) -> None:
    """A name in full is meant even where a pattern leaves it out."""
    check = Network(NetworkOptions(interfaces=("lo", "eth7")))
    system = tree(tmp_path, dev())
    first = collect(check, system)
    assert said(first) == [("critical", "there is no interface eth7")]
    assert {m.labels["interface"] for m in collect(check, system, after=first).measurements} == {"lo"}


def test_on_this_host() -> None:
    """The real table can be read."""
    assert isinstance(Network.default(System()), NetworkOptions)
    check = Network(NetworkOptions(interfaces=("lo",)))
    found = values(collect(check, after=collect(check)))
    assert found["network_received_bytes_per_second lo"] >= 0
