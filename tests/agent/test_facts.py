"""What a host is, from the files that say so."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agent.facts import boot_id, facts, parse_cpuinfo, parse_memory, parse_os_release, virtualization
from agent.paths import System
from kit.version import __version__

OS_RELEASE = """\
# a comment
PRETTY_NAME="Debian GNU/Linux 12 (bookworm)"
ID=debian
BUG='it\\'s'
broken line
"""
CPUINFO = """\
processor\t: 0
model name\t: Intel(R) Xeon(R)   CPU
flags\t\t: fpu vme hypervisor lahf_lm

processor\t: 1
model name\t: Intel(R) Xeon(R)   CPU
flags\t\t: fpu vme hypervisor lahf_lm
"""


def test_os_release_is_read_as_its_manual_says() -> None:
    """Quotes and escapes are the shell's, comments and nonsense are passed over."""
    assert parse_os_release(OS_RELEASE) == {
        "PRETTY_NAME": "Debian GNU/Linux 12 (bookworm)",
        "ID": "debian",
        "BUG": "it's",
    }


def test_processors_are_counted_and_named() -> None:
    """Also where there is no model, as on ARM."""
    assert parse_cpuinfo(CPUINFO) == (2, "Intel(R) Xeon(R) CPU", True)
    assert parse_cpuinfo("processor\t: 0\nBogoMIPS\t: 50\n") == (1, "", False)


@pytest.mark.parametrize(
    ("container", "vendor", "hypervisor", "expected"),
    [
        ("docker", "QEMU", True, "docker"),
        ("", "QEMU", True, "kvm"),
        ("", "Microsoft Corporation", True, "hyper-v"),
        ("", "Dell Inc.", True, "virtual machine"),
        ("", "Dell Inc.", False, ""),
    ],
)
def test_virtualization(container: str, vendor: str, hypervisor: bool, expected: str) -> None:
    """A container says more than the machine below it; bare metal says nothing."""
    assert virtualization(container=container, vendor=vendor, hypervisor=hypervisor) == expected


def test_a_host_in_a_fixture_tree(tmp_path: Path) -> None:
    """Every file is looked up under the system's root."""
    for name, text in {
        "etc/os-release": OS_RELEASE,
        "proc/cpuinfo": CPUINFO,
        "proc/meminfo": "MemTotal:       16384000 kB\nMemFree: 1 kB\n",
        "proc/sys/kernel/random/boot_id": "aaaa-bbbb\n",
        "sys/class/dmi/id/sys_vendor": "QEMU\n",
    }.items():
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    found = facts(System(tmp_path))
    assert found["os"] == "Debian GNU/Linux 12 (bookworm)"
    assert found["cpus"] == "2"
    assert found["memory"] == "15.6GiB"
    assert found["virtualization"] == "kvm"
    assert found["agent"] == __version__
    assert boot_id(System(tmp_path)) == "aaaa-bbbb"


def test_an_empty_tree_leaves_out_what_it_cannot_tell(tmp_path: Path) -> None:
    """Nothing raises, and no fact is empty."""
    found = facts(System(tmp_path))
    assert "os" not in found
    assert "memory" not in found
    assert all(found.values())
    assert boot_id(System(tmp_path)) == ""


@given(st.text())
def test_no_text_breaks_a_parser(text: str) -> None:
    """Whatever the kernel or a distribution writes."""
    parse_os_release(text)
    parse_cpuinfo(text)
    parse_memory(text)
