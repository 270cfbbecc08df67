"""What hosts of the families tell of themselves, and whether they can have an agent."""

from __future__ import annotations

import subprocess
from pathlib import Path

from hypothesis import given, settings
from hypothesis import strategies as st

from deploys.facts.agent import Installed, Python, parse, script
from deploys.kit.wheels import Target
from deploys.rules.pythons import unfit

RHEL_9 = """\
os rhel 9.4
family rhel fedora
machine aarch64
libc glibc 2.34
systemd
root
python 3 9 /usr/bin/python3
"""
UBUNTU_22 = """\
os ubuntu 22.04
family ubuntu debian
machine x86_64
libc glibc 2.35
systemd
root
python 3 10 /usr/bin/python3
"""
DEBIAN_12 = """\
os debian 12
family debian
machine x86_64
libc glibc 2.36
systemd
root
python 3 11 /usr/bin/python3
current 0.9.2
release 0.9.1 aaaa
release 0.9.2
extras postgresql redis
wheel bbbb hostward-0.9.2-py3-none-any.whl
file cccc 644 root:root /etc/hostward/agent.toml
active hostward-agent.service
enabled hostward-agent.service
accounts
link /usr/local/bin/hostward /opt/hostward/current/bin/hostward
home https://home.example.net:8443
"""


def seen(text: str) -> Installed:
    """Of a host that says this."""
    return parse(text.splitlines())


def test_an_old_python_is_told_with_what_to_install() -> None:
    """In the words of the host's family."""
    assert unfit(seen(RHEL_9), None) == (
        "/usr/bin/python3 is 3.9, and Python 3.11 or later is needed: dnf install python3.11, "
        "or name one as agent.python"
    )
    assert "apt install python3.11 python3.11-venv" in unfit(seen(UBUNTU_22), None)
    assert unfit(seen(RHEL_9.replace("python 3 9 /usr/bin/python3\n", "")), "python3.12") == (
        "agent.python is python3.12: there is no such Python with venv; Python 3.11 or later is needed"
    )


def test_a_newer_python_beside_the_old_one_is_taken() -> None:
    """With wheels for it, and not for the system's own."""
    host = seen(RHEL_9 + "python 3 12 /usr/bin/python3.12\n")
    python = host.python()
    assert python == Python("/usr/bin/python3.12", (3, 12))
    assert unfit(host, None) == ""
    assert host.target(python) == Target((3, 12), "aarch64", "glibc", (2, 34))


def test_what_a_host_cannot_be_without_is_told() -> None:
    """Root, systemd, a C library that is known."""
    assert "needs root" in unfit(seen(DEBIAN_12.replace("root\n", "", 1)), None)
    assert "systemd does not run" in unfit(seen(DEBIAN_12.replace("systemd\n", "")), None)
    assert "C library of debian 12" in unfit(seen(DEBIAN_12.replace("libc glibc 2.36\n", "")), None)


def test_all_that_is_installed_is_known() -> None:
    """Also what was installed by hand, whose digest nobody knows."""
    host = seen(DEBIAN_12)
    assert (host.current, host.releases) == ("0.9.2", {"0.9.1": "aaaa", "0.9.2": ""})
    assert host.extras == ("postgresql", "redis")
    assert host.wheels == {"hostward-0.9.2-py3-none-any.whl": "bbbb"}
    assert host.files["/etc/hostward/agent.toml"].owner == "root:root"
    assert host.active == host.enabled == {"hostward-agent.service"}
    assert host.accounts
    assert not host.collector
    assert host.enrolled == "https://home.example.net:8443"


def test_the_script_tells_of_this_machine(tmp_path: Path) -> None:
    """Where nothing is installed under the prefix."""
    done = subprocess.run(["sh", "-c", script("python3", str(tmp_path))], capture_output=True, text=True, check=True)
    host = parse(done.stdout.splitlines())
    assert (host.current, host.releases) == (None, {})
    assert host.libc in ("glibc", "musl")
    assert host.python() is not None


@settings(max_examples=100)
@given(st.lists(st.one_of(st.text(), st.sampled_from(DEBIAN_12.splitlines()), st.sampled_from(DEBIAN_12.split()))))
def test_whatever_a_host_prints_is_no_error(lines: list[str]) -> None:
    """What is not understood is passed over."""
    assert unfit(parse(lines), None) is not None
